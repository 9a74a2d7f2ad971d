-- Named queries of runs that every engine runs as they stand; how they are written is said in queries.sql.

-- name: register_input
INSERT INTO execution_jobs (
    job_id, master_job_id, status, run_config, run_config_hash, attempted_generations, produced_outputs_count,
    completed_record_count, filtered_record_count, duplicate_record_count, failed_record_count, creation_time,
    last_update_time, position)
VALUES
-- each row
(:job_id, :master_job_id, 'pending', :run_config, :run_config_hash, 0, 0, 0, 0, 0, 0, :creation_time,
 :last_update_time, :position)
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

-- name: complete_inputs
UPDATE runs SET inputs_complete = 1 WHERE master_job_id = :master_job_id

-- name: set_target
UPDATE master_jobs SET target_record_count = :target_record_count WHERE master_job_id = :master_job_id

-- name: save_worker
INSERT INTO workers (worker_id, master_job_id, process, start_time, lease_expires)
VALUES (:worker_id, :master_job_id, :process, :start_time, :lease_expires)
ON CONFLICT (worker_id) DO UPDATE SET lease_expires = excluded.lease_expires

-- name: list_workers
SELECT worker_id, master_job_id, process, start_time, lease_expires FROM workers
WHERE master_job_id = :master_job_id ORDER BY start_time, worker_id

-- name: remove_worker
DELETE FROM workers WHERE worker_id = :worker_id

-- name: finish_input
UPDATE execution_jobs SET
    status = :status, attempted_generations = :attempted_generations,
    produced_outputs_count = :produced_outputs_count, completed_record_count = :completed_record_count,
    filtered_record_count = :filtered_record_count, duplicate_record_count = :duplicate_record_count,
    failed_record_count = :failed_record_count, counts = :counts, start_time = :start_time, end_time = :end_time,
    last_update_time = :last_update_time, worker_id = :worker_id, error_message = :error_message
WHERE job_id = :job_id

-- name: return_input
UPDATE execution_jobs SET
    status = 'pending', worker_id = NULL, start_time = NULL, end_time = NULL, last_update_time = :last_update_time
WHERE job_id = :job_id

-- name: return_claim
UPDATE execution_jobs SET
    status = 'pending', worker_id = NULL, start_time = NULL, end_time = NULL, last_update_time = :last_update_time
WHERE job_id = :job_id AND worker_id = :worker_id AND status = 'running'

-- name: set_unique_key
UPDATE records SET unique_key = :unique_key WHERE record_uid = :record_uid

-- name: list_unique_keys_of_job
SELECT unique_key, record_uid FROM records WHERE job_id = :job_id AND unique_key IS NOT NULL

-- name: list_rows_of_job
SELECT record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time, error_message,
       data_sha256
FROM records WHERE job_id = :job_id

-- name: save_attempt
INSERT INTO attempts (
    job_id, number, master_job_id, worker_id, status, start_time, end_time, error_type, error_message, error_traceback,
    input_tokens, output_tokens, cost, usage)
VALUES (
    :job_id, :number, :master_job_id, :worker_id, :status, :start_time, :end_time, :error_type, :error_message,
    :error_traceback, :input_tokens, :output_tokens, :cost, :usage)
ON CONFLICT (job_id, number) DO NOTHING

-- name: delete_attempt
DELETE FROM attempts WHERE job_id = :job_id AND number = :number

-- name: count_attempts
UPDATE execution_jobs SET attempted_generations = :attempted_generations, last_update_time = :last_update_time
WHERE job_id = :job_id

-- name: list_attempts
SELECT job_id, number, master_job_id, worker_id, status, start_time, end_time, error_type, error_message,
       error_traceback, input_tokens, output_tokens, cost, usage
FROM attempts WHERE job_id = :job_id ORDER BY number

-- name: get_interrupted_attempt
SELECT number FROM attempts
WHERE job_id = :job_id AND worker_id = :worker_id AND status = 'interrupted' ORDER BY number DESC LIMIT 1

-- name: get_error_type
SELECT error_type FROM attempts WHERE job_id = :job_id AND number = :number

-- name: save_step
INSERT INTO steps (job_id, name, result, attempt, saved_when, usage)
VALUES (:job_id, :name, :result, :attempt, :saved_when, :usage)
ON CONFLICT (job_id, name) DO UPDATE SET
    result = excluded.result, attempt = excluded.attempt, saved_when = excluded.saved_when, usage = excluded.usage

-- name: get_step
SELECT job_id, name, result, attempt, saved_when, usage FROM steps WHERE job_id = :job_id AND name = :name

-- name: list_steps
SELECT job_id, name, result, attempt, saved_when, usage FROM steps WHERE job_id = :job_id ORDER BY name

-- name: list_step_usage
SELECT usage FROM steps
WHERE job_id = :job_id AND attempt = :attempt AND usage IS NOT NULL ORDER BY name

-- name: request_stop
UPDATE runs SET stop_reason = :stop_reason WHERE master_job_id = :master_job_id

-- name: refresh_run
UPDATE master_jobs SET
    completed_record_count = coalesce((
        SELECT sum(records) FROM record_counts
        WHERE master_job_id = master_jobs.master_job_id AND status = 'completed'), 0),
    filtered_record_count = coalesce((
        SELECT sum(records) FROM record_counts
        WHERE master_job_id = master_jobs.master_job_id AND status = 'filtered'), 0),
    duplicate_record_count = coalesce((
        SELECT sum(records) FROM record_counts
        WHERE master_job_id = master_jobs.master_job_id AND status = 'duplicate'), 0),
    failed_record_count = coalesce((
        SELECT sum(records) FROM record_counts
        WHERE master_job_id = master_jobs.master_job_id AND status = 'failed'), 0),
    last_update_time = :last_update_time
WHERE master_job_id = :master_job_id
