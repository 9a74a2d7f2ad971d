-- Replies of steps, conversions, pauses, the outcomes that stand while inputs run again, and earlier versions of records.
ALTER TABLE runs ADD COLUMN paused_until TEXT;
ALTER TABLE runs ADD COLUMN pause_reason TEXT;

ALTER TABLE attempts ADD COLUMN conversions TEXT;

CREATE INDEX attempts_with_conversions ON attempts (master_job_id) WHERE conversions IS NOT NULL;

ALTER TABLE records ADD COLUMN attempt INTEGER;

-- Renamed first: a table that is renamed afterwards has its name in quotes in the schema.
ALTER TABLE steps RENAME TO steps_before;

CREATE TABLE steps (
    job_id      TEXT NOT NULL REFERENCES execution_jobs (job_id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    call        INTEGER NOT NULL,
    reply       INTEGER NOT NULL,
    result      TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    saved_when  TEXT NOT NULL,
    usage       TEXT,
    status      TEXT NOT NULL CHECK (status IN ('kept', 'rejected', 'forgotten')),
    reason      TEXT,
    rejected_by TEXT,
    PRIMARY KEY (job_id, name, call, reply)
) STRICT;

INSERT INTO steps (job_id, name, call, reply, result, attempt, saved_when, usage, status)
SELECT job_id, name, 1, 1, result, attempt, saved_when, usage, 'kept' FROM steps_before;

DROP TABLE steps_before;

CREATE TABLE standing_outcomes (
    job_id     TEXT NOT NULL PRIMARY KEY REFERENCES execution_jobs (job_id) ON DELETE CASCADE,
    status     TEXT NOT NULL CHECK (status IN ('completed', 'duplicate', 'filtered', 'failed', 'cancelled')),
    start_time TEXT,
    end_time   TEXT,
    worker_id  TEXT
) STRICT;

-- Inputs that were put back to run again: what their records say of the outcome that they had.
INSERT INTO standing_outcomes (job_id, status, start_time, end_time)
SELECT job.job_id,
       CASE WHEN max(records.status = 'completed') THEN 'completed' WHEN max(records.status = 'failed') THEN 'failed'
            WHEN max(records.status = 'filtered') THEN 'filtered' ELSE 'duplicate' END,
       min(records.start_time), max(records.end_time)
FROM execution_jobs AS job JOIN records ON records.job_id = job.job_id
WHERE job.position IS NOT NULL AND job.status IN ('pending', 'running')
  AND records.status IN ('completed', 'duplicate', 'filtered', 'failed')
GROUP BY job.job_id;

CREATE TABLE record_versions (
    record_uid    TEXT NOT NULL,
    number        INTEGER NOT NULL,
    job_id        TEXT NOT NULL,
    master_job_id TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN (
                      'pending', 'running', 'completed', 'duplicate', 'filtered', 'failed', 'cancelled')),
    output_ref    TEXT,
    start_time    TEXT NOT NULL,
    end_time      TEXT NOT NULL,
    error_message TEXT,
    data_sha256   TEXT,
    unique_key    TEXT,
    replaced_when TEXT NOT NULL,
    PRIMARY KEY (record_uid, number),
    FOREIGN KEY (job_id, master_job_id) REFERENCES execution_jobs (job_id, master_job_id) ON DELETE CASCADE
) STRICT;

CREATE INDEX record_versions_by_job ON record_versions (job_id);
CREATE INDEX record_versions_by_run ON record_versions (master_job_id);
CREATE INDEX record_versions_by_data ON record_versions (output_ref) WHERE output_ref IS NOT NULL;
