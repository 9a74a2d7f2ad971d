-- Projects, jobs and records, and their counts. The schema is that of one store; its name is the store's.
-- Text is compared byte by byte (COLLATE "C"), as SQLite does it: the order of lists is the same everywhere.
-- Times are text in UTC, 'YYYY-MM-DDTHH:MM:SS.ffffffZ', so that their order is the order of the text.

CREATE TABLE projects (
    project_id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name         TEXT COLLATE "C" NOT NULL,
    description  TEXT COLLATE "C",
    created_when TEXT COLLATE "C" NOT NULL,
    updated_when TEXT COLLATE "C" NOT NULL
);

CREATE TABLE master_jobs (
    master_job_id                 TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    project_id                    TEXT COLLATE "C" NOT NULL REFERENCES projects (project_id),
    name                          TEXT COLLATE "C",
    status                        TEXT COLLATE "C" NOT NULL CHECK (status IN (
                                      'pending', 'running', 'completed', 'failed', 'completed_with_errors', 'cancelled')),
    request_config_ref            TEXT COLLATE "C" NOT NULL,
    output_schema                 TEXT COLLATE "C" NOT NULL,
    storage_uri                   TEXT COLLATE "C" NOT NULL,
    metadata_storage_uri_override TEXT COLLATE "C",
    data_storage_uri_override     TEXT COLLATE "C",
    target_record_count           BIGINT NOT NULL,
    completed_record_count        BIGINT NOT NULL,
    filtered_record_count         BIGINT NOT NULL,
    duplicate_record_count        BIGINT NOT NULL,
    failed_record_count           BIGINT NOT NULL,
    creation_time                 TEXT COLLATE "C" NOT NULL,
    start_time                    TEXT COLLATE "C",
    end_time                      TEXT COLLATE "C",
    last_update_time              TEXT COLLATE "C" NOT NULL,
    summary                       TEXT COLLATE "C"
);

CREATE INDEX master_jobs_by_status ON master_jobs (status, creation_time DESC, master_job_id DESC);
CREATE INDEX master_jobs_by_project ON master_jobs (project_id, status, creation_time DESC, master_job_id DESC);

CREATE TABLE execution_jobs (
    job_id                 TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    master_job_id          TEXT COLLATE "C" NOT NULL REFERENCES master_jobs (master_job_id) ON DELETE CASCADE,
    status                 TEXT COLLATE "C" NOT NULL CHECK (status IN (
                               'pending', 'running', 'completed', 'duplicate', 'filtered', 'failed', 'cancelled')),
    run_config             TEXT COLLATE "C",
    run_config_hash        TEXT COLLATE "C",
    attempted_generations  BIGINT NOT NULL,
    produced_outputs_count BIGINT NOT NULL,
    completed_record_count BIGINT NOT NULL,
    filtered_record_count  BIGINT NOT NULL,
    duplicate_record_count BIGINT NOT NULL,
    failed_record_count    BIGINT NOT NULL,
    creation_time          TEXT COLLATE "C" NOT NULL,
    start_time             TEXT COLLATE "C",
    end_time               TEXT COLLATE "C",
    last_update_time       TEXT COLLATE "C" NOT NULL,
    worker_id              TEXT COLLATE "C",
    error_message          TEXT COLLATE "C",
    counts                 TEXT COLLATE "C",
    position               BIGINT, -- place among the inputs of a run, from 0; NULL: not an input of a run
    UNIQUE (job_id, master_job_id)
);

CREATE INDEX execution_jobs_by_status ON execution_jobs (master_job_id, status, creation_time DESC, job_id DESC);
-- The status stands before the hash, so that all hashes of one status are one range of the index.
CREATE INDEX execution_jobs_by_input
    ON execution_jobs (master_job_id, status, run_config_hash, creation_time DESC, job_id DESC);
-- The inputs of runs that are to be claimed; other jobs are not in it.
CREATE INDEX execution_jobs_to_do ON execution_jobs (master_job_id, position)
    WHERE status = 'pending' AND position IS NOT NULL;

CREATE TABLE records (
    record_uid       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    job_id           TEXT COLLATE "C" NOT NULL,
    master_job_id    TEXT COLLATE "C" NOT NULL,
    status           TEXT COLLATE "C" NOT NULL CHECK (status IN (
                         'pending', 'running', 'completed', 'duplicate', 'filtered', 'failed', 'cancelled')),
    output_ref       TEXT COLLATE "C",
    start_time       TEXT COLLATE "C" NOT NULL,
    end_time         TEXT COLLATE "C" NOT NULL,
    last_update_time TEXT COLLATE "C" NOT NULL,
    error_message    TEXT COLLATE "C",
    data_sha256      TEXT COLLATE "C", -- of the record's own data, in lower-case hex; NULL: not known
    data_version     TEXT COLLATE "C", -- which version of its own data is current; NULL: it lies under the key itself
    unique_key       TEXT COLLATE "C", -- what no other completed record of the run may have; NULL: nothing
    attempt          BIGINT, -- number of the attempt whose output it is; NULL: the first, or none
    -- Both at once: a record is of the master job that its execution job is of.
    FOREIGN KEY (job_id, master_job_id) REFERENCES execution_jobs (job_id, master_job_id) ON DELETE CASCADE
);

-- A list of several statuses, or of all, merges the ranges of each status: one index serves every list.
CREATE INDEX records_by_status ON records (master_job_id, status, start_time DESC, record_uid DESC);
CREATE INDEX records_by_job ON records (job_id, start_time DESC, record_uid DESC);
-- Records that refer to the data of another uid; nearly always empty.
CREATE INDEX records_by_borrowed_data ON records (output_ref)
    WHERE output_ref IS NOT NULL AND right(output_ref, length(record_uid) + 6) <> '/' || record_uid || '.json';
-- By a hash: a key may be a whole text, and an index takes no more than 2,700 bytes.
CREATE INDEX records_by_unique_key ON records (master_job_id, hashtextextended(unique_key, 0))
    WHERE unique_key IS NOT NULL;

-- Data that no row of its own refers to: saved before its record, or borrowed and outliving it.
CREATE TABLE loose_data (
    key          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    data_version TEXT COLLATE "C",
    data_sha256  TEXT COLLATE "C"
);

-- Objects that nothing refers to any more, until they are removed, and since when.
CREATE TABLE data_removals (
    object TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    noted  TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Kept by the triggers below, so that a count does not read the records. Every connection counts in a slot of its own:
-- one row for all would make the groups of all workers wait for each other. A slot may be negative; the sum is right.
CREATE TABLE record_counts (
    master_job_id TEXT COLLATE "C" NOT NULL REFERENCES master_jobs (master_job_id) ON DELETE CASCADE,
    status        TEXT COLLATE "C" NOT NULL,
    slot          INTEGER NOT NULL,
    records       BIGINT NOT NULL,
    PRIMARY KEY (master_job_id, status, slot)
);

CREATE FUNCTION count_inserted_records() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO record_counts (master_job_id, status, slot, records)
    SELECT master_job_id, status, pg_backend_pid() % 64, count(*) FROM new_rows GROUP BY master_job_id, status
    ORDER BY master_job_id, status
    ON CONFLICT (master_job_id, status, slot) DO UPDATE SET records = record_counts.records + excluded.records;
    RETURN NULL;
END $$;

CREATE FUNCTION count_changed_records() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO record_counts (master_job_id, status, slot, records)
    SELECT master_job_id, status, pg_backend_pid() % 64, sum(change) FROM (
        SELECT master_job_id, status, 1 AS change FROM new_rows
        UNION ALL SELECT master_job_id, status, -1 FROM old_rows) AS changes
    GROUP BY master_job_id, status HAVING sum(change) <> 0 ORDER BY master_job_id, status
    ON CONFLICT (master_job_id, status, slot) DO UPDATE SET records = record_counts.records + excluded.records;
    RETURN NULL;
END $$;

-- Of a master job that is being deleted, nothing is left to count.
CREATE FUNCTION count_deleted_records() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO record_counts (master_job_id, status, slot, records)
    SELECT master_job_id, status, pg_backend_pid() % 64, -count(*) FROM old_rows
    WHERE EXISTS (SELECT 1 FROM master_jobs WHERE master_jobs.master_job_id = old_rows.master_job_id)
    GROUP BY master_job_id, status ORDER BY master_job_id, status
    ON CONFLICT (master_job_id, status, slot) DO UPDATE SET records = record_counts.records + excluded.records;
    RETURN NULL;
END $$;

CREATE TRIGGER count_inserted_records AFTER INSERT ON records REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_inserted_records();
CREATE TRIGGER count_changed_records AFTER UPDATE ON records REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed_records();
CREATE TRIGGER count_deleted_records AFTER DELETE ON records REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_records();

-- Ids in use that are not their own lower case, by what a case-insensitive file system makes of them.
CREATE TABLE mixed_case_ids (
    kind   TEXT COLLATE "C" NOT NULL CHECK (kind IN ('record_uid', 'master_job_id')),
    folded TEXT COLLATE "C" NOT NULL,
    id     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, folded)
);

-- The last group that each process has committed, which settles whether a commit took place whose answer was lost.
-- The server's own number of a transaction does not: after a crash, or on a standby that took over, it may be given
-- to another one.
CREATE TABLE last_commits (
    writer     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    number     BIGINT NOT NULL,
    noted_when TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 20); -- a row is replaced with every group: in place, as long as its page has room

-- Facts about the store itself: 'schema_version' is the number of the last migration that was applied.
CREATE TABLE settings (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

-- Master jobs that are runs.
CREATE TABLE runs (
    master_job_id   TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES master_jobs (master_job_id) ON DELETE CASCADE,
    registered      BIGINT NOT NULL, -- one more than the highest position that is stored
    inputs_complete INTEGER NOT NULL CHECK (inputs_complete IN (0, 1)), -- 1: there are no more
    stop_reason     TEXT COLLATE "C",
    paused_until    TEXT COLLATE "C", -- until then, by this server's clock, no worker begins a call
    pause_reason    TEXT COLLATE "C"
);

-- What the attempts of a run add up to, kept by the triggers on attempts, in slots as the counts of records are.
CREATE TABLE run_totals (
    master_job_id   TEXT COLLATE "C" NOT NULL REFERENCES runs (master_job_id) ON DELETE CASCADE,
    slot            INTEGER NOT NULL,
    attempts        BIGINT NOT NULL,
    failed_attempts BIGINT NOT NULL,
    input_tokens    BIGINT NOT NULL,
    output_tokens   BIGINT NOT NULL,
    cost            DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (master_job_id, slot)
);

-- Every call of a run's function for an input, failed ones too, numbered from 1 over all resumes.
CREATE TABLE attempts (
    job_id          TEXT COLLATE "C" NOT NULL REFERENCES execution_jobs (job_id) ON DELETE CASCADE,
    number          BIGINT NOT NULL,
    master_job_id   TEXT COLLATE "C" NOT NULL,
    worker_id       TEXT COLLATE "C",
    status          TEXT COLLATE "C" NOT NULL CHECK (status IN (
                        'completed', 'failed', 'cancelled', 'interrupted', 'superseded')),
    start_time      TEXT COLLATE "C" NOT NULL,
    end_time        TEXT COLLATE "C" NOT NULL,
    error_type      TEXT COLLATE "C",
    error_message   TEXT COLLATE "C",
    error_traceback TEXT COLLATE "C",
    input_tokens    BIGINT NOT NULL,
    output_tokens   BIGINT NOT NULL,
    cost            DOUBLE PRECISION NOT NULL,
    usage           TEXT COLLATE "C",
    conversions     TEXT COLLATE "C", -- what was converted so that its outputs could be stored
    PRIMARY KEY (job_id, number)
);

CREATE INDEX attempts_with_conversions ON attempts (master_job_id) WHERE conversions IS NOT NULL;

CREATE FUNCTION count_inserted_attempts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_totals (master_job_id, slot, attempts, failed_attempts, input_tokens, output_tokens, cost)
    SELECT master_job_id, pg_backend_pid() % 64, count(*), count(*) FILTER (WHERE status IN ('failed', 'interrupted')),
           sum(input_tokens), sum(output_tokens), sum(cost)
    FROM new_rows WHERE EXISTS (SELECT 1 FROM runs WHERE runs.master_job_id = new_rows.master_job_id)
    GROUP BY master_job_id ORDER BY master_job_id
    ON CONFLICT (master_job_id, slot) DO UPDATE SET
        attempts = run_totals.attempts + excluded.attempts,
        failed_attempts = run_totals.failed_attempts + excluded.failed_attempts,
        input_tokens = run_totals.input_tokens + excluded.input_tokens,
        output_tokens = run_totals.output_tokens + excluded.output_tokens,
        cost = run_totals.cost + excluded.cost;
    RETURN NULL;
END $$;

CREATE FUNCTION count_deleted_attempts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_totals (master_job_id, slot, attempts, failed_attempts, input_tokens, output_tokens, cost)
    SELECT master_job_id, pg_backend_pid() % 64, -count(*), -count(*) FILTER (WHERE status IN ('failed', 'interrupted')),
           -sum(input_tokens), -sum(output_tokens), -sum(cost)
    FROM old_rows WHERE EXISTS (SELECT 1 FROM runs WHERE runs.master_job_id = old_rows.master_job_id)
    GROUP BY master_job_id ORDER BY master_job_id
    ON CONFLICT (master_job_id, slot) DO UPDATE SET
        attempts = run_totals.attempts + excluded.attempts,
        failed_attempts = run_totals.failed_attempts + excluded.failed_attempts,
        input_tokens = run_totals.input_tokens + excluded.input_tokens,
        output_tokens = run_totals.output_tokens + excluded.output_tokens,
        cost = run_totals.cost + excluded.cost;
    RETURN NULL;
END $$;

CREATE TRIGGER count_inserted_attempts AFTER INSERT ON attempts REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_inserted_attempts();
CREATE TRIGGER count_deleted_attempts AFTER DELETE ON attempts REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_attempts();

-- Replies of paid steps: a later attempt is given them instead of paying again. None is ever overwritten.
CREATE TABLE steps (
    job_id      TEXT COLLATE "C" NOT NULL REFERENCES execution_jobs (job_id) ON DELETE CASCADE,
    name        TEXT COLLATE "C" NOT NULL,
    call        BIGINT NOT NULL, -- the n-th of that name within an attempt, from 1
    reply       BIGINT NOT NULL, -- the n-th to that call, from 1
    result      TEXT COLLATE "C" NOT NULL,
    attempt     BIGINT NOT NULL,
    saved_when  TEXT COLLATE "C" NOT NULL,
    usage       TEXT COLLATE "C",
    status      TEXT COLLATE "C" NOT NULL CHECK (status IN ('kept', 'rejected', 'forgotten')),
    reason      TEXT COLLATE "C",
    rejected_by TEXT COLLATE "C", -- the code whose attempt rejected it
    PRIMARY KEY (job_id, name, call, reply)
);

-- How inputs ended that run again: it stands until there is a better outcome.
CREATE TABLE standing_outcomes (
    job_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES execution_jobs (job_id) ON DELETE CASCADE,
    status     TEXT COLLATE "C" NOT NULL CHECK (status IN ('completed', 'duplicate', 'filtered', 'failed', 'cancelled')),
    start_time TEXT COLLATE "C",
    end_time   TEXT COLLATE "C",
    worker_id  TEXT COLLATE "C"
);

-- Outputs that are not the current one of their record: an outcome took their place, or a better one kept its own.
CREATE TABLE record_versions (
    record_uid    TEXT COLLATE "C" NOT NULL,
    number        BIGINT NOT NULL, -- of the attempt whose output it is
    job_id        TEXT COLLATE "C" NOT NULL,
    master_job_id TEXT COLLATE "C" NOT NULL,
    status        TEXT COLLATE "C" NOT NULL CHECK (status IN (
                      'pending', 'running', 'completed', 'duplicate', 'filtered', 'failed', 'cancelled')),
    output_ref    TEXT COLLATE "C", -- key of its data, which lies under `data_version` of it
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

-- Who works on a run. What a worker holds is its own until its lease has expired, by this server's clock.
CREATE TABLE workers (
    worker_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    master_job_id TEXT COLLATE "C" NOT NULL REFERENCES runs (master_job_id) ON DELETE CASCADE,
    process       TEXT COLLATE "C" NOT NULL,
    start_time    TEXT COLLATE "C" NOT NULL,
    lease_expires TEXT COLLATE "C" NOT NULL
);

CREATE INDEX workers_by_run ON workers (master_job_id, start_time, worker_id);
