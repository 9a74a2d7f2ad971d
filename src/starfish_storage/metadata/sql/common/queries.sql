-- Named queries that every engine runs as they stand. `:name` marks a parameter.
-- `-- each status` ... `-- merged`: a list over statuses; the part between is repeated for each, and their ordered
-- results are merged by what follows.
-- `-- each row` ... `-- end`: the part between is repeated for each of several rows; one row is the plain query.
-- `{has_own_data own}`: a fragment of `keys.sql` beside the engine's own queries, of the row `own`; `{locked}`: one of
-- `clauses.sql`. `{record.columns}`: a list of columns; `metadata/columns.py` says which there are.

-- name: save_project
INSERT INTO projects ({project.columns}) VALUES ({project.parameters})
ON CONFLICT (project_id) DO UPDATE SET {project.assigned of excluded}

-- name: get_project
SELECT {project.columns} FROM projects WHERE project_id = :project_id

-- name: list_projects
SELECT {project.columns} FROM projects
ORDER BY name, project_id LIMIT :limit OFFSET :offset

-- name: delete_project
DELETE FROM projects WHERE project_id = :project_id

-- name: list_master_job_ids_of_project
SELECT master_job_id FROM master_jobs WHERE project_id = :project_id

-- name: newest_master_job
-- Whatever the clocks said.
SELECT {master_job.columns} FROM master_jobs ORDER BY {order_of_storing} DESC LIMIT 1

-- name: every_master_job_id
SELECT master_job_id FROM master_jobs ORDER BY {order_of_storing}

-- name: insert_master_job
INSERT INTO master_jobs ({master_job.columns}) VALUES ({master_job.parameters})

-- name: end_master_job
UPDATE master_jobs SET {master_job_end.assigned}
WHERE master_job_id = :master_job_id

-- name: update_master_job_status
UPDATE master_jobs SET status = :status, last_update_time = :last_update_time WHERE master_job_id = :master_job_id

-- name: get_master_job
SELECT {master_job.columns} FROM master_jobs WHERE master_job_id = :master_job_id

-- name: list_master_jobs
-- each status
SELECT {master_job.columns} FROM master_jobs WHERE status = :status
-- merged
ORDER BY creation_time DESC, master_job_id DESC LIMIT :limit OFFSET :offset

-- name: list_master_jobs_of_project
-- each status
SELECT {master_job.columns} FROM master_jobs WHERE project_id = :project_id AND status = :status
-- merged
ORDER BY creation_time DESC, master_job_id DESC LIMIT :limit OFFSET :offset

-- name: delete_master_job
DELETE FROM master_jobs WHERE master_job_id = :master_job_id

-- name: list_records_to_delete
-- On from where the last part of the deletion ended: in PostgreSQL, what it deleted stays in the index for a while.
SELECT start_time, record_uid, job_id FROM records
WHERE master_job_id = :master_job_id AND status = :status AND (start_time, record_uid) < (:start_time, :record_uid)
ORDER BY start_time DESC, record_uid DESC LIMIT :limit

-- name: list_some_versioned_records
SELECT record_uid FROM record_versions WHERE master_job_id = :master_job_id LIMIT :limit

-- name: list_jobs_to_delete
SELECT creation_time, job_id FROM execution_jobs
WHERE master_job_id = :master_job_id AND status = :status AND (creation_time, job_id) < (:creation_time, :job_id)
ORDER BY creation_time DESC, job_id DESC LIMIT :limit

-- name: count_some_rows
-- What a deletion of master jobs takes with it, up to a number of records and one of execution jobs.
SELECT (SELECT count(*) FROM (SELECT 1 FROM records WHERE master_job_id = :master_job_id LIMIT :most) AS some_records)
     + (SELECT count(*) FROM (SELECT 1 FROM execution_jobs WHERE master_job_id = :same_job LIMIT :most_jobs) AS some_jobs)

-- name: delete_execution_job
DELETE FROM execution_jobs WHERE job_id = :job_id

-- name: save_execution_job
INSERT INTO execution_jobs ({execution_job.columns}) VALUES ({execution_job.parameters})
ON CONFLICT (job_id) DO UPDATE SET {execution_job.assigned of excluded}

-- name: end_execution_job
UPDATE execution_jobs SET {execution_job_end.assigned}
WHERE job_id = :job_id

-- name: get_execution_job
SELECT {execution_job.columns} FROM execution_jobs WHERE job_id = :job_id

-- name: list_execution_jobs
-- each status
SELECT {execution_job.columns} FROM execution_jobs WHERE master_job_id = :master_job_id AND status = :status
-- merged
ORDER BY creation_time DESC, job_id DESC LIMIT :limit OFFSET :offset

-- name: list_execution_jobs_of_input
SELECT {execution_job.columns} FROM execution_jobs {index_of_inputs}
WHERE master_job_id = :master_job_id AND status = :status AND run_config_hash = :run_config_hash
ORDER BY creation_time DESC, job_id DESC

-- name: get_record
SELECT {record.columns} FROM records WHERE record_uid IN (
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
SELECT {record.columns but data_sha256} FROM records WHERE master_job_id = :master_job_id AND status = :status
-- merged
ORDER BY start_time DESC, record_uid DESC LIMIT :limit OFFSET :offset

-- name: list_records_after
-- each status
SELECT {record.columns but data_sha256} FROM records
WHERE master_job_id = :master_job_id AND status = :status AND (start_time, record_uid) < (:start_time, :record_uid)
-- merged
ORDER BY start_time DESC, record_uid DESC LIMIT :limit OFFSET :offset

-- name: list_records_of_job
SELECT {record.columns but data_sha256} FROM records WHERE job_id = :job_id AND master_job_id = :master_job_id
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

-- name: scan_records
-- With the version of the data, where it has any.
-- each status
SELECT {record.columns}, {version} AS data_version, unique_key, attempt, version_number
FROM records WHERE master_job_id = :master_job_id AND status = :status
-- merged
ORDER BY start_time, record_uid LIMIT :limit OFFSET :offset

-- name: scan_records_after
-- each status
SELECT {record.columns}, {version} AS data_version, unique_key, attempt, version_number
FROM records
WHERE master_job_id = :master_job_id AND status = :status AND (start_time, record_uid) > (:start_time, :record_uid)
-- merged
ORDER BY start_time, record_uid LIMIT :limit OFFSET :offset

-- name: scan_records_back
-- The newest first.
-- each status
SELECT {record.columns}, {version} AS data_version, unique_key, attempt
FROM records WHERE master_job_id = :master_job_id AND status = :status
-- merged
ORDER BY start_time DESC, record_uid DESC LIMIT :limit OFFSET :offset

-- name: scan_records_before
-- each status
SELECT {record.columns}, {version} AS data_version, unique_key, attempt
FROM records
WHERE master_job_id = :master_job_id AND status = :status AND (start_time, record_uid) < (:start_time, :record_uid)
-- merged
ORDER BY start_time DESC, record_uid DESC LIMIT :limit OFFSET :offset

-- name: list_borrowed_data
SELECT DISTINCT output_ref FROM records {index_of_borrowers} WHERE {borrows_data records} AND master_job_id = :master_job_id

-- name: is_borrowed_elsewhere
SELECT 1 FROM records WHERE output_ref = :output_ref AND {borrows_data records} AND master_job_id <> :master_job_id LIMIT 1

-- name: list_mixed_case_ids_of_records
SELECT id FROM mixed_case_ids
WHERE kind = 'record_uid' AND EXISTS (
    SELECT 1 FROM records WHERE record_uid = mixed_case_ids.id AND master_job_id = :master_job_id)

-- name: get_setting
SELECT value FROM settings WHERE name = :name

-- name: save_setting
INSERT INTO settings (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: add_setting
-- Unless there is one.
INSERT INTO settings (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING

-- name: forget_setting
DELETE FROM settings WHERE name = :name

-- name: note_deletion
INSERT INTO settings (name, value) VALUES ('deleting ' || :master_job_id, :since)
ON CONFLICT (name) DO NOTHING

-- name: forget_deletion
DELETE FROM settings WHERE name = 'deleting ' || :master_job_id

-- name: get_deletion
SELECT value FROM settings WHERE name = 'deleting ' || :master_job_id

-- name: recount_jobs
-- Of execution jobs that have ended: what their records say, where that is something else.
UPDATE execution_jobs SET {counts.assigned of counted}
FROM (SELECT job_id, {counted} FROM records GROUP BY job_id) AS counted
WHERE execution_jobs.job_id = counted.job_id AND execution_jobs.end_time IS NOT NULL
  AND ({counts.columns of execution_jobs}) <> ({counts.columns of counted})

-- name: every_unfinished_deletion
SELECT job.master_job_id, settings.value FROM settings
JOIN master_jobs AS job ON settings.name = 'deleting ' || job.master_job_id
ORDER BY job.master_job_id

-- name: every_wrong_job_count
-- What the end of an execution job reported, against its records.
SELECT job.job_id, {counts.columns of job}, {counts.columns of counted}
FROM execution_jobs AS job
JOIN (SELECT job_id, {counted} FROM records GROUP BY job_id) AS counted USING (job_id)
WHERE job.end_time IS NOT NULL AND ({counts.columns of job}) <> ({counts.columns of counted})
  AND NOT {is_being_deleted job}
ORDER BY job.job_id
