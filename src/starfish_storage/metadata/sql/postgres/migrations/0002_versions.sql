-- Replies of steps, conversions, pauses, the outcomes that stand while inputs run again, and earlier versions of records.
ALTER TABLE runs ADD COLUMN paused_until TEXT COLLATE "C";
ALTER TABLE runs ADD COLUMN pause_reason TEXT COLLATE "C";

ALTER TABLE attempts ADD COLUMN conversions TEXT COLLATE "C";

CREATE INDEX attempts_with_conversions ON attempts (master_job_id) WHERE conversions IS NOT NULL;

ALTER TABLE records ADD COLUMN attempt BIGINT;

ALTER TABLE steps
    ADD COLUMN call BIGINT NOT NULL DEFAULT 1,
    ADD COLUMN reply BIGINT NOT NULL DEFAULT 1,
    ADD COLUMN status TEXT COLLATE "C" NOT NULL DEFAULT 'kept' CHECK (status IN ('kept', 'rejected', 'forgotten')),
    ADD COLUMN reason TEXT COLLATE "C",
    ADD COLUMN rejected_by TEXT COLLATE "C",
    DROP CONSTRAINT steps_pkey,
    ADD PRIMARY KEY (job_id, name, call, reply);

ALTER TABLE steps ALTER COLUMN call DROP DEFAULT, ALTER COLUMN reply DROP DEFAULT, ALTER COLUMN status DROP DEFAULT;

CREATE TABLE standing_outcomes (
    job_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES execution_jobs (job_id) ON DELETE CASCADE,
    status     TEXT COLLATE "C" NOT NULL CHECK (status IN ('completed', 'duplicate', 'filtered', 'failed', 'cancelled')),
    start_time TEXT COLLATE "C",
    end_time   TEXT COLLATE "C",
    worker_id  TEXT COLLATE "C"
);

-- Inputs that were put back to run again: what their records say of the outcome that they had.
INSERT INTO standing_outcomes (job_id, status, start_time, end_time)
SELECT job.job_id,
       CASE WHEN bool_or(records.status = 'completed') THEN 'completed' WHEN bool_or(records.status = 'failed') THEN 'failed'
            WHEN bool_or(records.status = 'filtered') THEN 'filtered' ELSE 'duplicate' END,
       min(records.start_time), max(records.end_time)
FROM execution_jobs AS job JOIN records ON records.job_id = job.job_id
WHERE job.position IS NOT NULL AND job.status IN ('pending', 'running')
  AND records.status IN ('completed', 'duplicate', 'filtered', 'failed')
GROUP BY job.job_id;

CREATE TABLE record_versions (
    record_uid    TEXT COLLATE "C" NOT NULL,
    number        BIGINT NOT NULL,
    job_id        TEXT COLLATE "C" NOT NULL,
    master_job_id TEXT COLLATE "C" NOT NULL,
    status        TEXT COLLATE "C" NOT NULL CHECK (status IN (
                      'pending', 'running', 'completed', 'duplicate', 'filtered', 'failed', 'cancelled')),
    output_ref    TEXT COLLATE "C",
    start_time    TEXT COLLATE "C" NOT NULL,
    end_time      TEXT COLLATE "C" NOT NULL,
    error_message TEXT COLLATE "C",
    data_sha256   TEXT COLLATE "C",
    data_version  TEXT COLLATE "C",
    unique_key    TEXT COLLATE "C",
    replaced_when TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (record_uid, number),
    FOREIGN KEY (job_id, master_job_id) REFERENCES execution_jobs (job_id, master_job_id) ON DELETE CASCADE
);

CREATE INDEX record_versions_by_job ON record_versions (job_id);
CREATE INDEX record_versions_by_run ON record_versions (master_job_id);
