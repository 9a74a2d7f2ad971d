-- Segments of runs, and requests as steps: of which request each is, and where its answer was stored before.
ALTER TABLE attempts ADD COLUMN segment INTEGER;
ALTER TABLE attempts ADD COLUMN calls TEXT;

CREATE INDEX attempts_with_calls ON attempts (master_job_id) WHERE calls IS NOT NULL;

ALTER TABLE workers ADD COLUMN segment INTEGER;

-- Renamed first: a table that is renamed afterwards has its name in quotes in the schema.
ALTER TABLE steps RENAME TO steps_before;

CREATE TABLE steps (
    job_id      TEXT NOT NULL REFERENCES execution_jobs (job_id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    request_key TEXT NOT NULL,
    call        INTEGER NOT NULL,
    reply       INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    saved_when  TEXT NOT NULL,
    usage       TEXT,
    status      TEXT NOT NULL CHECK (status IN ('kept', 'rejected', 'forgotten')),
    reason      TEXT,
    rejected_by TEXT,
    asked_when  TEXT,
    reused_from TEXT,
   
    result      TEXT NOT NULL,
    request     TEXT,
    PRIMARY KEY (job_id, name, request_key, call, reply)
) STRICT;

INSERT INTO steps (job_id, name, request_key, call, reply, attempt, saved_when, usage, status, reason, rejected_by, result)
SELECT job_id, name, '', call, reply, attempt, saved_when, usage, status, reason, rejected_by, result FROM steps_before;

DROP TABLE steps_before;

CREATE INDEX steps_by_request ON steps (request_key, call, saved_when) WHERE request_key <> '' AND status = 'kept';

CREATE TABLE segments (
    master_job_id TEXT NOT NULL REFERENCES runs (master_job_id) ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    start_time    TEXT NOT NULL,
    identity      TEXT NOT NULL,
    PRIMARY KEY (master_job_id, number)
) STRICT;

-- Without the status: hashes have no order, and each change of a status would write two pages of this index.
DROP INDEX execution_jobs_by_input;
CREATE INDEX execution_jobs_by_input ON execution_jobs (master_job_id, run_config_hash, creation_time DESC, job_id DESC);
