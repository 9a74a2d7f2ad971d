-- What SQLite says in its own words, for queries of every engine: `{locked}` in a query is the text below.

-- fragment: index_of_borrowers
INDEXED BY records_by_borrowed_data

-- fragment: index_of_statuses
-- Few are running at a time; an index by worker would be paid for at every claim and every end.
INDEXED BY execution_jobs_by_status

-- fragment: index_of_inputs
-- An input has few jobs, and a status many.
INDEXED BY execution_jobs_by_input

-- fragment: version
-- Of the data that a row of records or versions refers to: in which pack it lies, and where; NULL: it is a file.
(SELECT pack || ':' || start || '+' || length FROM packed_data WHERE key = output_ref)

-- fragment: order_of_storing
-- Of master jobs; a VACUUM keeps it.
rowid

-- fragment: has_error_text
instr(lower(error_message), :error_text) > 0

-- fragment: largest
max

-- fragment: locked
-- Nobody else writes meanwhile.

-- fragment: locked_in_order

-- fragment: locked_but_for_key

-- fragment: if_not_locked

-- fragment: wakes
-- Idle workers look whether the database has changed.

-- fragment: mentions
instr(lower(master_job_id || char(10) || coalesce(name, '') || char(10) || project_id), :text) > 0

-- fragment: seconds_taken
unixepoch(end_time, 'subsec') - unixepoch(start_time, 'subsec')
