-- Segments of runs, and requests as steps: of which request each is, and where its answer was stored before.
ALTER TABLE attempts ADD COLUMN segment BIGINT, ADD COLUMN calls TEXT COLLATE "C";

CREATE INDEX attempts_with_calls ON attempts (master_job_id) WHERE calls IS NOT NULL;

ALTER TABLE workers ADD COLUMN segment BIGINT;

ALTER TABLE steps
    ADD COLUMN request_key TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN asked_when TEXT COLLATE "C",
    ADD COLUMN reused_from TEXT COLLATE "C",
    ADD COLUMN request TEXT COLLATE "C",
    DROP CONSTRAINT steps_pkey,
    ADD PRIMARY KEY (job_id, name, request_key, call, reply);

ALTER TABLE steps ALTER COLUMN request_key DROP DEFAULT;

CREATE INDEX steps_by_request ON steps (request_key, call, saved_when) WHERE request_key <> '' AND status = 'kept';

CREATE TABLE segments (
    master_job_id TEXT COLLATE "C" NOT NULL REFERENCES runs (master_job_id) ON DELETE CASCADE,
    number        BIGINT NOT NULL,
    start_time    TEXT COLLATE "C" NOT NULL,
    identity      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (master_job_id, number)
);
