-- Named queries of runs of PostgreSQL alone; how they are written is said in ../common/queries.sql.

-- name: start_run
INSERT INTO runs (master_job_id, registered, inputs_complete) VALUES (:master_job_id, 0, 0)
ON CONFLICT (master_job_id) DO NOTHING

-- name: get_run
SELECT runs.master_job_id, registered, inputs_complete, stop_reason,
       coalesce(sum(attempts), 0)::bigint, coalesce(sum(failed_attempts), 0)::bigint,
       coalesce(sum(input_tokens), 0)::bigint, coalesce(sum(output_tokens), 0)::bigint, coalesce(sum(cost), 0.0),
       paused_until, pause_reason, priority,
       (SELECT min(value) FROM settings WHERE name IN ('drain', 'drain ' || runs.master_job_id))
FROM runs LEFT JOIN run_totals USING (master_job_id)
WHERE runs.master_job_id = :master_job_id
GROUP BY runs.master_job_id

-- name: list_run_states
SELECT runs.master_job_id, registered, inputs_complete, stop_reason,
       coalesce(sum(attempts), 0)::bigint, coalesce(sum(failed_attempts), 0)::bigint,
       coalesce(sum(input_tokens), 0)::bigint, coalesce(sum(output_tokens), 0)::bigint, coalesce(sum(cost), 0.0),
       paused_until, pause_reason, priority,
       (SELECT min(value) FROM settings WHERE name IN ('drain', 'drain ' || runs.master_job_id))
FROM runs LEFT JOIN run_totals USING (master_job_id)
WHERE runs.master_job_id IN (
-- each row
:master_job_id
-- end
)
GROUP BY runs.master_job_id

-- name: count_records_of_runs
SELECT master_job_id, status, sum(records)::bigint FROM record_counts WHERE master_job_id IN (
-- each row
:master_job_id
-- end
)
GROUP BY master_job_id, status HAVING sum(records) > 0
ORDER BY master_job_id, status

-- name: lock_workers
-- Before the inputs that they hold, as whoever takes one for dead does it.
SELECT worker_id FROM workers WHERE worker_id = ANY (:worker_ids::text[]) ORDER BY worker_id FOR UPDATE

-- name: list_ended_inputs
-- Locked, since who returns them to pending must not find them claimed meanwhile.
-- each status
SELECT {ended_input.columns} FROM (
    SELECT {ended_input.columns} FROM execution_jobs
    WHERE master_job_id = :master_job_id AND status = :status AND position IS NOT NULL
    ORDER BY job_id FOR UPDATE) AS locked
-- merged

-- name: claim_inputs
UPDATE execution_jobs SET
    status = 'running', worker_id = :worker_id, start_time = :start_time, end_time = NULL,
    last_update_time = :last_update_time
-- As an array, so that it is asked for once, whatever the plan: a join could ask again, and lock more than the limit.
WHERE job_id = ANY (ARRAY(
    SELECT job_id FROM execution_jobs
    WHERE master_job_id = :master_job_id AND status = 'pending' AND position IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM settings WHERE name IN ('drain', :drain))
    ORDER BY position LIMIT :limit FOR UPDATE SKIP LOCKED))
RETURNING {claimed_input.columns}

-- name: get_completed_of_unique_key
WITH wanted AS (SELECT :master_job_id::text AS run, :unique_key::text AS key, :job_id::text AS job)
SELECT record_uid FROM records, wanted
WHERE master_job_id = wanted.run AND hashtextextended(unique_key, 0) = hashtextextended(wanted.key, 0)
  AND unique_key IS NOT NULL AND unique_key = wanted.key AND status = 'completed' AND job_id <> wanted.job
LIMIT 1

-- name: list_errors
-- Of inputs that failed, by what the last attempt raised, with the first of each kind; and of outputs that were refused.
-- Jobs of the published API, and of Starfish, have no attempts: their kind is unknown, and what was refused counts once.
SELECT kind, failures, message, first_job FROM (
    SELECT coalesce(attempts.error_type, 'unknown') AS kind, count(*) AS failures,
           (array_agg(job.error_message ORDER BY job.job_id))[1] AS message, min(job.job_id) AS first_job
    FROM execution_jobs AS job
    LEFT JOIN attempts ON attempts.job_id = job.job_id AND attempts.number = job.attempted_generations
    WHERE job.master_job_id = :master_job_id AND job.status = 'failed'
      AND CASE WHEN attempts.status IS NULL
               THEN NOT EXISTS (SELECT 1 FROM records WHERE records.job_id = job.job_id
                                AND records.status = 'failed' AND records.output_ref IS NOT NULL)
               ELSE attempts.status <> 'completed' END
    GROUP BY 1
    UNION ALL
    SELECT 'refused output', count(*), (array_agg(error_message ORDER BY job_id))[1], min(job_id) FROM records
    WHERE master_job_id = :refused_in AND status = 'failed' AND output_ref IS NOT NULL HAVING count(*) > 0) AS groups
ORDER BY failures DESC, kind COLLATE "C"

-- name: count_steps
-- PostgreSQL's JSON has no NUL.
SELECT name, count(*) FILTER (WHERE steps.status = 'kept'), count(*) FILTER (WHERE steps.status = 'rejected'),
       count(*) FILTER (WHERE steps.status = 'forgotten'), coalesce(sum(used.input_tokens), 0)::bigint,
       coalesce(sum(used.output_tokens), 0)::bigint, coalesce(sum(used.cost), 0.0)
FROM execution_jobs JOIN steps ON steps.job_id = execution_jobs.job_id
CROSS JOIN LATERAL (
    SELECT sum((one ->> 1)::bigint) AS input_tokens, sum((one ->> 2)::bigint) AS output_tokens,
           sum((one ->> 3)::double precision) AS cost
    FROM json_array_elements(regexp_replace(steps.usage, '\\u0000', '\\ufffd', 'g')::json) AS one) AS used
WHERE execution_jobs.master_job_id = :master_job_id GROUP BY name ORDER BY name

-- name: count_conversions
SELECT one ->> 0, sum((one ->> 1)::bigint)::bigint
FROM attempts CROSS JOIN LATERAL json_array_elements(regexp_replace(conversions, '\\u0000', '\\ufffd', 'g')::json) AS one
WHERE master_job_id = :master_job_id AND conversions IS NOT NULL GROUP BY 1 ORDER BY 1

-- name: count_calls
SELECT coalesce(sum((one ->> 0)::bigint), 0)::bigint, coalesce(sum((one ->> 1)::bigint), 0)::bigint,
       coalesce(sum((one ->> 2)::bigint), 0)::bigint, coalesce(sum((one ->> 3)::double precision), 0.0),
       coalesce(sum((one ->> 4)::bigint), 0)::bigint
FROM attempts CROSS JOIN LATERAL CAST(regexp_replace(calls, '\\u0000', '\\ufffd', 'g') AS json) AS one
WHERE master_job_id = :master_job_id AND calls IS NOT NULL

-- name: count_call_notes
SELECT one ->> 0, min(one ->> 1), one ->> 2, one ->> 3, sum((one ->> 4)::bigint)::bigint
FROM attempts
CROSS JOIN LATERAL json_array_elements(regexp_replace(calls, '\\u0000', '\\ufffd', 'g')::json -> 5) AS one
WHERE master_job_id = :master_job_id AND calls IS NOT NULL
GROUP BY one ->> 0, one ->> 2, one ->> 3
ORDER BY 5 DESC, (one ->> 0) COLLATE "C", (one ->> 2) COLLATE "C", (one ->> 3) COLLATE "C" LIMIT 20

-- name: get_last_replies
-- Many at a time: what `get_last_reply` does.
SELECT job_id, name, request_key, call, max(reply) FROM steps
WHERE job_id = ANY (:job_ids::text[]) GROUP BY job_id, name, request_key, call

-- name: lock_jobs_of_steps
-- Those of some execution jobs that are there; nobody else numbers replies of theirs meanwhile.
SELECT job_id FROM execution_jobs WHERE job_id = ANY (:job_ids::text[]) ORDER BY job_id FOR NO KEY UPDATE

-- name: save_version
INSERT INTO record_versions ({version.columns}, data_version) VALUES ({version.parameters}, :data_version)
ON CONFLICT (record_uid, number) DO UPDATE SET {version.assigned of excluded}, data_version = excluded.data_version

-- name: get_version_of_data
-- Which version of its data a version of a record has; nobody else removes it meanwhile.
SELECT data_version FROM record_versions WHERE record_uid = :record_uid AND number = :number FOR UPDATE

-- name: take_version
DELETE FROM record_versions WHERE record_uid = :record_uid AND number = :number RETURNING output_ref, data_version

-- name: forget_run_totals
DELETE FROM run_totals

-- name: recount_totals
INSERT INTO run_totals (master_job_id, slot, attempts, failed_attempts, input_tokens, output_tokens, cost)
SELECT master_job_id, 0, count(*), count(*) FILTER (WHERE attempts.status IN ('failed', 'interrupted')),
       sum(input_tokens), sum(output_tokens), sum(cost)
FROM attempts JOIN runs USING (master_job_id) GROUP BY master_job_id

-- name: lock_inputs
-- Many at a time: what `get_input` returns.
SELECT {finished_input.columns}, master_job_id,
       (SELECT max(number) FROM attempts WHERE attempts.job_id = execution_jobs.job_id)
FROM execution_jobs WHERE job_id = ANY (:job_ids::text[]) ORDER BY job_id FOR UPDATE

-- name: save_attempts
-- Many at a time: what `save_attempt` does.
INSERT INTO attempts ({attempt.columns})
SELECT * FROM unnest({attempt.arrays})
ON CONFLICT (job_id, number) DO NOTHING

-- name: finish_inputs
-- Many at a time: what `finish_input` does.
UPDATE execution_jobs AS job SET {finished_input.assigned of given}
FROM unnest({finished_input.arrays})
AS given ({finished_input.columns})
WHERE job.job_id = given.job_id

-- name: list_inputs_by_content
-- The beginning of each status, over an index in which it stands before the digest.
WITH given (master_job_id, digest, most) AS MATERIALIZED (SELECT :master_job_id::text, :digest::text, :limit::bigint)
SELECT found.* FROM given, {every_status}, LATERAL (
    SELECT job_id, position, status, run_config_hash, creation_time FROM execution_jobs
    WHERE master_job_id = given.master_job_id AND status = statuses.status AND run_config_hash > given.digest
    ORDER BY run_config_hash, creation_time DESC, job_id DESC LIMIT (SELECT most FROM given)) AS found
ORDER BY run_config_hash, creation_time DESC, job_id DESC LIMIT (SELECT most FROM given)

-- name: list_inputs_of_content
WITH given (master_job_id, digest, creation_time, job_id, most) AS MATERIALIZED (
    SELECT :master_job_id::text, :digest::text, :creation_time::text, :job_id::text, :limit::bigint)
SELECT found.* FROM given, {every_status}, LATERAL (
    SELECT job_id, position, status, run_config_hash, creation_time FROM execution_jobs
    WHERE master_job_id = given.master_job_id AND status = statuses.status AND run_config_hash = given.digest
      AND (creation_time, job_id) < (given.creation_time, given.job_id)
    ORDER BY creation_time DESC, job_id DESC LIMIT (SELECT most FROM given)) AS found
ORDER BY creation_time DESC, job_id DESC LIMIT (SELECT most FROM given)

-- name: renew_lease
-- Outside of groups, for which it would have to wait. No row: the worker is not noted, or another release has migrated
-- the store; a group sees to that.
UPDATE workers SET lease_expires = to_char(
    (clock_timestamp() + :seconds::double precision * interval '1 second') AT TIME ZONE 'UTC',
    'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
WHERE worker_id = :worker_id AND master_job_id = :master_job_id
  AND (SELECT value FROM settings WHERE name = 'schema_version') = :version
RETURNING {worker.columns}

-- name: wait_for_inputs
-- Until the session ends or says otherwise; what frees inputs then tells it. The number of the lock.
SELECT waiting, pg_advisory_lock_shared(waiting)
FROM hashtextextended('starfish-storage ' || current_schema() || ' ' || :master_job_id::text, 0) AS waiting

-- name: wait_no_longer
SELECT pg_advisory_unlock_shared(:waiting)
