-- Named queries of runs that every engine runs as they stand; how they are written is said in queries.sql.

-- name: register_input
INSERT INTO execution_jobs (
    {registered_input.columns}, status, attempted_generations, produced_outputs_count, {counts.columns})
VALUES
-- each row
({registered_input.parameters}, 'pending', 0, 0, 0, 0, 0, 0)
-- end
ON CONFLICT (job_id) DO NOTHING

-- name: place_input
UPDATE execution_jobs SET position = :position WHERE job_id = :job_id

-- name: list_known_inputs
SELECT job_id FROM execution_jobs WHERE job_id IN (
-- each row
:job_id
-- end
)

-- name: list_present_inputs
-- Cancelled: not among the inputs of the run any more.
SELECT job_id FROM execution_jobs WHERE status <> 'cancelled' AND job_id IN (
-- each row
:job_id
-- end
)

-- name: list_inputs
-- The ids of a run's inputs are in the order of their positions. `|| ''` keeps the planner from an index that is not.
SELECT job_id, position, status, run_config_hash FROM execution_jobs
WHERE job_id > :after AND job_id < :before AND master_job_id || '' = :master_job_id AND position IS NOT NULL
ORDER BY job_id LIMIT :limit

-- name: account_for_inputs
SELECT execution_jobs.job_id, execution_jobs.position, execution_jobs.run_config, COUNT(attempts.number),
       CAST(COALESCE(SUM(attempts.input_tokens), 0) AS BIGINT),
       CAST(COALESCE(SUM(attempts.output_tokens), 0) AS BIGINT), COALESCE(SUM(attempts.cost), 0.0)
FROM execution_jobs LEFT JOIN attempts ON attempts.job_id = execution_jobs.job_id
WHERE execution_jobs.job_id IN (
-- each row
:job_id
-- end
)
GROUP BY execution_jobs.job_id

-- name: list_outputs
SELECT {record.columns but data_sha256} FROM records WHERE job_id IN (
-- each row
:job_id
-- end
)

-- name: find_contents
SELECT records.record_uid, execution_jobs.run_config_hash
FROM records JOIN execution_jobs ON execution_jobs.job_id = records.job_id
WHERE execution_jobs.run_config_hash IS NOT NULL AND records.record_uid IN (
-- each row
:record_uid
-- end
)

-- name: find_segments
SELECT records.record_uid, attempts.segment
FROM records JOIN attempts ON attempts.job_id = records.job_id AND attempts.number = COALESCE(records.attempt, 1)
WHERE attempts.segment IS NOT NULL AND records.record_uid IN (
-- each row
:record_uid
-- end
)

-- name: find_origins
SELECT records.record_uid, attempts.segment, attempts.conversions,
       (SELECT COUNT(*) FROM record_versions WHERE record_versions.record_uid = records.record_uid)
FROM records
LEFT JOIN attempts ON attempts.job_id = records.job_id AND attempts.number = COALESCE(records.attempt, 1)
WHERE records.record_uid IN (
-- each row
:record_uid
-- end
)

-- name: find_failures
-- By what `list_errors` groups them.
SELECT records.record_uid,
       CASE WHEN records.output_ref IS NULL THEN COALESCE(attempts.error_type, 'unknown') ELSE 'refused output' END
FROM records JOIN execution_jobs AS job ON job.job_id = records.job_id
LEFT JOIN attempts ON attempts.job_id = job.job_id AND attempts.number = job.attempted_generations
WHERE records.status = 'failed' AND (records.output_ref IS NOT NULL OR (job.status = 'failed' AND COALESCE(attempts.status, '') <> 'completed'))
  AND records.record_uid IN (
-- each row
:record_uid
-- end
)

-- name: complete_inputs
UPDATE runs SET inputs_complete = 1 WHERE master_job_id = :master_job_id

-- name: reopen_inputs
UPDATE runs SET inputs_complete = 0 WHERE master_job_id = :master_job_id

-- name: set_target
UPDATE master_jobs SET target_record_count = :target_record_count WHERE master_job_id = :master_job_id

-- name: save_worker
INSERT INTO workers ({worker.columns}) VALUES ({worker.parameters})
ON CONFLICT (worker_id) DO UPDATE SET lease_expires = excluded.lease_expires

-- name: list_workers
SELECT {worker.columns} FROM workers
WHERE master_job_id = :master_job_id ORDER BY start_time, worker_id

-- name: remove_worker
DELETE FROM workers WHERE worker_id = :worker_id {wakes}

-- name: finish_input
UPDATE execution_jobs SET {finished_input.assigned}
WHERE job_id = :job_id

-- name: return_input
UPDATE execution_jobs SET
    status = 'pending', worker_id = NULL, start_time = NULL, end_time = NULL, last_update_time = :last_update_time
WHERE job_id = :job_id {wakes}

-- name: claim_input
-- One that is named, unless another worker holds it or it has ended: on a server, it waits for who changes it just now.
UPDATE execution_jobs SET
    status = 'running', worker_id = :worker_id, start_time = :start_time, end_time = NULL,
    last_update_time = :last_update_time
WHERE job_id = :job_id AND master_job_id = :master_job_id AND status = 'pending' AND position IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM settings WHERE name IN ('drain', :drain))
RETURNING {claimed_input.columns}

-- name: return_claim
UPDATE execution_jobs SET
    status = 'pending', worker_id = NULL, start_time = NULL, end_time = NULL, last_update_time = :last_update_time
WHERE job_id = :job_id AND worker_id = :worker_id AND status = 'running' {wakes}

-- name: list_faulty_inputs
-- Of which an output failed, with its error; and of which a record is lost.
SELECT job_id, error_message FROM records WHERE master_job_id = :master_job_id AND status = 'failed'
UNION ALL
SELECT job_id, NULL FROM execution_jobs
WHERE master_job_id = :lost_of AND produced_outputs_count > (
    SELECT count(*) FROM records WHERE records.job_id = execution_jobs.job_id AND records.status <> 'cancelled')

-- name: every_lost_output
-- Inputs that have ended and have fewer records than outputs; not of a run that is being copied or deleted.
SELECT job.job_id, job.produced_outputs_count, count(records.record_uid)
FROM execution_jobs AS job JOIN master_jobs ON master_jobs.master_job_id = job.master_job_id
LEFT JOIN records ON records.job_id = job.job_id AND records.status <> 'cancelled'
WHERE master_jobs.status <> 'pending' AND job.position IS NOT NULL AND job.status NOT IN ('pending', 'running') AND job.produced_outputs_count > 0
  AND NOT {is_being_deleted job}
GROUP BY job.job_id, job.produced_outputs_count
HAVING count(records.record_uid) < job.produced_outputs_count
ORDER BY job.job_id

-- name: get_status_of_outputs
-- Of the attempt whose outputs the records of an input are.
SELECT attempts.status FROM attempts
WHERE attempts.job_id = :job_id AND attempts.number = (
    SELECT max(coalesce(records.attempt, 1)) FROM records WHERE records.job_id = :of_job AND records.status <> 'cancelled')

-- name: save_standing
INSERT INTO standing_outcomes ({standing.columns}) VALUES ({standing.parameters})
ON CONFLICT (job_id) DO UPDATE SET {standing.assigned of excluded}

-- name: forget_standing
DELETE FROM standing_outcomes WHERE job_id = :job_id

-- name: get_standing
SELECT {standing.columns} FROM standing_outcomes WHERE job_id = :job_id

-- name: set_unique_key
UPDATE records SET unique_key = :unique_key WHERE record_uid = :record_uid

-- name: set_record_attempt
UPDATE records SET attempt = :attempt, version_number = :version_number WHERE record_uid = :record_uid

-- name: list_rows_of_job
SELECT {record.columns}, {version} AS data_version, unique_key, attempt, version_number FROM records WHERE job_id = :job_id

-- name: list_keys_of_inputs
SELECT unique_key FROM records WHERE unique_key IS NOT NULL AND job_id IN (
-- each row
:job_id
-- end
)

-- name: get_whole_record
SELECT {record.columns}, {version} AS data_version, unique_key, attempt, version_number FROM records WHERE record_uid = :record_uid

-- name: list_versions
SELECT {version.columns}, {version} AS data_version FROM record_versions
WHERE record_uid = :record_uid ORDER BY number

-- name: page_of_old_versions
SELECT {version.columns}, {version} AS data_version FROM record_versions
WHERE replaced_when < :replaced_when AND (record_uid, number) > (:after, :after_number)
ORDER BY record_uid, number LIMIT 500

-- name: list_version_numbers
SELECT number FROM record_versions WHERE record_uid = :record_uid

-- name: get_version_number
-- Of the current output of a record.
SELECT coalesce(version_number, attempt, 1) FROM records WHERE record_uid = :record_uid

-- name: delete_version
DELETE FROM record_versions WHERE record_uid = :record_uid AND number = :number

-- name: save_attempt
INSERT INTO attempts ({attempt.columns})
VALUES
-- each row
({attempt.parameters})
-- end
ON CONFLICT (job_id, number) DO NOTHING

-- name: delete_attempt
DELETE FROM attempts WHERE job_id = :job_id AND number = :number

-- name: count_attempts
UPDATE execution_jobs SET attempted_generations = :attempted_generations, last_update_time = :last_update_time
WHERE job_id = :job_id

-- name: get_attempt
SELECT {attempt.columns} FROM attempts WHERE job_id = :job_id AND number = :number

-- name: list_attempts
SELECT {attempt.columns} FROM attempts WHERE job_id = :job_id ORDER BY number

-- name: get_interrupted_attempt
SELECT {attempt.columns} FROM attempts
WHERE job_id = :job_id AND worker_id = :worker_id AND status = 'interrupted' ORDER BY number DESC LIMIT 1

-- name: get_error_type
SELECT error_type FROM attempts WHERE job_id = :job_id AND number = :number

-- name: save_step
-- What a row log of format 3 leaves out is the first reply to the first call, kept; before format 5, none is a request's.
INSERT INTO steps ({step.columns})
VALUES (:job_id, :name, coalesce(:request_key, ''), coalesce(CAST(:call AS BIGINT), 1),
        coalesce(CAST(:reply AS BIGINT), 1), :attempt, :saved_when, :usage, coalesce(:status, 'kept'),
        {step.parameters but job_id name request_key call reply attempt saved_when usage status})
ON CONFLICT ({step.id}) DO UPDATE SET {step.assigned of excluded}

-- name: mark_step
UPDATE steps SET {step_mark.assigned}
WHERE job_id = :job_id AND name = :name AND request_key = coalesce(:request_key, '') AND call = :call AND reply = :reply

-- name: get_last_reply
SELECT max(reply) FROM steps
WHERE job_id = :job_id AND name = :name AND request_key = :request_key AND call = :call

-- name: get_step
SELECT {step.columns} FROM steps
WHERE job_id = :job_id AND name = :name AND request_key = :request_key AND call = :call AND reply = :reply

-- name: list_replies
SELECT {step.columns} FROM steps
WHERE job_id = :job_id AND name = :name AND request_key = :request_key AND call = :call ORDER BY reply

-- name: list_steps
SELECT {step.columns} FROM steps WHERE job_id = :job_id ORDER BY name, request_key, call, reply

-- name: list_attempt_steps
-- The replies that an attempt has stored.
SELECT usage, request_key, reused_from FROM steps
WHERE job_id = :job_id AND attempt = :attempt
ORDER BY name, request_key, call, reply

-- name: list_steps_to_forget
SELECT {step_mark.columns of steps but status reason rejected_by}, steps.reason, steps.rejected_by
FROM execution_jobs JOIN steps ON steps.job_id = execution_jobs.job_id
WHERE execution_jobs.master_job_id = :master_job_id AND steps.status <> 'forgotten' AND steps.name IN (
-- each row
:name
-- end
)

-- name: find_reply_in_store
-- The index has kept replies to requests alone, and those of one request in the order of their times.
SELECT {step.columns} FROM steps
WHERE request_key = :request_key AND call = :call AND request_key <> '' AND status = 'kept'
ORDER BY saved_when DESC LIMIT 1

-- name: find_reply_in_project
SELECT {step.columns of steps} FROM steps
CROSS JOIN execution_jobs AS job CROSS JOIN master_jobs
WHERE steps.request_key = :request_key AND steps.call = :call AND steps.request_key <> '' AND steps.status = 'kept'
  AND job.job_id = steps.job_id AND master_jobs.master_job_id = job.master_job_id
  AND master_jobs.project_id = :project_id
ORDER BY steps.saved_when DESC LIMIT 1

-- name: list_requests
-- In the range of the ids of a run's inputs; an execution job of another one could be given such an id.
SELECT {step.columns} FROM steps
WHERE job_id < :last AND ({step.id}) > (:after, :name, :key, :call, :reply)
  AND request_key <> ''
  -- Asked of each row, so that no plan begins with the jobs and sorts.
  AND (SELECT master_job_id FROM execution_jobs WHERE execution_jobs.job_id = steps.job_id) = :master_job_id
ORDER BY {step.id} LIMIT :limit

-- name: save_segment
INSERT INTO segments ({segment.columns}) VALUES ({segment.parameters})
ON CONFLICT (master_job_id, number) DO UPDATE SET {segment.assigned of excluded}

-- name: get_last_segment
SELECT max(number) FROM segments WHERE master_job_id = :master_job_id

-- name: list_newest_segments
SELECT {segment.columns} FROM segments WHERE master_job_id = :master_job_id ORDER BY number DESC LIMIT :limit

-- name: list_segments
SELECT {segment.columns} FROM segments WHERE master_job_id = :master_job_id ORDER BY number

-- name: request_stop
UPDATE runs SET stop_reason = :stop_reason WHERE master_job_id = :master_job_id

-- name: stop_worker
UPDATE workers SET stop_reason = :stop_reason WHERE worker_id = :worker_id

-- name: lock_priority
SELECT priority FROM runs WHERE master_job_id = :master_job_id {locked_but_for_key}

-- name: set_priority
UPDATE runs SET priority = :priority WHERE master_job_id = :master_job_id

-- name: get_pause
SELECT paused_until FROM runs WHERE master_job_id = :master_job_id

-- name: pause_run
UPDATE runs SET paused_until = :paused_until, pause_reason = :pause_reason WHERE master_job_id = :master_job_id

-- name: refresh_run
UPDATE master_jobs SET
    ({counts.columns}) = (
        SELECT coalesce(sum(records) FILTER (WHERE status = 'completed'), 0),
               coalesce(sum(records) FILTER (WHERE status = 'filtered'), 0),
               coalesce(sum(records) FILTER (WHERE status = 'duplicate'), 0),
               coalesce(sum(records) FILTER (WHERE status = 'failed'), 0)
        FROM record_counts WHERE record_counts.master_job_id = master_jobs.master_job_id),
    last_update_time = :last_update_time
WHERE master_job_id = :master_job_id

-- name: count_running_inputs
-- And how many of these a worker has.
SELECT count(*), coalesce(sum(CASE WHEN worker_id = :worker_id THEN 1 ELSE 0 END), 0)
FROM execution_jobs {index_of_statuses} WHERE master_job_id = :master_job_id AND status = 'running'

-- name: count_inputs
SELECT status, count(*) FROM execution_jobs {index_of_statuses} WHERE master_job_id = :master_job_id
GROUP BY status ORDER BY status

-- name: has_open_inputs
-- Whether an input waits for a worker, and whether one has a worker.
SELECT
    EXISTS (SELECT 1 FROM execution_jobs
            WHERE master_job_id = :master_job_id AND status = 'pending' AND position IS NOT NULL),
    EXISTS (SELECT 1 FROM execution_jobs {index_of_statuses} WHERE master_job_id = :master_job_id AND status = 'running')

-- name: list_ended_inputs_of
-- `|| ''` keeps the planner to the ids, which are few.
SELECT {ended_input.columns} FROM execution_jobs
WHERE position IS NOT NULL AND status NOT IN ('pending', 'running') AND job_id IN (
-- each row
:job_id
-- end
) AND master_job_id || '' = :master_job_id {locked_in_order}

-- name: lock_run
-- Whatever changes the row of a run or of its master job begins here: in another order, each would wait for the other.
SELECT master_job_id FROM runs WHERE master_job_id = :master_job_id {locked_but_for_key}

-- name: try_to_lock_run
-- No row: another one has it.
SELECT master_job_id FROM runs WHERE master_job_id = :master_job_id {locked_but_for_key} {if_not_locked}

-- name: note_registered
UPDATE runs SET registered = {largest}(registered, :registered) WHERE master_job_id = :master_job_id {wakes}

-- name: get_worker
-- Whoever claims for it, and whoever takes it for dead, wait for each other.
SELECT {worker.columns} FROM workers WHERE worker_id = :worker_id {locked}

-- name: try_to_lock_worker
-- No row: it is gone, or somebody has it, who may be stopped and is not waited for.
SELECT {worker.columns} FROM workers WHERE worker_id = :worker_id {locked} {if_not_locked}

-- name: list_claimed_inputs
SELECT {held_input.columns} FROM execution_jobs {index_of_statuses}
WHERE master_job_id = :master_job_id AND status = 'running' AND worker_id = :worker_id AND position IS NOT NULL
{locked_in_order}

-- name: list_unowned_inputs
-- Workers that were noted meanwhile are not seen here: they have to be looked for afterwards. What somebody has is passed
-- over.
SELECT job_id, worker_id FROM execution_jobs {index_of_statuses}
WHERE master_job_id = :master_job_id AND status = 'running' AND position IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM workers WHERE workers.worker_id = execution_jobs.worker_id)
{locked_in_order} {if_not_locked}

-- name: get_input
-- What finishing an input changes, in the order in which that takes it; then its run and its last attempt. Nobody else
-- changes it meanwhile.
SELECT {finished_input.columns}, master_job_id,
       (SELECT max(number) FROM attempts WHERE attempts.job_id = execution_jobs.job_id)
FROM execution_jobs WHERE job_id = :job_id {locked}

-- name: search_records
-- each status
SELECT {record.columns but data_sha256} FROM records
WHERE master_job_id = :master_job_id AND status = :status AND {has_error_text}
-- merged
ORDER BY start_time DESC, record_uid DESC LIMIT :limit OFFSET :offset

-- name: list_drains
SELECT name, value FROM settings WHERE name >= 'drain' AND name < 'drain!' ORDER BY name

-- name: end_drains
DELETE FROM settings WHERE name >= 'drain' AND name < 'drain!'

-- name: list_working
-- All workers, each with how many inputs it has claimed.
SELECT {worker.columns}, (
    SELECT count(*) FROM execution_jobs AS job
    WHERE job.master_job_id = workers.master_job_id AND job.status = 'running' AND job.worker_id = workers.worker_id)
FROM workers ORDER BY master_job_id, start_time, worker_id
