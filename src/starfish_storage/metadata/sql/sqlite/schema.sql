-- Projects, jobs and records, their counts, and the journal that joins rows and data files.
-- Times are text in UTC, 'YYYY-MM-DDTHH:MM:SS.ffffffZ', so that their order is the order of the text.

CREATE TABLE projects (
    project_id   TEXT NOT NULL PRIMARY KEY,
    name         TEXT NOT NULL,
    description  TEXT,
    created_when TEXT NOT NULL,
    updated_when TEXT NOT NULL
) STRICT;

CREATE INDEX projects_by_name ON projects (name, project_id);

CREATE TABLE master_jobs (
    master_job_id                 TEXT NOT NULL PRIMARY KEY,
    project_id                    TEXT NOT NULL REFERENCES projects (project_id),
    name                          TEXT,
    status                        TEXT NOT NULL CHECK (status IN (
                                      'pending', 'running', 'completed', 'failed', 'completed_with_errors', 'cancelled')),
    request_config_ref            TEXT NOT NULL,
    output_schema                 TEXT NOT NULL,
    storage_uri                   TEXT NOT NULL,
    metadata_storage_uri_override TEXT,
    data_storage_uri_override     TEXT,
    target_record_count           INTEGER NOT NULL,
    completed_record_count        INTEGER NOT NULL,
    filtered_record_count         INTEGER NOT NULL,
    duplicate_record_count        INTEGER NOT NULL,
    failed_record_count           INTEGER NOT NULL,
    creation_time                 TEXT NOT NULL,
    start_time                    TEXT,
    end_time                      TEXT,
    last_update_time              TEXT NOT NULL,
    summary                       TEXT
) STRICT;

CREATE INDEX master_jobs_by_status ON master_jobs (status, creation_time DESC, master_job_id DESC);
CREATE INDEX master_jobs_by_project ON master_jobs (project_id, status, creation_time DESC, master_job_id DESC);
CREATE INDEX master_jobs_by_request_config ON master_jobs (request_config_ref);

CREATE TABLE execution_jobs (
    job_id                 TEXT NOT NULL PRIMARY KEY,
    master_job_id          TEXT NOT NULL REFERENCES master_jobs (master_job_id) ON DELETE CASCADE,
    status                 TEXT NOT NULL CHECK (status IN (
                               'pending', 'running', 'completed', 'duplicate', 'filtered', 'failed', 'cancelled')),
    run_config             TEXT,
    run_config_hash        TEXT,
    attempted_generations  INTEGER NOT NULL,
    produced_outputs_count INTEGER NOT NULL,
    completed_record_count INTEGER NOT NULL,
    filtered_record_count  INTEGER NOT NULL,
    duplicate_record_count INTEGER NOT NULL,
    failed_record_count    INTEGER NOT NULL,
    creation_time          TEXT NOT NULL,
    start_time             TEXT,
    end_time               TEXT,
    last_update_time       TEXT NOT NULL,
    worker_id              TEXT,
    error_message          TEXT,
    counts                 TEXT,
    position               INTEGER, -- place among the inputs of a run, from 0; NULL: not an input of a run
    UNIQUE (job_id, master_job_id)
) STRICT;

CREATE INDEX execution_jobs_by_status ON execution_jobs (master_job_id, status, creation_time DESC, job_id DESC);
-- Without the status: hashes have no order, and each change of a status would write two pages of this index.
CREATE INDEX execution_jobs_by_input ON execution_jobs (master_job_id, run_config_hash, creation_time DESC, job_id DESC);
-- The inputs of runs that are to be claimed; other jobs are not in it.
CREATE INDEX execution_jobs_to_do ON execution_jobs (master_job_id, position)
    WHERE status = 'pending' AND position IS NOT NULL;

CREATE TABLE records (
    record_uid       TEXT NOT NULL PRIMARY KEY,
    job_id           TEXT NOT NULL,
    master_job_id    TEXT NOT NULL,
    status           TEXT NOT NULL CHECK (status IN (
                         'pending', 'running', 'completed', 'duplicate', 'filtered', 'failed', 'cancelled')),
    output_ref       TEXT,
    start_time       TEXT NOT NULL,
    end_time         TEXT NOT NULL,
    last_update_time TEXT NOT NULL,
    error_message    TEXT,
    data_sha256      TEXT, -- of what output_ref names, in lower-case hex; NULL: not known
    unique_key       TEXT, -- what no other completed record of the run may have; NULL: nothing
    attempt          INTEGER, -- number of the attempt whose output it is; NULL: the first, or none
    version_number   INTEGER, -- number of its data among the versions; NULL: that of the attempt
    -- Both at once: a record is of the master job that its execution job is of.
    FOREIGN KEY (job_id, master_job_id) REFERENCES execution_jobs (job_id, master_job_id) ON DELETE CASCADE
) STRICT;

-- A list of several statuses, or of all, merges the ranges of each status: one index serves every list.
CREATE INDEX records_by_status ON records (master_job_id, status, start_time DESC, record_uid DESC);
CREATE INDEX records_by_job ON records (job_id, start_time DESC, record_uid DESC);
-- Records that refer to the data of another uid; nearly always empty.
CREATE INDEX records_by_borrowed_data ON records (output_ref)
    WHERE output_ref IS NOT NULL AND substr(output_ref, -length(record_uid) - 6) <> '/' || record_uid || '.json';

CREATE INDEX records_by_unique_key ON records (master_job_id, unique_key) WHERE unique_key IS NOT NULL;

-- Kept by the triggers below, so that a count does not read the records.
CREATE TABLE record_counts (
    master_job_id TEXT NOT NULL REFERENCES master_jobs (master_job_id) ON DELETE CASCADE,
    status        TEXT NOT NULL,
    records       INTEGER NOT NULL,
    PRIMARY KEY (master_job_id, status)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER count_inserted_record AFTER INSERT ON records BEGIN
    INSERT INTO record_counts (master_job_id, status, records) VALUES (NEW.master_job_id, NEW.status, 1)
    ON CONFLICT (master_job_id, status) DO UPDATE SET records = records + 1;
END;

CREATE TRIGGER count_changed_record AFTER UPDATE OF master_job_id, status ON records
WHEN OLD.status <> NEW.status OR OLD.master_job_id <> NEW.master_job_id BEGIN
    UPDATE record_counts SET records = records - 1 WHERE master_job_id = OLD.master_job_id AND status = OLD.status;
    INSERT INTO record_counts (master_job_id, status, records) VALUES (NEW.master_job_id, NEW.status, 1)
    ON CONFLICT (master_job_id, status) DO UPDATE SET records = records + 1;
END;

CREATE TRIGGER count_deleted_record AFTER DELETE ON records BEGIN
    UPDATE record_counts SET records = records - 1 WHERE master_job_id = OLD.master_job_id AND status = OLD.status;
END;

-- Data that was committed with its rows and is not yet known to survive a power cut as a file. A NULL payload
-- removes the key. AUTOINCREMENT: a number is never used again, so "up to number n" stays true for every process.
CREATE TABLE data_journal (
    number  INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    key     TEXT NOT NULL,
    payload BLOB
) STRICT;

-- Where the data of a key lies, if it lies in a pack: a file of many records, one a line. Without a row here, it is a
-- file of its own.
CREATE TABLE packed_data (
    key    TEXT NOT NULL PRIMARY KEY,
    pack   TEXT NOT NULL,
    start  INTEGER NOT NULL, -- of the first byte, from 0
    length INTEGER NOT NULL  -- in bytes, with the newline
) STRICT, WITHOUT ROWID;

-- How much of each pack is committed; what lies behind it is of a writer that died.
CREATE TABLE packs (
    pack TEXT NOT NULL PRIMARY KEY,
    size INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Ids in use that are not their own lower case, by what a case-insensitive file system makes of them.
CREATE TABLE mixed_case_ids (
    kind   TEXT NOT NULL CHECK (kind IN ('record_uid', 'master_job_id')),
    folded TEXT NOT NULL,
    id     TEXT NOT NULL,
    PRIMARY KEY (kind, folded)
) STRICT, WITHOUT ROWID;

-- Facts about the store itself: 'data_elsewhere' is 'yes' if its data lies in another directory than the database;
-- 'layout' says where new record data goes.
CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Master jobs that are runs. The totals are kept by the triggers on attempts.
CREATE TABLE runs (
    master_job_id   TEXT NOT NULL PRIMARY KEY REFERENCES master_jobs (master_job_id) ON DELETE CASCADE,
    registered      INTEGER NOT NULL, -- one more than the highest position that is stored
    inputs_complete INTEGER NOT NULL CHECK (inputs_complete IN (0, 1)), -- 1: there are no more
    stop_reason     TEXT,
    attempts        INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    input_tokens    INTEGER NOT NULL,
    output_tokens   INTEGER NOT NULL,
    cost            REAL NOT NULL,
    paused_until    TEXT, -- until then, no worker begins a call
    pause_reason    TEXT,
    priority        INTEGER NOT NULL DEFAULT 1 -- weight of its share in limits that runs share
) STRICT;

-- Every call of a run's function for an input, failed ones too, numbered from 1 over all resumes.
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
    conversions     TEXT, -- what was converted so that its outputs could be stored
    segment         INTEGER, -- of the run; NULL: not known
    calls           TEXT, -- how its requests were answered; NULL: it made none
    PRIMARY KEY (job_id, number)
) STRICT;

CREATE INDEX attempts_with_conversions ON attempts (master_job_id) WHERE conversions IS NOT NULL;
CREATE INDEX attempts_with_calls ON attempts (master_job_id) WHERE calls IS NOT NULL;

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

-- Replies of paid steps: a later attempt is given them instead of paying again. None is ever overwritten.
CREATE TABLE steps (
    job_id      TEXT NOT NULL REFERENCES execution_jobs (job_id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    request_key TEXT NOT NULL, -- identity of the request, in hex; '': it is none
    call        INTEGER NOT NULL, -- the n-th of that name and request within an attempt, from 1
    reply       INTEGER NOT NULL, -- the n-th to that call, from 1
    attempt     INTEGER NOT NULL,
    saved_when  TEXT NOT NULL,
    usage       TEXT,
    status      TEXT NOT NULL CHECK (status IN ('kept', 'rejected', 'forgotten')),
    reason      TEXT,
    rejected_by TEXT, -- the code whose attempt rejected it
    asked_when  TEXT,
    reused_from TEXT, -- where it was stored before; NULL: it was paid for
    -- Last, since they may be large: what stands before them is read without them.
    result      TEXT NOT NULL,
    request     TEXT,
    PRIMARY KEY (job_id, name, request_key, call, reply)
) STRICT;

-- Answers to equal requests of other inputs, the newest at the end.
CREATE INDEX steps_by_request ON steps (request_key, call, saved_when) WHERE request_key <> '' AND status = 'kept';

-- What a run was made of, from each start or resume to the next.
CREATE TABLE segments (
    master_job_id TEXT NOT NULL REFERENCES runs (master_job_id) ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    start_time    TEXT NOT NULL,
    identity      TEXT NOT NULL,
    PRIMARY KEY (master_job_id, number)
) STRICT;

-- How inputs ended that run again: it stands until there is a better outcome.
CREATE TABLE standing_outcomes (
    job_id     TEXT NOT NULL PRIMARY KEY REFERENCES execution_jobs (job_id) ON DELETE CASCADE,
    status     TEXT NOT NULL CHECK (status IN ('completed', 'duplicate', 'filtered', 'failed', 'cancelled')),
    start_time TEXT,
    end_time   TEXT,
    worker_id  TEXT
) STRICT;

-- Outputs that are not the current one of their record: an outcome took their place, or a better one kept its own.
CREATE TABLE record_versions (
    record_uid    TEXT NOT NULL,
    number        INTEGER NOT NULL, -- among the outputs of the record
    job_id        TEXT NOT NULL,
    master_job_id TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN (
                      'pending', 'running', 'completed', 'duplicate', 'filtered', 'failed', 'cancelled')),
    output_ref    TEXT, -- key of its data, which is its own alone
    start_time    TEXT NOT NULL,
    end_time      TEXT NOT NULL,
    error_message TEXT,
    data_sha256   TEXT,
    unique_key    TEXT,
    replaced_when TEXT NOT NULL,
    attempt       INTEGER, -- of the attempt whose output it is; NULL: the number
    PRIMARY KEY (record_uid, number),
    FOREIGN KEY (job_id, master_job_id) REFERENCES execution_jobs (job_id, master_job_id) ON DELETE CASCADE
) STRICT;

CREATE INDEX record_versions_by_job ON record_versions (job_id);
CREATE INDEX record_versions_by_run ON record_versions (master_job_id);
CREATE INDEX record_versions_by_data ON record_versions (output_ref) WHERE output_ref IS NOT NULL;

-- Who works on a run. What a worker holds is its own until its lease has expired.
CREATE TABLE workers (
    worker_id     TEXT NOT NULL PRIMARY KEY,
    master_job_id TEXT NOT NULL REFERENCES runs (master_job_id) ON DELETE CASCADE,
    process       TEXT NOT NULL,
    start_time    TEXT NOT NULL,
    lease_expires TEXT NOT NULL,
    segment       INTEGER, -- of the run, that its attempts are made in
    host          TEXT, -- who it is, with the next three; NULL: not known, or it has none
    user_name     TEXT,
    pod           TEXT,
    release       TEXT, -- of this library
    stop_reason   TEXT -- why it alone is to stop; NULL: it is not
) STRICT;

CREATE INDEX workers_by_run ON workers (master_job_id, start_time, worker_id);

-- What people say of records: rows are added, and at most withdrawn.
CREATE TABLE annotations (
    annotation_id TEXT NOT NULL PRIMARY KEY,
    record_uid    TEXT NOT NULL REFERENCES records (record_uid) ON DELETE CASCADE,
    master_job_id TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('verdict', 'label', 'rating', 'comment', 'edit')),
    value         TEXT NOT NULL, -- JSON
    author        TEXT NOT NULL,
    time          TEXT NOT NULL,
    withdrawn     TEXT -- when its author took it back; NULL: it holds
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

-- Limits of calls, which the workers of one run or of many share, and how far they are used. Times are by the clock of
-- the store.
CREATE TABLE call_limits (
    name          TEXT NOT NULL PRIMARY KEY,
    master_job_id TEXT UNIQUE REFERENCES runs (master_job_id) ON DELETE CASCADE, -- whose own it is; NULL: runs share it
    rpm           REAL, -- calls a minute; NULL: any number
    tpm           REAL, -- tokens a minute; NULL: any number
    next_call     TEXT NOT NULL, -- when the next call may begin
    next_token    TEXT NOT NULL, -- when the next token may be used
    part          REAL NOT NULL, -- how much of the limit was used at part_when: less than 1 after a refusal
    part_when     TEXT NOT NULL,
    paused_until  TEXT, -- until then, no call begins
    pause_reason  TEXT,
    shares        TEXT -- JSON: the runs that use it now, and how far each has used its share; NULL: none
) STRICT;

-- What people and programs did to the store beyond writing to it, and who they were: rows are only added.
CREATE TABLE actions (
    action_id TEXT NOT NULL PRIMARY KEY,
    time      TEXT NOT NULL,
    action    TEXT NOT NULL, -- what was done: 'cancel', 'delete', ...
    kind      TEXT NOT NULL, -- of what it was done to: 'run', 'worker', 'limit', 'store', ...
    target    TEXT, -- its id or name; NULL: the store
    detail    TEXT, -- for people; or NULL
    host      TEXT, -- who did it, with the next three; NULL: not known, or there is none
    user_name TEXT,
    pod       TEXT,
    release   TEXT
) STRICT;

CREATE INDEX actions_by_time ON actions (time, action_id);
CREATE INDEX actions_by_target ON actions (target, time, action_id);
