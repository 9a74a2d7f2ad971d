-- What an export has met: a database of its own, without a name, which is gone with the process.

-- name: make_digests
CREATE TABLE digests (
    digest     BLOB NOT NULL PRIMARY KEY,
    split      TEXT NOT NULL,
    record_uid TEXT NOT NULL,
    is_counted INTEGER NOT NULL
) STRICT, WITHOUT ROWID

-- name: find_digest
SELECT split, record_uid, is_counted FROM digests WHERE digest = :digest

-- name: add_digest
INSERT INTO digests (digest, split, record_uid, is_counted) VALUES (:digest, :split, :record_uid, 0)

-- name: count_digest
UPDATE digests SET is_counted = 1 WHERE digest = :digest
