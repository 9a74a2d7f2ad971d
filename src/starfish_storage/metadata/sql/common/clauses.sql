-- What queries of every engine have in common: `{counted}` in a query is the text below.

-- fragment: is_being_deleted
-- Of a row of master jobs, or of what belongs to one. See `metadata.deleting`.
EXISTS (SELECT 1 FROM settings WHERE settings.name = 'deleting ' || {row}.master_job_id)

-- fragment: counted
-- Of records of an execution job, in groups.
count(*) FILTER (WHERE status = 'completed') AS completed_record_count,
count(*) FILTER (WHERE status = 'filtered') AS filtered_record_count,
count(*) FILTER (WHERE status = 'duplicate') AS duplicate_record_count,
count(*) FILTER (WHERE status = 'failed') AS failed_record_count
