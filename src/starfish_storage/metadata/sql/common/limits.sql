-- Named queries of limits of calls; how they are written is said in queries.sql.

-- name: get_limit
SELECT {call_limit.columns} FROM call_limits WHERE name = :name

-- name: lock_limit
SELECT {call_limit.columns} FROM call_limits WHERE name = :name {locked_but_for_key}

-- name: every_limit
SELECT {call_limit.columns} FROM call_limits WHERE master_job_id IS NULL ORDER BY name

-- name: save_limit
INSERT INTO call_limits ({call_limit.columns}) VALUES ({call_limit.parameters})
ON CONFLICT (name) DO UPDATE SET {call_limit.assigned of excluded}

-- name: delete_limit
DELETE FROM call_limits WHERE name = :name
