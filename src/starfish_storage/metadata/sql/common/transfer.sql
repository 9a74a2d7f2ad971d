-- Named queries of transfers that every engine runs as they stand; how they are written is said in queries.sql.
-- Whole rows, as they are stored.

-- name: page_of_projects
SELECT project_id, name, description, created_when, updated_when FROM projects
WHERE project_id > :after ORDER BY project_id LIMIT :limit

-- name: whole_execution_jobs
-- each status
SELECT job_id, master_job_id, status, run_config, run_config_hash, attempted_generations, produced_outputs_count,
       completed_record_count, filtered_record_count, duplicate_record_count, failed_record_count, creation_time,
       start_time, end_time, last_update_time, worker_id, error_message, counts, position
FROM execution_jobs WHERE master_job_id = :master_job_id AND status = :status
-- merged
ORDER BY creation_time, job_id LIMIT :limit OFFSET :offset

-- name: whole_execution_jobs_after
-- each status
SELECT job_id, master_job_id, status, run_config, run_config_hash, attempted_generations, produced_outputs_count,
       completed_record_count, filtered_record_count, duplicate_record_count, failed_record_count, creation_time,
       start_time, end_time, last_update_time, worker_id, error_message, counts, position
FROM execution_jobs
WHERE master_job_id = :master_job_id AND status = :status AND (creation_time, job_id) > (:creation_time, :job_id)
-- merged
ORDER BY creation_time, job_id LIMIT :limit OFFSET :offset

-- name: whole_execution_jobs_of
SELECT job_id, master_job_id, status, run_config, run_config_hash, attempted_generations, produced_outputs_count,
       completed_record_count, filtered_record_count, duplicate_record_count, failed_record_count, creation_time,
       start_time, end_time, last_update_time, worker_id, error_message, counts, position
FROM execution_jobs WHERE job_id IN (
-- each row
:job_id
-- end
)

-- name: whole_records_of
SELECT record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time, error_message,
       data_sha256, unique_key
FROM records WHERE record_uid IN (
-- each row
:record_uid
-- end
)

-- name: whole_run
SELECT master_job_id, registered, inputs_complete, stop_reason FROM runs WHERE master_job_id = :master_job_id

-- name: whole_attempts_of
SELECT job_id, number, master_job_id, worker_id, status, start_time, end_time, error_type, error_message,
       error_traceback, input_tokens, output_tokens, cost, usage
FROM attempts WHERE job_id IN (
-- each row
:job_id
-- end
)

-- name: whole_steps_of
SELECT job_id, name, result, attempt, saved_when, usage FROM steps WHERE job_id IN (
-- each row
:job_id
-- end
)

-- name: put_master_job
INSERT INTO master_jobs (
    master_job_id, project_id, name, status, request_config_ref, output_schema, storage_uri,
    metadata_storage_uri_override, data_storage_uri_override, target_record_count, completed_record_count,
    filtered_record_count, duplicate_record_count, failed_record_count, creation_time, start_time, end_time,
    last_update_time, summary)
VALUES (
    :master_job_id, :project_id, :name, :status, :request_config_ref, :output_schema, :storage_uri,
    :metadata_storage_uri_override, :data_storage_uri_override, :target_record_count, :completed_record_count,
    :filtered_record_count, :duplicate_record_count, :failed_record_count, :creation_time, :start_time, :end_time,
    :last_update_time, :summary)
ON CONFLICT (master_job_id) DO UPDATE SET
    project_id = excluded.project_id, name = excluded.name, status = excluded.status,
    request_config_ref = excluded.request_config_ref, output_schema = excluded.output_schema,
    storage_uri = excluded.storage_uri, metadata_storage_uri_override = excluded.metadata_storage_uri_override,
    data_storage_uri_override = excluded.data_storage_uri_override, target_record_count = excluded.target_record_count,
    completed_record_count = excluded.completed_record_count, filtered_record_count = excluded.filtered_record_count,
    duplicate_record_count = excluded.duplicate_record_count, failed_record_count = excluded.failed_record_count,
    creation_time = excluded.creation_time, start_time = excluded.start_time, end_time = excluded.end_time,
    last_update_time = excluded.last_update_time, summary = excluded.summary

-- name: put_execution_job
INSERT INTO execution_jobs (
    job_id, master_job_id, status, run_config, run_config_hash, attempted_generations, produced_outputs_count,
    completed_record_count, filtered_record_count, duplicate_record_count, failed_record_count, creation_time,
    start_time, end_time, last_update_time, worker_id, error_message, counts, position)
VALUES
-- each row
(:job_id, :master_job_id, :status, :run_config, :run_config_hash, :attempted_generations, :produced_outputs_count,
 :completed_record_count, :filtered_record_count, :duplicate_record_count, :failed_record_count, :creation_time,
 :start_time, :end_time, :last_update_time, :worker_id, :error_message, :counts, :position)
-- end
ON CONFLICT (job_id) DO UPDATE SET
    master_job_id = excluded.master_job_id, status = excluded.status, run_config = excluded.run_config,
    run_config_hash = excluded.run_config_hash, attempted_generations = excluded.attempted_generations,
    produced_outputs_count = excluded.produced_outputs_count,
    completed_record_count = excluded.completed_record_count,
    filtered_record_count = excluded.filtered_record_count,
    duplicate_record_count = excluded.duplicate_record_count, failed_record_count = excluded.failed_record_count,
    creation_time = excluded.creation_time, start_time = excluded.start_time, end_time = excluded.end_time,
    last_update_time = excluded.last_update_time, worker_id = excluded.worker_id,
    error_message = excluded.error_message, counts = excluded.counts, position = excluded.position
