-- What a database does without that a row log is replayed into to be compared: half of the time goes into these.

-- name: drop_counts_of_inserted
DROP TRIGGER count_inserted_record

-- name: drop_counts_of_changed
DROP TRIGGER count_changed_record

-- name: drop_counts_of_deleted
DROP TRIGGER count_deleted_record

-- name: drop_records_by_status
DROP INDEX records_by_status
