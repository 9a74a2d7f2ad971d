-- What PostgreSQL says in its own words, for queries of every engine: `{locked}` in a query is the text below.

-- fragment: index_of_borrowers
-- The planner finds it.

-- fragment: index_of_statuses

-- fragment: index_of_inputs

-- fragment: version
data_version

-- fragment: order_of_storing
ordinal

-- fragment: has_error_text
strpos(lower(error_message COLLATE "C"), :error_text) > 0

-- fragment: largest
greatest

-- fragment: locked
FOR UPDATE

-- fragment: locked_in_order
-- By id, so that two who lock several do not wait for each other.
ORDER BY job_id FOR UPDATE

-- fragment: locked_but_for_key
-- Rows that refer to it may be written meanwhile.
FOR NO KEY UPDATE

-- fragment: if_not_locked
SKIP LOCKED

-- fragment: wakes
-- Tells idle workers of the run, who hold this lock, that there may be inputs. Only if there are any: groups that tell
-- something are committed one after the other, those of all databases of the server.
RETURNING (
    SELECT pg_notify('starfish_storage_inputs', waiting::text)
    FROM hashtextextended('starfish-storage ' || current_schema() || ' ' || master_job_id, 0) AS waiting
    WHERE NOT pg_try_advisory_xact_lock(waiting))

-- fragment: every_status
(VALUES ('pending'), ('running'), ('completed'), ('duplicate'), ('filtered'), ('failed'), ('cancelled'))
    AS statuses (status)

-- fragment: mentions
strpos(lower((master_job_id || chr(10) || coalesce(name, '') || chr(10) || project_id) COLLATE "C"), :text) > 0

-- fragment: seconds_taken
extract(epoch FROM end_time::timestamptz - start_time::timestamptz)::double precision
