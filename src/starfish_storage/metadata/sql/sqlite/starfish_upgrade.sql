-- What `starfish-storage upgrade` does in the rows of a Starfish 0.1.x store beside migrating them, once it has read
-- every file.

-- name: every_data_of_starfish
SELECT record_uid, output_ref FROM records WHERE output_ref IS NOT NULL ORDER BY output_ref, record_uid

-- name: every_config_of_starfish
SELECT master_job_id, request_config_ref FROM master_jobs ORDER BY master_job_id

-- name: every_run_with_repeated_inputs
SELECT master_job_id, count(*) FROM (
    SELECT master_job_id FROM execution_jobs WHERE run_config_hash <> ''
    GROUP BY master_job_id, run_config_hash HAVING count(*) > 1)
GROUP BY master_job_id

-- name: every_unfinished_input
SELECT job_id, status FROM execution_jobs WHERE status IN ('pending', 'running') ORDER BY job_id

-- name: count_rows
SELECT (SELECT count(*) FROM projects), (SELECT count(*) FROM master_jobs), (SELECT count(*) FROM execution_jobs),
       (SELECT count(*) FROM records)

-- name: place_data
UPDATE records SET output_ref = :output_ref, data_sha256 = :data_sha256 WHERE record_uid = :record_uid

-- name: lose_data
UPDATE records
SET status = 'failed', output_ref = NULL, error_message = coalesce(error_message || '; ', '') || 'upgrade: ' || :fault
WHERE record_uid = :record_uid

-- name: fail_job_of_lost_data
UPDATE execution_jobs
SET status = CASE WHEN status IN ('pending', 'running') THEN status ELSE 'failed' END,
    error_message = coalesce(error_message || '; ', '') || 'upgrade: the data of a record is lost',
    ({counts.columns}) = (SELECT {counted} FROM records WHERE records.job_id = execution_jobs.job_id)
WHERE job_id = (SELECT job_id FROM records WHERE record_uid = :record_uid)
