-- Rows of a large run, as the library leaves them, but for the order in which they came: one input, one attempt and one
-- record each. Statements are told apart by their names, and run once a row or once.

-- name: input
INSERT INTO execution_jobs (
    job_id, master_job_id, status, run_config, run_config_hash, attempted_generations, produced_outputs_count,
    completed_record_count, filtered_record_count, duplicate_record_count, failed_record_count, creation_time,
    start_time, end_time, last_update_time, worker_id, error_message, position)
VALUES (:job_id, :run, CASE WHEN :error IS NULL THEN 'completed' ELSE 'failed' END, :run_config, :hash, 1, 1,
        :status = 'completed', :status = 'filtered', 0, :status = 'failed', :start_time,
        :start_time, :end_time, :end_time, 'worker-1', :error, :position)

-- name: attempt
INSERT INTO attempts (
    job_id, number, master_job_id, worker_id, status, start_time, end_time, error_type, error_message,
    error_traceback, input_tokens, output_tokens, cost, usage, calls)
VALUES (:job_id, 1, :run, 'worker-1', CASE WHEN :error IS NULL THEN 'completed' ELSE 'failed' END, :start_time,
        :end_time, :error_type, :error, :traceback, 200, 300, 0.002,
        '[["small-1",200,300,0.002]]', '[1,0,0,0.0,0,[]]')

-- name: record
INSERT INTO records (
    record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time, error_message,
    data_sha256)
VALUES (:job_id || '-0', :job_id, :run, :status, :output_ref, :start_time, :end_time, :end_time, :error, :data_sha256)

-- name: run
UPDATE runs SET registered = :inputs, inputs_complete = 1 WHERE master_job_id = :run
