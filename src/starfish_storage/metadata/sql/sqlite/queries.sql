-- Named queries of SQLite alone; how they are written is said in ../common/queries.sql.

-- name: save_record
INSERT INTO records ({record.columns})
VALUES
-- each row
({record.parameters})
-- end
ON CONFLICT (record_uid) DO UPDATE SET {record.assigned of excluded}

-- name: get_data_digest
-- Of a key: from the record whose data it is, else from one that borrows it.
SELECT record_uid, data_sha256 FROM records WHERE record_uid = :owner_uid AND output_ref = :output_ref
UNION ALL
SELECT record_uid, data_sha256 FROM records INDEXED BY records_by_borrowed_data
WHERE output_ref = :output_ref AND {borrows_data records}
UNION ALL
SELECT record_uid, data_sha256 FROM record_versions WHERE output_ref = :output_ref

-- name: locate_data
-- What `get_data_digest` finds, and in which pack it lies.
SELECT data_sha256, {version} FROM records WHERE record_uid = :owner_uid AND output_ref = :output_ref
UNION ALL
SELECT data_sha256, {version} FROM records INDEXED BY records_by_borrowed_data
WHERE output_ref = :output_ref AND {borrows_data records}
UNION ALL
SELECT data_sha256, {version} FROM record_versions WHERE output_ref = :output_ref

-- name: locate_own_data
-- The first part of `locate_data`, with the place in parts: nearly all data is found by it.
SELECT data_sha256, pack, start, length FROM records LEFT JOIN packed_data ON packed_data.key = output_ref
WHERE record_uid = :owner_uid AND output_ref = :output_ref

-- name: read_lines
-- What `scan_records_after` finds, as far as lines of packs are read by it.
-- each status
SELECT record_uid, start_time, data_sha256, pack, start, length
FROM records LEFT JOIN packed_data ON packed_data.key = output_ref
WHERE master_job_id = :master_job_id AND status = :status AND (start_time, record_uid) > (:start_time, :record_uid)
-- merged
ORDER BY start_time, record_uid LIMIT :limit OFFSET :offset

-- name: get_packed_data
SELECT pack, start, length FROM packed_data WHERE key = :key

-- name: save_packed_data
INSERT INTO packed_data (key, pack, start, length) VALUES
-- each row
(:key, :pack, :start, :length)
-- end
ON CONFLICT (key) DO UPDATE SET pack = excluded.pack, start = excluded.start, length = excluded.length

-- name: delete_packed_data
DELETE FROM packed_data WHERE key = :key

-- name: list_jobs_without_records
SELECT job_id FROM execution_jobs WHERE job_id IN (
-- each row
:job_id
-- end
)
  AND NOT EXISTS (SELECT 1 FROM records WHERE records.job_id = execution_jobs.job_id)
  AND NOT EXISTS (SELECT 1 FROM record_versions WHERE record_versions.job_id = execution_jobs.job_id)

-- name: list_packed_data
SELECT key, pack, start, length FROM packed_data WHERE key IN (
-- each row
:key
-- end
)

-- name: look_at_layout
-- Where new data goes, and any pack.
SELECT (SELECT value FROM settings WHERE name = :name), (SELECT pack FROM packs LIMIT 1)

-- name: get_pack_size
SELECT size FROM packs WHERE pack = :pack

-- name: last_end_in_pack
-- Goes through all rows: asked for before something of a pack is cut off, or left out.
SELECT coalesce(max(start + length), 0) FROM packed_data WHERE pack = :pack

-- name: list_packs
SELECT pack, size FROM packs ORDER BY pack

-- name: save_pack
INSERT INTO packs (pack, size) VALUES (:pack, :size)
ON CONFLICT (pack) DO UPDATE SET size = max(size, excluded.size)

-- name: every_packed_data_of_pack
SELECT key, start, length FROM packed_data WHERE pack = :pack ORDER BY start, key

-- name: every_pack
-- How much of each is committed, how much of that rows name, and how far they go.
SELECT pack, coalesce(size, 0), coalesce(live, 0), coalesce(last_end, 0) FROM packs
FULL JOIN (
    SELECT pack, sum(length) AS live, max(start + length) AS last_end FROM packed_data GROUP BY pack
) USING (pack)
ORDER BY length(pack), pack

-- name: every_placed_reference
-- What there must be, and in which pack it lies: first what lies in files, by its key; then packs, in their order.
SELECT referring.output_ref, referring.data_sha256, pack, start, length
FROM (
    SELECT output_ref, data_sha256 FROM records WHERE output_ref IS NOT NULL
    UNION ALL
    SELECT output_ref, data_sha256 FROM record_versions WHERE output_ref IS NOT NULL
) AS referring
LEFT JOIN packed_data ON key = referring.output_ref
ORDER BY pack, start, length, referring.output_ref

-- name: every_placed_reference_in
-- What `every_placed_reference` has of some packs that follow each other.
SELECT referring.output_ref, referring.data_sha256, pack, start, length
FROM (
    SELECT output_ref, data_sha256 FROM records WHERE output_ref IS NOT NULL
    UNION ALL
    SELECT output_ref, data_sha256 FROM record_versions WHERE output_ref IS NOT NULL
) AS referring
JOIN packed_data ON key = referring.output_ref
WHERE (length(pack), pack) BETWEEN (length(:first), :first_pack) AND (length(:last), :last_pack)
ORDER BY pack, start, length, referring.output_ref

-- name: every_unreferenced_packed_key
SELECT key FROM packed_data
EXCEPT SELECT output_ref FROM records WHERE output_ref IS NOT NULL
EXCEPT SELECT output_ref FROM record_versions WHERE output_ref IS NOT NULL

-- name: sample_packed_data
SELECT key, pack, start, length FROM packed_data LIMIT :limit

-- name: page_of_packed_data
-- Of one pack, by key: all of it may be more than fits in memory.
SELECT key, start, length FROM packed_data WHERE pack = :pack AND key > :after ORDER BY key LIMIT :limit

-- name: every_pack_of_run
SELECT pack FROM packed_data JOIN records ON output_ref = key WHERE master_job_id = :master_job_id
UNION
SELECT pack FROM packed_data JOIN record_versions ON output_ref = key WHERE master_job_id = :same_run

-- name: every_empty_pack
-- Those that were given up are among them: their files may be there still.
SELECT pack FROM packs EXCEPT SELECT pack FROM packed_data ORDER BY pack

-- name: every_content_of_packs
SELECT key, pack, start, length FROM packed_data WHERE pack IN (
-- each row
:pack
-- end
)
ORDER BY pack, start

-- name: every_used_pack
SELECT DISTINCT pack FROM packed_data

-- name: set_pack_size
INSERT INTO packs (pack, size) VALUES (:pack, :size) ON CONFLICT (pack) DO UPDATE SET size = excluded.size

-- name: every_journaled_pack
-- The ranges of packs that the journal holds, without their bytes.
SELECT key FROM data_journal AS entry WHERE {is_of_pack entry}

-- name: list_journaled_ranges
-- Of one pack; the payload of one of them follows with its number.
SELECT number, key FROM data_journal WHERE substr(key, 1, length(:prefix)) = :same_prefix AND payload IS NOT NULL
ORDER BY number DESC

-- name: has_mixed_case_ids
-- Nearly always there are none, and no id of a group has to be looked up among them.
SELECT 1 FROM mixed_case_ids WHERE kind = :kind LIMIT 1

-- name: has_borrowers
-- Whether any record refers to the data of another.
SELECT 1 FROM records INDEXED BY records_by_borrowed_data WHERE {borrows_data records} LIMIT 1

-- name: list_borrowers
SELECT record_uid, data_sha256, output_ref FROM records INDEXED BY records_by_borrowed_data
WHERE {borrows_data records}
  AND output_ref IN (
-- each row
:output_ref
-- end
)

-- name: list_versions_of_records
SELECT record_uid, number, output_ref FROM record_versions WHERE record_uid IN (
-- each row
:record_uid
-- end
)

-- name: get_owner_of_data
SELECT record_uid FROM records WHERE record_uid = :owner_uid AND output_ref = :output_ref
UNION ALL
SELECT record_uid FROM record_versions WHERE output_ref = :version_ref

-- name: get_digest_of_own_data
SELECT record_uid, data_sha256, output_ref FROM records WHERE record_uid = :owner_uid AND output_ref = :output_ref

-- name: set_data_digest
UPDATE records SET data_sha256 = :data_sha256 WHERE record_uid = :record_uid

-- name: count_records
SELECT status, records FROM record_counts WHERE master_job_id = :master_job_id AND records > 0

-- name: journal_data
INSERT INTO data_journal (key, payload) VALUES
-- each row
(:key, :payload)
-- end

-- name: journal_removal_of_records
-- The data of a master job's records, unless a record of another master job refers to it.
INSERT INTO data_journal (key, payload)
SELECT own.output_ref, NULL FROM records AS own
WHERE own.master_job_id = :master_job_id AND {has_own_data own}
  AND NOT EXISTS (SELECT 1 FROM packed_data WHERE key = own.output_ref)
  AND NOT EXISTS (
      SELECT 1 FROM records AS other
      WHERE other.output_ref = own.output_ref AND other.master_job_id <> own.master_job_id
        AND {borrows_data other})

-- name: journal_removal_of_versions
-- The data of versions of a master job's records, unless a record refers to it.
INSERT INTO data_journal (key, payload)
SELECT own.output_ref, NULL FROM record_versions AS own
WHERE own.master_job_id = :master_job_id AND own.output_ref IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM packed_data WHERE key = own.output_ref)
  AND NOT EXISTS (
      SELECT 1 FROM records AS other
      WHERE other.output_ref = own.output_ref AND other.master_job_id <> own.master_job_id
        AND {borrows_data other})

-- name: delete_packed_data_of_records
-- The data of a master job's records that lies in packs, unless a record of another master job refers to it.
DELETE FROM packed_data WHERE key IN (
    SELECT own.output_ref FROM records AS own
    WHERE own.master_job_id = :master_job_id AND {has_own_data own}
      AND NOT EXISTS (
          SELECT 1 FROM records AS other
          WHERE other.output_ref = own.output_ref AND other.master_job_id <> own.master_job_id
            AND {borrows_data other}))

-- name: delete_packed_data_of_versions
-- The data of versions of a master job's records that lies in packs, unless a record refers to it.
DELETE FROM packed_data WHERE key IN (
    SELECT own.output_ref FROM record_versions AS own
    WHERE own.master_job_id = :master_job_id AND own.output_ref IS NOT NULL
      AND NOT EXISTS (
          SELECT 1 FROM records AS other
          WHERE other.output_ref = own.output_ref AND other.master_job_id <> own.master_job_id
            AND {borrows_data other}))

-- name: journal_removal_of_request_config
INSERT INTO data_journal (key, payload)
SELECT own.request_config_ref, NULL FROM master_jobs AS own
WHERE own.master_job_id = :master_job_id
  AND {has_request_config own}
  AND NOT EXISTS (
      SELECT 1 FROM master_jobs AS other
      WHERE other.request_config_ref = own.request_config_ref AND other.master_job_id <> own.master_job_id)

-- name: last_journal_number
SELECT coalesce(max(number), 0) FROM data_journal

-- name: list_journal
SELECT number, key, payload IS NULL FROM data_journal ORDER BY number

-- name: get_journal_payload
SELECT payload FROM data_journal WHERE number = :number

-- name: get_journaled_data
SELECT payload FROM data_journal WHERE key = :key ORDER BY number DESC LIMIT 1

-- name: largest_row_number
SELECT max(rowid) FROM records

-- name: get_row_number
SELECT rowid FROM records WHERE record_uid = :record_uid

-- name: row_numbers
-- each status
SELECT rowid FROM records WHERE master_job_id = :master_job_id AND status = :status
-- merged

-- name: records_of_row_numbers
-- Of any run: who asks picks.
SELECT {record.columns}, {version} AS data_version, unique_key, attempt, master_job_id, status, rowid
FROM records WHERE rowid IN (
-- each row
:row_number
-- end
)

-- name: list_journaled_removals
SELECT key FROM data_journal WHERE number > :after AND number <= :until AND payload IS NULL ORDER BY number

-- name: list_journaled_keys
SELECT DISTINCT key FROM data_journal WHERE number <= :until

-- name: empty_journal
DELETE FROM data_journal WHERE number <= :until

-- name: forget_journal_entry
DELETE FROM data_journal WHERE number = :number

-- name: delete_mixed_case_ids_of_records
-- Of records whose own data is removed with them: data that stays keeps its name.
DELETE FROM mixed_case_ids
WHERE kind = 'record_uid' AND EXISTS (
    SELECT 1 FROM records AS own
    WHERE own.record_uid = mixed_case_ids.id AND own.master_job_id = :master_job_id AND {has_own_data own}
      AND NOT EXISTS (
          SELECT 1 FROM records AS other
          WHERE other.output_ref = own.output_ref AND other.master_job_id <> own.master_job_id
            AND {borrows_data other}))

-- name: page_of_completed_hashes
-- Before a place in the index, in whose order the rows mostly lie; the hashes themselves have none.
SELECT run_config_hash, creation_time, job_id FROM execution_jobs {index_of_statuses}
WHERE master_job_id = :master_job_id AND status = 'completed' AND run_config_hash IS NOT NULL
  AND (creation_time, job_id) < (:before, :before_job)
ORDER BY creation_time DESC, job_id DESC LIMIT :limit

-- name: list_tables
SELECT name FROM sqlite_schema

-- name: every_schema_object
SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name

-- name: begin_reading
BEGIN

-- name: begin
BEGIN IMMEDIATE

-- name: get_any_project
SELECT project_id FROM projects LIMIT 1

-- name: every_project
SELECT {project.columns} FROM projects ORDER BY project_id

-- name: every_master_job
-- In the order in which they were stored, so that what is made of them keeps it.
SELECT {master_job.columns} FROM master_jobs ORDER BY {order_of_storing}

-- name: every_execution_job
SELECT {execution_job.columns} FROM execution_jobs ORDER BY job_id

-- name: every_execution_job_end
-- What saving an execution job does not save.
SELECT {execution_job_end.columns} FROM execution_jobs WHERE counts IS NOT NULL ORDER BY job_id

-- name: every_record
SELECT {record.columns} FROM records ORDER BY record_uid

-- name: every_data_reference
SELECT output_ref, data_sha256 FROM records WHERE output_ref IS NOT NULL
UNION ALL
SELECT output_ref, data_sha256 FROM record_versions WHERE output_ref IS NOT NULL ORDER BY output_ref

-- name: every_file_reference
-- Of data in files of its own.
SELECT output_ref, data_sha256 FROM records
WHERE output_ref IS NOT NULL AND NOT EXISTS (SELECT 1 FROM packed_data WHERE key = output_ref)
UNION ALL
SELECT output_ref, data_sha256 FROM record_versions
WHERE output_ref IS NOT NULL AND NOT EXISTS (SELECT 1 FROM packed_data WHERE key = output_ref)
ORDER BY output_ref

-- name: every_packed_reference
-- Of data in packs, in the order in which it lies there.
SELECT pack, start, length, data_sha256 FROM records CROSS JOIN packed_data ON key = output_ref
UNION ALL
SELECT pack, start, length, data_sha256 FROM record_versions CROSS JOIN packed_data ON key = output_ref
ORDER BY pack, start

-- name: page_of_data_references
SELECT record_uid, output_ref, data_sha256, {version} FROM records
WHERE record_uid > :after AND output_ref IS NOT NULL ORDER BY record_uid LIMIT 1000

-- name: page_of_version_references
SELECT record_uid, number, output_ref, data_sha256, {version} FROM record_versions
WHERE (record_uid, number) > (:after, :after_number) AND output_ref IS NOT NULL ORDER BY record_uid, number LIMIT 1000

-- name: sample_data
-- Some of the data that there must be in its place.
SELECT output_ref, {version} FROM records
WHERE output_ref IS NOT NULL AND NOT EXISTS (SELECT 1 FROM data_journal WHERE key = output_ref) LIMIT :limit

-- name: every_request_config_reference
SELECT DISTINCT request_config_ref FROM master_jobs
WHERE {has_request_config master_jobs}
ORDER BY request_config_ref

-- name: every_wrong_record_count
-- What the triggers keep, against the records themselves.
SELECT counted.master_job_id, counted.status, coalesce(kept.records, 0), counted.records
FROM (SELECT master_job_id, status, count(*) AS records FROM records GROUP BY master_job_id, status) AS counted
LEFT JOIN record_counts AS kept USING (master_job_id, status)
WHERE coalesce(kept.records, 0) <> counted.records
UNION ALL
SELECT kept.master_job_id, kept.status, kept.records, 0 FROM record_counts AS kept
WHERE kept.records <> 0 AND NOT EXISTS (
    SELECT 1 FROM records WHERE master_job_id = kept.master_job_id AND status = kept.status)

-- name: every_unreadable_row
-- Rows with JSON or times that are none.
SELECT 'master job', master_job_id FROM master_jobs
WHERE NOT json_valid(output_schema) OR NOT json_valid(coalesce(summary, '{}'))
   OR julianday(creation_time) IS NULL OR julianday(last_update_time) IS NULL
UNION ALL
SELECT 'execution job', job_id FROM execution_jobs
WHERE NOT json_valid(coalesce(run_config, '{}')) OR NOT json_valid(coalesce(counts, '{}'))
   OR julianday(creation_time) IS NULL OR julianday(last_update_time) IS NULL
UNION ALL
SELECT 'record', record_uid FROM records
WHERE julianday(start_time) IS NULL OR julianday(end_time) IS NULL
   OR julianday(last_update_time) IS NULL
UNION ALL
SELECT 'version', record_uid || ', ' || number FROM record_versions
WHERE julianday(start_time) IS NULL OR julianday(end_time) IS NULL OR julianday(replaced_when) IS NULL
UNION ALL
SELECT 'attempt', job_id || ', ' || number FROM attempts
WHERE NOT json_valid(coalesce(usage, '[]')) OR NOT json_valid(coalesce(conversions, '[]'))
   OR NOT json_valid(coalesce(calls, '[]'))
   OR julianday(start_time) IS NULL OR julianday(end_time) IS NULL
UNION ALL
SELECT 'step', job_id || ', ' || name FROM steps
WHERE NOT json_valid(result) OR NOT json_valid(coalesce(usage, '[]')) OR julianday(saved_when) IS NULL
   OR NOT json_valid(coalesce(reused_from, '[]')) OR julianday(coalesce(asked_when, saved_when)) IS NULL
UNION ALL
SELECT 'segment', master_job_id || ', ' || number FROM segments
WHERE NOT json_valid(identity) OR julianday(start_time) IS NULL
UNION ALL
SELECT 'annotation', annotation_id FROM annotations
WHERE NOT json_valid(value) OR julianday(time) IS NULL OR julianday(coalesce(withdrawn, time)) IS NULL

-- name: every_record_with_data
SELECT (SELECT count(*) FROM records WHERE output_ref IS NOT NULL)
       + (SELECT count(*) FROM record_versions WHERE output_ref IS NOT NULL)

-- name: check_integrity
SELECT integrity_check FROM pragma_integrity_check

-- name: check_foreign_keys
SELECT "table", rowid, parent FROM pragma_foreign_key_check

-- name: recount_records
INSERT INTO record_counts (master_job_id, status, records)
SELECT master_job_id, status, count(*) FROM records WHERE true GROUP BY master_job_id, status
ON CONFLICT (master_job_id, status) DO UPDATE SET records = excluded.records

-- name: recount_stale
UPDATE record_counts SET records = 0
WHERE NOT EXISTS (
    SELECT 1 FROM records WHERE master_job_id = record_counts.master_job_id AND status = record_counts.status)

-- name: every_record_without_data
SELECT record_uid FROM records WHERE output_ref IS NULL ORDER BY record_uid

-- name: every_record_without_digest
SELECT record_uid FROM records WHERE output_ref IS NOT NULL AND data_sha256 IS NULL ORDER BY record_uid

-- name: get_records_of_data
SELECT record_uid FROM records WHERE record_uid = :owner_uid AND output_ref = :output_ref
UNION ALL
SELECT record_uid FROM records INDEXED BY records_by_borrowed_data
WHERE output_ref = :output_ref AND {borrows_data records}

-- name: get_versions_of_data
SELECT record_uid, number FROM record_versions WHERE output_ref = :output_ref

-- name: salvage_projects
SELECT {project.columns}, rowid FROM projects NOT INDEXED WHERE rowid >= :first ORDER BY rowid

-- name: salvage_master_jobs
SELECT {master_job.columns}, rowid FROM master_jobs NOT INDEXED WHERE rowid >= :first ORDER BY rowid

-- name: salvage_execution_jobs
SELECT {execution_job.columns}, rowid FROM execution_jobs NOT INDEXED WHERE rowid >= :first ORDER BY rowid

-- name: salvage_records
SELECT {record.columns}, rowid FROM records NOT INDEXED WHERE rowid >= :first ORDER BY rowid

-- name: salvage_journal
SELECT key, payload, number FROM data_journal NOT INDEXED WHERE number >= :first AND payload IS NOT NULL ORDER BY number

-- name: salvage_execution_job_ends
-- What saving an execution job does not save.
SELECT {execution_job_end.columns}, rowid
FROM execution_jobs NOT INDEXED WHERE rowid >= :first AND counts IS NOT NULL ORDER BY rowid
