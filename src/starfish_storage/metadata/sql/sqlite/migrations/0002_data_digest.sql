-- The digest of a record's data, as it was saved. Of what was saved before this version it is not known.
ALTER TABLE records ADD COLUMN data_sha256 TEXT;
