-- Named queries that every engine runs as they stand.
-- Named queries. `:name` marks a parameter.
-- `-- each status` ... `-- merged`: a list over statuses; the part between is repeated for each, and their ordered
-- results are merged by what follows.
-- `-- each row` ... `-- end`: the part between is repeated for each of several rows; one row is the plain query.
-- `{has_own_data own}`: a fragment of `keys.sql` beside the engine's own queries, of the row `own`.

-- name: save_project
INSERT INTO projects (project_id, name, description, created_when, updated_when)
VALUES (:project_id, :name, :description, :created_when, :updated_when)
ON CONFLICT (project_id) DO UPDATE SET
    name = excluded.name, description = excluded.description,
    created_when = excluded.created_when, updated_when = excluded.updated_when

-- name: get_project
SELECT project_id, name, description, created_when, updated_when FROM projects WHERE project_id = :project_id

-- name: list_projects
SELECT project_id, name, description, created_when, updated_when FROM projects
ORDER BY name, project_id LIMIT :limit OFFSET :offset

-- name: delete_project
DELETE FROM projects WHERE project_id = :project_id

-- name: list_master_job_ids_of_project
SELECT master_job_id FROM master_jobs WHERE project_id = :project_id

-- name: insert_master_job
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

-- name: end_master_job
UPDATE master_jobs SET
    status = :status, summary = :summary, end_time = :end_time, last_update_time = :last_update_time,
    completed_record_count = :completed_record_count,
    filtered_record_count = :filtered_record_count, duplicate_record_count = :duplicate_record_count,
    failed_record_count = :failed_record_count
WHERE master_job_id = :master_job_id

-- name: update_master_job_status
UPDATE master_jobs SET status = :status, last_update_time = :last_update_time WHERE master_job_id = :master_job_id

-- name: get_master_job
SELECT master_job_id, project_id, name, status, request_config_ref, output_schema, storage_uri,
       metadata_storage_uri_override, data_storage_uri_override, target_record_count, completed_record_count,
       filtered_record_count, duplicate_record_count, failed_record_count, creation_time, start_time, end_time,
       last_update_time, summary
FROM master_jobs WHERE master_job_id = :master_job_id

-- name: list_master_jobs
-- each status
SELECT master_job_id, project_id, name, status, request_config_ref, output_schema, storage_uri,
       metadata_storage_uri_override, data_storage_uri_override, target_record_count, completed_record_count,
       filtered_record_count, duplicate_record_count, failed_record_count, creation_time, start_time, end_time,
       last_update_time, summary
FROM master_jobs WHERE status = :status
-- merged
ORDER BY creation_time DESC, master_job_id DESC LIMIT :limit OFFSET :offset

-- name: list_master_jobs_of_project
-- each status
SELECT master_job_id, project_id, name, status, request_config_ref, output_schema, storage_uri,
       metadata_storage_uri_override, data_storage_uri_override, target_record_count, completed_record_count,
       filtered_record_count, duplicate_record_count, failed_record_count, creation_time, start_time, end_time,
       last_update_time, summary
FROM master_jobs WHERE project_id = :project_id AND status = :status
-- merged
ORDER BY creation_time DESC, master_job_id DESC LIMIT :limit OFFSET :offset

-- name: delete_master_job
DELETE FROM master_jobs WHERE master_job_id = :master_job_id

-- name: save_execution_job
INSERT INTO execution_jobs (
    job_id, master_job_id, status, run_config, run_config_hash, attempted_generations, produced_outputs_count,
    completed_record_count, filtered_record_count, duplicate_record_count, failed_record_count, creation_time,
    start_time, end_time, last_update_time, worker_id, error_message)
VALUES (
    :job_id, :master_job_id, :status, :run_config, :run_config_hash, :attempted_generations, :produced_outputs_count,
    :completed_record_count, :filtered_record_count, :duplicate_record_count, :failed_record_count, :creation_time,
    :start_time, :end_time, :last_update_time, :worker_id, :error_message)
ON CONFLICT (job_id) DO UPDATE SET
    master_job_id = excluded.master_job_id, status = excluded.status, run_config = excluded.run_config,
    run_config_hash = excluded.run_config_hash, attempted_generations = excluded.attempted_generations,
    produced_outputs_count = excluded.produced_outputs_count,
    completed_record_count = excluded.completed_record_count,
    filtered_record_count = excluded.filtered_record_count,
    duplicate_record_count = excluded.duplicate_record_count, failed_record_count = excluded.failed_record_count,
    creation_time = excluded.creation_time, start_time = excluded.start_time, end_time = excluded.end_time,
    last_update_time = excluded.last_update_time, worker_id = excluded.worker_id,
    error_message = excluded.error_message

-- name: end_execution_job
UPDATE execution_jobs SET
    status = :status, counts = :counts, end_time = :end_time, last_update_time = :last_update_time,
    error_message = :error_message, completed_record_count = :completed_record_count,
    filtered_record_count = :filtered_record_count, duplicate_record_count = :duplicate_record_count,
    failed_record_count = :failed_record_count
WHERE job_id = :job_id

-- name: get_execution_job
SELECT job_id, master_job_id, status, run_config, run_config_hash, attempted_generations, produced_outputs_count,
       completed_record_count, filtered_record_count, duplicate_record_count, failed_record_count, creation_time,
       start_time, end_time, last_update_time, worker_id, error_message
FROM execution_jobs WHERE job_id = :job_id

-- name: list_execution_jobs
-- each status
SELECT job_id, master_job_id, status, run_config, run_config_hash, attempted_generations, produced_outputs_count,
       completed_record_count, filtered_record_count, duplicate_record_count, failed_record_count, creation_time,
       start_time, end_time, last_update_time, worker_id, error_message
FROM execution_jobs WHERE master_job_id = :master_job_id AND status = :status
-- merged
ORDER BY creation_time DESC, job_id DESC LIMIT :limit OFFSET :offset

-- name: list_execution_jobs_of_input
SELECT job_id, master_job_id, status, run_config, run_config_hash, attempted_generations, produced_outputs_count,
       completed_record_count, filtered_record_count, duplicate_record_count, failed_record_count, creation_time,
       start_time, end_time, last_update_time, worker_id, error_message
FROM execution_jobs
WHERE master_job_id = :master_job_id AND status = :status AND run_config_hash = :run_config_hash
ORDER BY creation_time DESC, job_id DESC

-- name: completed_config_hashes
SELECT DISTINCT run_config_hash FROM execution_jobs
WHERE master_job_id = :master_job_id AND status = 'completed' AND run_config_hash IS NOT NULL

-- name: get_record
SELECT record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time, error_message,
       data_sha256
FROM records WHERE record_uid IN (
-- each row
:record_uid
-- end
)

-- name: get_master_job_of_request_config
SELECT master_job_id FROM master_jobs WHERE request_config_ref = :request_config_ref LIMIT 1

-- name: delete_record
DELETE FROM records WHERE record_uid = :record_uid

-- name: list_records
-- each status
SELECT record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time, error_message
FROM records WHERE master_job_id = :master_job_id AND status = :status
-- merged
ORDER BY start_time DESC, record_uid DESC LIMIT :limit OFFSET :offset

-- name: list_records_after
-- each status
SELECT record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time, error_message
FROM records
WHERE master_job_id = :master_job_id AND status = :status AND (start_time, record_uid) < (:start_time, :record_uid)
-- merged
ORDER BY start_time DESC, record_uid DESC LIMIT :limit OFFSET :offset

-- name: list_records_of_job
SELECT record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time, error_message
FROM records WHERE job_id = :job_id AND master_job_id = :master_job_id
ORDER BY start_time DESC, record_uid DESC

-- name: get_mixed_case_id
SELECT id FROM mixed_case_ids WHERE kind = :kind AND folded IN (
-- each row
:folded
-- end
)

-- name: save_mixed_case_id
INSERT INTO mixed_case_ids (kind, folded, id) VALUES (:kind, :folded, :id) ON CONFLICT (kind, folded) DO NOTHING

-- name: delete_mixed_case_id
DELETE FROM mixed_case_ids WHERE kind = :kind AND id = :id

-- name: commit
COMMIT

-- name: rollback
ROLLBACK

-- name: begin_operation
SAVEPOINT operation

-- name: end_operation
RELEASE operation

-- name: undo_operation
ROLLBACK TO operation
