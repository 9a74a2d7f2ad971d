-- What queries of every engine have in common: `{counted}` in a query is the text below.

-- fragment: counted
-- Of records of an execution job, in groups.
count(*) FILTER (WHERE status = 'completed') AS completed_record_count,
count(*) FILTER (WHERE status = 'filtered') AS filtered_record_count,
count(*) FILTER (WHERE status = 'duplicate') AS duplicate_record_count,
count(*) FILTER (WHERE status = 'failed') AS failed_record_count
