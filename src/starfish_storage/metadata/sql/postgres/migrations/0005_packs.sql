-- Data in packs: its version says in which, and where. What is asked of a pack is which rows name a part of it.
CREATE INDEX records_in_packs ON records (data_version) WHERE strpos(data_version, ':') > 0;
CREATE INDEX loose_data_in_packs ON loose_data (data_version) WHERE strpos(data_version, ':') > 0;
CREATE INDEX record_versions_in_packs ON record_versions (data_version) WHERE strpos(data_version, ':') > 0;
