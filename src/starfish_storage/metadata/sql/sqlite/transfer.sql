-- Named queries of transfers that engines write differently; how they are written is said in ../common/queries.sql.

-- name: whole_records
-- each status
SELECT record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time, error_message,
       data_sha256, NULL AS data_version, unique_key
FROM records WHERE master_job_id = :master_job_id AND status = :status
-- merged
ORDER BY start_time, record_uid LIMIT :limit OFFSET :offset

-- name: whole_records_after
-- each status
SELECT record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time, error_message,
       data_sha256, NULL AS data_version, unique_key
FROM records
WHERE master_job_id = :master_job_id AND status = :status AND (start_time, record_uid) > (:start_time, :record_uid)
-- merged
ORDER BY start_time, record_uid LIMIT :limit OFFSET :offset

-- name: every_schema_object
SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name
