-- The index of the text search: a database of its own, in the user's cache. It is derived: a change of its form is a new
-- FORM in index.py, which makes it anew; it has no migrations.

-- name: make_settings
CREATE TABLE settings (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID

-- name: make_scopes
-- Projects and master jobs, and how many records a master job has; the text of a record begins with their numbers.
CREATE TABLE scopes (
    number  INTEGER NOT NULL PRIMARY KEY,
    kind    TEXT NOT NULL,
    id      TEXT NOT NULL,
    records INTEGER NOT NULL,
    UNIQUE (kind, id)
) STRICT

-- name: make_fields
-- Paths in the data of records, and the column that has their text.
CREATE TABLE fields (path TEXT NOT NULL PRIMARY KEY, "column" TEXT NOT NULL) STRICT, WITHOUT ROWID

-- name: make_entries
-- The stamp is a hash of what changes with the data.
CREATE TABLE entries (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    record_uid TEXT NOT NULL UNIQUE,
    scope      INTEGER NOT NULL,
    stamp      INTEGER NOT NULL
) STRICT

-- name: make_entries_by_scope
CREATE INDEX entries_by_scope ON entries (scope, id)

-- name: make_text
-- Without the text itself, of which the store is asked. Marks belong to words: they are vowels in many scripts.
-- Without its own lists of beginnings, short ones take 20 times as long, and each record half as many bytes.
CREATE VIRTUAL TABLE text USING fts5 (
    scope,
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21, c22, c23, c24,
    c25, c26, c27, c28, c29, c30, others,
    content = '', contentless_delete = 1, prefix = '2 3',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M* Co'"
)

-- name: begin
BEGIN IMMEDIATE

-- name: begin_reading
BEGIN

-- name: commit
COMMIT

-- name: rollback
ROLLBACK

-- name: get_setting
SELECT value FROM settings WHERE name = :name

-- name: save_setting
INSERT INTO settings (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: get_scope
SELECT number FROM scopes WHERE kind = :kind AND id = :id

-- name: add_scope
INSERT INTO scopes (kind, id, records) VALUES (:kind, :id, 0)

-- name: list_scopes
SELECT id, records FROM scopes WHERE kind = :kind

-- name: count_entries
SELECT coalesce(sum(records), 0) FROM scopes

-- name: grow_scope
UPDATE scopes SET records = records + :more WHERE number = :number

-- name: list_fields
SELECT path, "column" FROM fields

-- name: add_field
INSERT INTO fields (path, "column") VALUES (:path, :column)

-- name: get_entry
SELECT id, scope, stamp FROM entries WHERE record_uid = :record_uid

-- name: get_record
SELECT record_uid, stamp FROM entries WHERE id = :id

-- name: add_entry
INSERT INTO entries (record_uid, scope, stamp) VALUES (:record_uid, :scope, :stamp)

-- name: delete_entry
DELETE FROM entries WHERE id = :id

-- name: list_entries_of_scope
SELECT id, record_uid FROM entries WHERE scope = :scope AND id > :after ORDER BY id LIMIT :limit

-- name: delete_text
DELETE FROM text WHERE rowid = :id

-- name: add_text
INSERT INTO text (rowid, scope, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19,
    c20, c21, c22, c23, c24, c25, c26, c27, c28, c29, c30, others)
VALUES (:id, :scope, :c0, :c1, :c2, :c3, :c4, :c5, :c6, :c7, :c8, :c9, :c10, :c11, :c12, :c13, :c14, :c15, :c16, :c17,
    :c18, :c19, :c20, :c21, :c22, :c23, :c24, :c25, :c26, :c27, :c28, :c29, :c30, :others)

-- name: count_matches
SELECT count(*) FROM (SELECT 1 FROM text WHERE text MATCH :query LIMIT :most)

-- name: rank_matches
-- The newest, without a sort: to rank all that match takes seconds where a word is in every record of a million.
SELECT rowid, relevance(text) FROM text WHERE text MATCH :query ORDER BY rowid DESC LIMIT :most

-- name: list_matches
-- Each record by itself, whose number is known: of a word that every record has, the whole list is not read each time.
SELECT entries.record_uid, entries.stamp
FROM json_each(:record_uids) AS wanted
CROSS JOIN entries ON entries.record_uid = wanted.value
CROSS JOIN text ON text.rowid = entries.id
WHERE text MATCH :query

-- name: merge_text
INSERT INTO text (text, rank) VALUES ('merge', :pages)

-- name: forget_setting
DELETE FROM settings WHERE name = :name
