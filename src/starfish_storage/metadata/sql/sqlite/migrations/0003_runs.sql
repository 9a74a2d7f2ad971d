-- What a run keeps beyond its jobs and records: where its inputs stand, attempts, paid steps, and who works on it.
ALTER TABLE execution_jobs ADD COLUMN position INTEGER;

CREATE INDEX execution_jobs_to_do ON execution_jobs (master_job_id, position)
    WHERE status = 'pending' AND position IS NOT NULL;

ALTER TABLE records ADD COLUMN unique_key TEXT;

CREATE INDEX records_by_unique_key ON records (master_job_id, unique_key) WHERE unique_key IS NOT NULL;

CREATE TABLE runs (
    master_job_id   TEXT NOT NULL PRIMARY KEY REFERENCES master_jobs (master_job_id) ON DELETE CASCADE,
    registered      INTEGER NOT NULL,
    inputs_complete INTEGER NOT NULL CHECK (inputs_complete IN (0, 1)),
    stop_reason     TEXT,
    attempts        INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    input_tokens    INTEGER NOT NULL,
    output_tokens   INTEGER NOT NULL,
    cost            REAL NOT NULL
) STRICT;

CREATE TABLE attempts (
    job_id          TEXT NOT NULL REFERENCES execution_jobs (job_id) ON DELETE CASCADE,
    number          INTEGER NOT NULL,
    master_job_id   TEXT NOT NULL,
    worker_id       TEXT,
    status          TEXT NOT NULL CHECK (status IN (
                        'completed', 'failed', 'cancelled', 'interrupted', 'superseded')),
    start_time      TEXT NOT NULL,
    end_time        TEXT NOT NULL,
    error_type      TEXT,
    error_message   TEXT,
    error_traceback TEXT,
    input_tokens    INTEGER NOT NULL,
    output_tokens   INTEGER NOT NULL,
    cost            REAL NOT NULL,
    usage           TEXT,
    PRIMARY KEY (job_id, number)
) STRICT;

CREATE TRIGGER count_inserted_attempt AFTER INSERT ON attempts BEGIN
    UPDATE runs SET
        attempts = attempts + 1,
        failed_attempts = failed_attempts + (NEW.status IN ('failed', 'interrupted')),
        input_tokens = input_tokens + NEW.input_tokens,
        output_tokens = output_tokens + NEW.output_tokens,
        cost = cost + NEW.cost
    WHERE master_job_id = NEW.master_job_id;
END;

CREATE TRIGGER count_deleted_attempt AFTER DELETE ON attempts BEGIN
    UPDATE runs SET
        attempts = attempts - 1,
        failed_attempts = failed_attempts - (OLD.status IN ('failed', 'interrupted')),
        input_tokens = input_tokens - OLD.input_tokens,
        output_tokens = output_tokens - OLD.output_tokens,
        cost = cost - OLD.cost
    WHERE master_job_id = OLD.master_job_id;
END;

CREATE TABLE steps (
    job_id     TEXT NOT NULL REFERENCES execution_jobs (job_id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    result     TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    saved_when TEXT NOT NULL,
    usage      TEXT,
    PRIMARY KEY (job_id, name)
) STRICT;

CREATE TABLE workers (
    worker_id     TEXT NOT NULL PRIMARY KEY,
    master_job_id TEXT NOT NULL REFERENCES runs (master_job_id) ON DELETE CASCADE,
    process       TEXT NOT NULL,
    start_time    TEXT NOT NULL,
    lease_expires TEXT NOT NULL
) STRICT;

CREATE INDEX workers_by_run ON workers (master_job_id, start_time, worker_id);
