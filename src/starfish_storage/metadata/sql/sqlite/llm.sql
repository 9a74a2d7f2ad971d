-- What is read of the logs of `llm`. Its tables are its own, and which columns they have depends on its release: rows
-- are taken as they are.

-- name: llm_tables
SELECT name FROM sqlite_master WHERE type = 'table'

-- name: llm_turn_numbers
SELECT rowid FROM turns ORDER BY id

-- name: llm_turn
SELECT turns.*, threads.name AS conversation_name, schemas.content AS schema_content
  FROM turns
  LEFT JOIN threads ON threads.id = turns.thread_id
  LEFT JOIN schemas ON schemas.id = turns.schema_id
 WHERE turns.rowid = :number

-- name: llm_parts
-- Of a message and all before it, the first one first.
WITH RECURSIVE chain AS (
    SELECT messages.*, 0 AS depth FROM messages WHERE hash = :tip
    UNION ALL
    SELECT messages.*, chain.depth + 1
      FROM chain
      JOIN messages ON messages.hash = chain.parent_hash
     WHERE chain.depth < 100000
)
SELECT chain.hash, chain.role, parts.*
  FROM chain
  LEFT JOIN parts ON parts.message_hash = chain.hash
 ORDER BY chain.depth DESC, parts.position

-- name: llm_fragment
SELECT content FROM fragments WHERE id = :id

-- name: llm_attachment
SELECT * FROM attachments WHERE id = :id

-- name: llm_response_numbers
SELECT rowid FROM responses ORDER BY id

-- name: llm_response_numbers_beside_turns
SELECT rowid FROM responses WHERE id NOT IN (SELECT turns.id FROM turns) ORDER BY id

-- name: llm_response
SELECT responses.*, conversations.name AS conversation_name, schemas.content AS schema_content
  FROM responses
  LEFT JOIN conversations ON conversations.id = responses.conversation_id
  LEFT JOIN schemas ON schemas.id = responses.schema_id
 WHERE responses.rowid = :number

-- name: llm_old_response
-- Of a release that had no schemas yet.
SELECT responses.*, conversations.name AS conversation_name
  FROM responses
  LEFT JOIN conversations ON conversations.id = responses.conversation_id
 WHERE responses.rowid = :number

-- name: llm_responses_before
SELECT * FROM responses WHERE conversation_id = :conversation AND id < :id ORDER BY id
