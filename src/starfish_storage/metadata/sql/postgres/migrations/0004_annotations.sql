-- Annotations of records, edits as versions of them, and what the last verification found.
ALTER TABLE records ADD COLUMN version_number BIGINT;
ALTER TABLE record_versions ADD COLUMN attempt BIGINT;

-- What people say of records: rows are added, and at most withdrawn.
CREATE TABLE annotations (
    annotation_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    record_uid    TEXT COLLATE "C" NOT NULL REFERENCES records (record_uid) ON DELETE CASCADE,
    master_job_id TEXT COLLATE "C" NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL CHECK (kind IN ('verdict', 'label', 'rating', 'comment', 'edit')),
    value         TEXT COLLATE "C" NOT NULL,
    author        TEXT COLLATE "C" NOT NULL,
    time          TEXT COLLATE "C" NOT NULL,
    withdrawn     TEXT COLLATE "C"
);

CREATE INDEX annotations_by_record ON annotations (record_uid, time, annotation_id);
CREATE INDEX annotations_by_run ON annotations (master_job_id, time, annotation_id);

-- What the last check of the store found.
CREATE TABLE verifications (
    start_time TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    end_time   TEXT COLLATE "C" NOT NULL,
    findings   BIGINT NOT NULL,
    report     TEXT COLLATE "C" NOT NULL
);
