-- Named queries of the change feed in PostgreSQL.

-- name: get_change_bounds
-- The oldest transaction that may still be running, the first that has not begun, and the size of the table in blocks.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text, pg_snapshot_xmax(pg_current_snapshot())::text,
    pg_relation_size('records') / current_setting('block_size')::bigint

-- name: list_records_in_blocks
-- `xmin` is the transaction that wrote a row. Ages are compared, as the numbers wrap around.
SELECT record_uid, coalesce(data_sha256, last_update_time) || ' ' || coalesce(output_ref, '') || ' ' || master_job_id
    AS stamp
FROM records
WHERE ctid >= :first::text::tid AND ctid < :behind::text::tid
    AND (:since::text IS NULL OR age(xmin) <= age(:since_too::text::xid8::xid))
