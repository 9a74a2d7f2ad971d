-- Named queries of the change feed in SQLite.

-- name: records_by_number
SELECT rowid, record_uid, coalesce(data_sha256, last_update_time) || ' ' || coalesce(output_ref, '') || ' ' || master_job_id
    AS stamp
FROM records WHERE rowid > :after AND rowid <= :last ORDER BY rowid LIMIT :limit
