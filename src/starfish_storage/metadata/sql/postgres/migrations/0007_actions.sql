-- Who a worker is; and why it alone is to stop.
ALTER TABLE workers ADD COLUMN host TEXT COLLATE "C";
ALTER TABLE workers ADD COLUMN user_name TEXT COLLATE "C";
ALTER TABLE workers ADD COLUMN pod TEXT COLLATE "C";
ALTER TABLE workers ADD COLUMN release TEXT COLLATE "C";
ALTER TABLE workers ADD COLUMN stop_reason TEXT COLLATE "C";

-- How much of a shared limit a run gets, and who uses it now.
ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;
ALTER TABLE call_limits ADD COLUMN shares TEXT COLLATE "C";

-- What people and programs did to the store beyond writing to it, and who they were: rows are only added.
CREATE TABLE actions (
    action_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    time      TEXT COLLATE "C" NOT NULL,
    action    TEXT COLLATE "C" NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL,
    target    TEXT COLLATE "C",
    detail    TEXT COLLATE "C",
    host      TEXT COLLATE "C",
    user_name TEXT COLLATE "C",
    pod       TEXT COLLATE "C",
    release   TEXT COLLATE "C"
);

CREATE INDEX actions_by_time ON actions (time, action_id);
CREATE INDEX actions_by_target ON actions (target, time, action_id);

-- Begins a group, and raises if the schema has another version than the writer knows, for one that begins it and asks
-- for more in one round trip.
CREATE FUNCTION begin_known_group(
    this_writer TEXT, this_number BIGINT, known_version BIGINT, store BIGINT, alone BOOLEAN
) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    IF begin_group(this_writer, this_number, known_version, store, alone) IS DISTINCT FROM known_version::text THEN
        RAISE EXCEPTION 'the schema has another version';
    END IF;
END $$;

-- Stores a whole group in one round trip, a transaction of its own: records with their data, inputs that are finished,
-- runs whose counts are brought up to date unless another worker does it, and inputs that workers claim; each as one
-- array a column. Raises where a statement for each part has to look closer: the writer then stores the group so.
-- Returns the claimed inputs.
CREATE FUNCTION write_group(
    this_writer TEXT, this_number BIGINT, known_version BIGINT, store BIGINT,
    uids TEXT[], jobs_of_records TEXT[], runs_of_records TEXT[], statuses TEXT[], refs TEXT[], starts TEXT[],
    ends TEXT[], updates TEXT[], errors TEXT[], digests TEXT[], versions TEXT[], folded TEXT[],
    attempted TEXT[], numbers BIGINT[], runs_of_attempts TEXT[], workers_of_attempts TEXT[], ways TEXT[],
    begun TEXT[], ended TEXT[], error_types TEXT[], error_messages TEXT[], tracebacks TEXT[], inputs_read BIGINT[],
    outputs_made BIGINT[], costs DOUBLE PRECISION[], usages TEXT[], conversions_made TEXT[], segments_of BIGINT[],
    calls_made TEXT[],
    came_to TEXT[], attempts_made BIGINT[], produced BIGINT[], completed BIGINT[], filtered BIGINT[],
    duplicates BIGINT[], failed BIGINT[], counted TEXT[], input_starts TEXT[], input_ends TEXT[],
    input_updates TEXT[], holders TEXT[], input_errors TEXT[], finished TEXT[],
    claiming_runs TEXT[], claiming_workers TEXT[], most BIGINT[], refreshed TEXT[],
    this_moment TEXT
) RETURNS TABLE (
    job_id TEXT, master_job_id TEXT, "position" BIGINT, run_config TEXT, attempted_generations BIGINT, worker_id TEXT
) LANGUAGE plpgsql
-- Every row is found by its key. Plans that were made while a run was small would read the whole of a large one.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    claiming RECORD;
BEGIN
    PERFORM begin_known_group(this_writer, this_number, known_version, store, false);
    -- Workers before the inputs that they hold, as whoever takes one for dead does it.
    PERFORM 1 FROM workers WHERE worker_id = ANY (holders) OR worker_id = ANY (claiming_workers)
    ORDER BY worker_id FOR UPDATE;
    IF cardinality(finished) > 0 THEN
        PERFORM 1 FROM execution_jobs AS job
        JOIN unnest(finished, holders, runs_of_attempts) AS given (job_id, worker_id, master_job_id)
            ON job.job_id = given.job_id
        WHERE job.status = 'running' AND job.worker_id = given.worker_id AND job.master_job_id = given.master_job_id
          AND job.attempted_generations = 0
          AND NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.job_id = job.job_id)
        ORDER BY job.job_id FOR UPDATE OF job;
        GET DIAGNOSTICS this_number = ROW_COUNT;
        IF this_number < cardinality(finished) THEN
            RAISE EXCEPTION 'an input is not held, or has earlier attempts';
        END IF;
        INSERT INTO attempts (
            job_id, number, master_job_id, worker_id, status, start_time, end_time, error_type, error_message,
            error_traceback, input_tokens, output_tokens, cost, usage, conversions, segment, calls)
        SELECT * FROM unnest(
            attempted, numbers, runs_of_attempts, workers_of_attempts, ways, begun, ended, error_types, error_messages,
            tracebacks, inputs_read, outputs_made, costs, usages, conversions_made, segments_of, calls_made);
        UPDATE execution_jobs AS job SET
            status = given.status, attempted_generations = given.attempted, produced_outputs_count = given.produced,
            completed_record_count = given.completed, filtered_record_count = given.filtered,
            duplicate_record_count = given.duplicates, failed_record_count = given.failed, counts = given.counts,
            start_time = given.start_time, end_time = given.end_time, last_update_time = given.last_update_time,
            worker_id = given.worker_id, error_message = given.error_message
        FROM unnest(
            came_to, attempts_made, produced, completed, filtered, duplicates, failed, counted, input_starts,
            input_ends, input_updates, holders, input_errors, finished)
        AS given (status, attempted, produced, completed, filtered, duplicates, failed, counts, start_time, end_time,
                  last_update_time, worker_id, error_message, job_id)
        WHERE job.job_id = given.job_id;
    END IF;
    IF cardinality(uids) > 0 THEN
        IF EXISTS (SELECT 1 FROM mixed_case_ids WHERE kind = 'record_uid' AND folded = ANY (write_group.folded))
            OR EXISTS (SELECT 1 FROM loose_data WHERE key = ANY (refs))
            OR EXISTS (
                SELECT 1 FROM records JOIN unnest(uids, refs) AS given (uid, ref) ON record_uid = uid
                WHERE output_ref IS NOT NULL
                  AND (output_ref IS DISTINCT FROM ref OR coalesce(strpos(data_version, ':'), 0) = 0))
        THEN
            RAISE EXCEPTION 'what a record replaces has to be looked at';
        END IF;
        INSERT INTO records (
            record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time,
            error_message, data_sha256, data_version)
        SELECT * FROM unnest(
            uids, jobs_of_records, runs_of_records, statuses, refs, starts, ends, updates, errors, digests, versions)
        AS given (uid) ORDER BY uid
        ON CONFLICT (record_uid) DO UPDATE SET
            job_id = excluded.job_id, master_job_id = excluded.master_job_id, status = excluded.status,
            output_ref = excluded.output_ref, start_time = excluded.start_time, end_time = excluded.end_time,
            last_update_time = excluded.last_update_time, error_message = excluded.error_message,
            data_sha256 = excluded.data_sha256, data_version = excluded.data_version;
    END IF;
    IF cardinality(refreshed) > 0 THEN
        UPDATE master_jobs SET (
            completed_record_count, filtered_record_count, duplicate_record_count, failed_record_count) = (
            SELECT coalesce(sum(records) FILTER (WHERE status = 'completed'), 0),
                   coalesce(sum(records) FILTER (WHERE status = 'filtered'), 0),
                   coalesce(sum(records) FILTER (WHERE status = 'duplicate'), 0),
                   coalesce(sum(records) FILTER (WHERE status = 'failed'), 0)
            FROM record_counts WHERE record_counts.master_job_id = master_jobs.master_job_id),
            last_update_time = this_moment
        WHERE master_job_id = ANY (ARRAY(
            SELECT runs.master_job_id FROM runs WHERE runs.master_job_id = ANY (refreshed)
            ORDER BY runs.master_job_id FOR NO KEY UPDATE SKIP LOCKED));
    END IF;
    IF EXISTS (
        SELECT 1 FROM unnest(claiming_runs, claiming_workers) AS given (master_job_id, worker_id)
        LEFT JOIN workers USING (master_job_id, worker_id) WHERE workers.process IS NULL)
    THEN
        RAISE EXCEPTION 'a worker is not noted any more';
    END IF;
    FOR claiming IN
        SELECT * FROM unnest(claiming_runs, claiming_workers, most) AS given (master_job_id, worker_id, most)
        ORDER BY master_job_id, worker_id
    LOOP
        RETURN QUERY UPDATE execution_jobs AS job SET
            status = 'running', worker_id = claiming.worker_id, start_time = this_moment, end_time = NULL,
            last_update_time = this_moment
        WHERE job.job_id = ANY (ARRAY(
            SELECT job_id FROM execution_jobs
            WHERE master_job_id = claiming.master_job_id AND status = 'pending' AND position IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM settings WHERE name IN ('drain', 'drain ' || claiming.master_job_id))
            ORDER BY position LIMIT claiming.most FOR UPDATE SKIP LOCKED))
        RETURNING job.job_id, job.master_job_id, job.position, job.run_config, job.attempted_generations, job.worker_id;
    END LOOP;
END $$;
