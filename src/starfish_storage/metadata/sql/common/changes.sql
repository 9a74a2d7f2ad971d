-- Named queries of change feeds that every engine runs as they stand; how they are written is said in queries.sql.

-- name: every_run_size
SELECT master_job_id, project_id, coalesce((
    SELECT sum(records) FROM record_counts WHERE record_counts.master_job_id = master_jobs.master_job_id
), 0) AS records FROM master_jobs

-- name: current_records
SELECT {record.columns}, {version} AS data_version, unique_key, attempt FROM records WHERE record_uid IN (
-- each row
:record_uid
-- end
)
