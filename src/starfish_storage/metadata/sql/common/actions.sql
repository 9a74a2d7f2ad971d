-- Named queries of actions; how they are written is said in queries.sql.

-- name: save_action
INSERT INTO actions ({action.columns}) VALUES ({action.parameters})
ON CONFLICT (action_id) DO NOTHING

-- name: delete_action
DELETE FROM actions WHERE action_id = :action_id

-- name: list_actions
-- The newest first.
SELECT {action.columns} FROM actions
WHERE (time, action_id) < (:before, :before_id) ORDER BY time DESC, action_id DESC LIMIT :limit

-- name: list_actions_on
SELECT {action.columns} FROM actions
WHERE target = :target AND (time, action_id) < (:before, :before_id) ORDER BY time DESC, action_id DESC LIMIT :limit
