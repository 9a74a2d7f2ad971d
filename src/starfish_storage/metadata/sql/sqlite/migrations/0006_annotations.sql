-- Annotations of records, edits as versions of them, and what the last verification found.
ALTER TABLE records ADD COLUMN version_number INTEGER;
ALTER TABLE record_versions ADD COLUMN attempt INTEGER;

-- What people say of records: rows are added, and at most withdrawn.
CREATE TABLE annotations (
    annotation_id TEXT NOT NULL PRIMARY KEY,
    record_uid    TEXT NOT NULL REFERENCES records (record_uid) ON DELETE CASCADE,
    master_job_id TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('verdict', 'label', 'rating', 'comment', 'edit')),
    value         TEXT NOT NULL,
    author        TEXT NOT NULL,
    time          TEXT NOT NULL,
    withdrawn     TEXT
) STRICT;

CREATE INDEX annotations_by_record ON annotations (record_uid, time, annotation_id);
CREATE INDEX annotations_by_run ON annotations (master_job_id, time, annotation_id);

-- What the last check of the store found.
CREATE TABLE verifications (
    start_time TEXT NOT NULL PRIMARY KEY,
    end_time   TEXT NOT NULL,
    findings   INTEGER NOT NULL,
    report     TEXT NOT NULL
) STRICT;
