-- Named queries of transfers that every engine runs as they stand; how they are written is said in queries.sql.
-- Whole rows, as they are stored.

-- name: page_of_projects
SELECT {project.columns} FROM projects
WHERE project_id > :after ORDER BY project_id LIMIT :limit

-- name: whole_execution_jobs
-- each status
SELECT {execution_job.columns}, counts, position
FROM execution_jobs WHERE master_job_id = :master_job_id AND status = :status
-- merged
ORDER BY creation_time, job_id LIMIT :limit OFFSET :offset

-- name: whole_execution_jobs_after
-- each status
SELECT {execution_job.columns}, counts, position FROM execution_jobs
WHERE master_job_id = :master_job_id AND status = :status AND (creation_time, job_id) > (:creation_time, :job_id)
-- merged
ORDER BY creation_time, job_id LIMIT :limit OFFSET :offset

-- name: whole_execution_jobs_of
SELECT {execution_job.columns}, counts, position FROM execution_jobs WHERE job_id IN (
-- each row
:job_id
-- end
)

-- name: whole_records_of
SELECT {record.columns}, NULL AS data_version, unique_key, attempt, version_number FROM records WHERE record_uid IN (
-- each row
:record_uid
-- end
)

-- name: whole_run
SELECT {run.columns} FROM runs WHERE master_job_id = :master_job_id

-- name: whole_attempts_of
SELECT {attempt.columns} FROM attempts WHERE job_id IN (
-- each row
:job_id
-- end
)

-- name: whole_steps_of
SELECT {step.columns} FROM steps WHERE job_id IN (
-- each row
:job_id
-- end
)

-- name: whole_standing_of
SELECT {standing.columns} FROM standing_outcomes WHERE job_id IN (
-- each row
:job_id
-- end
)

-- name: whole_versions_of
SELECT {version.columns}, {version} AS data_version FROM record_versions WHERE job_id IN (
-- each row
:job_id
-- end
)

-- name: put_master_job
INSERT INTO master_jobs ({master_job.columns}) VALUES ({master_job.parameters})
ON CONFLICT (master_job_id) DO UPDATE SET {master_job.assigned of excluded}

-- name: put_execution_job
INSERT INTO execution_jobs ({execution_job.columns}, counts, position)
VALUES
-- each row
({execution_job.parameters}, :counts, :position)
-- end
ON CONFLICT (job_id) DO UPDATE SET
    {execution_job.assigned of excluded}, counts = excluded.counts, position = excluded.position
