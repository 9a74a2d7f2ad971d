-- Which line of a pack is the data of which row, while a database is rebuilt: temporary tables beside it.

-- name: make_wanted
CREATE TEMPORARY TABLE wanted (
    sha256 BLOB NOT NULL,
    key    TEXT NOT NULL,
    pack   TEXT,
    start  INTEGER,
    length INTEGER,
    PRIMARY KEY (sha256, key)
) WITHOUT ROWID

-- name: index_unplaced
CREATE INDEX temp.unplaced ON wanted (sha256, key) WHERE pack IS NULL

-- name: want_records
INSERT INTO wanted (sha256, key)
SELECT unhex(data_sha256), output_ref FROM records
WHERE output_ref IS NOT NULL AND length(unhex(data_sha256)) = 32
ON CONFLICT DO NOTHING

-- name: want_versions
INSERT INTO wanted (sha256, key)
SELECT unhex(data_sha256), output_ref FROM record_versions
WHERE output_ref IS NOT NULL AND length(unhex(data_sha256)) = 32
ON CONFLICT DO NOTHING

-- name: place_line
-- A line is that of one row, as it was, where several have saved the same.
UPDATE wanted SET pack = :pack, start = :start, length = :length
WHERE sha256 = :sha256
  AND key = (SELECT key FROM wanted WHERE sha256 = :same_sha256 AND pack IS NULL ORDER BY key LIMIT 1)

-- name: is_placed_over
SELECT 1 FROM wanted WHERE pack = :pack AND start < :until AND start + length > :start LIMIT 1

-- name: place_alike
-- There are fewer lines than rows that have saved the same: they share one.
UPDATE wanted SET (pack, start, length) = (
    SELECT pack, start, length FROM wanted AS other WHERE other.sha256 = wanted.sha256 AND other.pack IS NOT NULL LIMIT 1)
WHERE pack IS NULL

-- name: page_of_placed
SELECT sha256, key FROM wanted WHERE (sha256, key) > (:after, :after_key) AND pack IS NOT NULL
ORDER BY sha256, key LIMIT 1000

-- name: leave_in_file
DELETE FROM wanted WHERE sha256 = :sha256 AND key = :key

-- name: keep_places
INSERT INTO packed_data (key, pack, start, length)
SELECT key, pack, start, length FROM wanted WHERE pack IS NOT NULL ORDER BY key
ON CONFLICT DO NOTHING

-- name: keep_place
INSERT INTO packed_data (key, pack, start, length) VALUES (:key, :pack, :start, :length) ON CONFLICT DO NOTHING

-- name: salvage_places
SELECT key, pack, start, length FROM packed_data ORDER BY key

-- name: salvage_places_back
SELECT key, pack, start, length FROM packed_data ORDER BY key DESC
