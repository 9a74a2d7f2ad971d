-- Named queries of PostgreSQL alone; how they are written is said in ../common/queries.sql.
-- Many rows come as one array a column, so that one text serves groups of any size.

-- name: get_schema_version
SELECT value FROM settings WHERE name = 'schema_version'

-- name: look_at_session
SELECT pg_backend_pid(), current_setting('search_path'), current_setting('synchronous_commit')

-- name: set_settings
SELECT set_config(name, value, false) FROM unnest(:names::text[], :values::text[]) AS settings (name, value)

-- name: commit_to_disk
SET synchronous_commit TO on

-- name: begin
BEGIN

-- name: begin_resting
-- For a transaction during which objects are removed, that others do not wait for.
BEGIN; SET LOCAL idle_in_transaction_session_timeout TO '20s'

-- name: rest
-- While objects are removed.
SET LOCAL idle_in_transaction_session_timeout TO '20s'

-- name: begin_known_group
-- Groups share the store; what must not meet another group, such as a deletion, has it alone.
BEGIN; SELECT begin_known_group(:writer, :number, :version, :store, :alone)

-- name: write_group
-- All that a group has to say in one round trip: see the function.
SELECT {claimed_input.columns}, worker_id FROM write_group(
    :writer, :number, :version, :store,
    {record.arrays}, :data_versions::text[], :folded::text[],
    {attempt.arrays},
    {finished_input.arrays},
    :runs::text[], :workers::text[], :limits::bigint[], :refreshed::text[], :now)

-- name: list_claimed_by_group
-- What `write_group` has claimed at some time, if its answer was lost.
SELECT {claimed_input.columns}, worker_id FROM execution_jobs
WHERE master_job_id = ANY (:runs::text[]) AND status = 'running' AND worker_id = ANY (:workers::text[])
  AND start_time = :claimed_when

-- name: lock_commits
-- Before the store: as a group that has begun does it.
LOCK TABLE last_commits IN ACCESS EXCLUSIVE MODE

-- name: shuffled_records
-- By a hash of the uid, whose bits a flip of -1 turns round, and with them the order. A sort of all that fit, over the
-- index alone: an index of hashes would be paid for at every save.
SELECT {record.columns}, data_version, unique_key, attempt
FROM records JOIN (
    SELECT record_uid AS uid, hashtextextended(record_uid, :seed::bigint) # :flip::bigint AS place FROM records
    WHERE master_job_id = :master_job_id AND status = ANY (:statuses::text[])
      AND (:after::text IS NULL
           OR hashtextextended(record_uid, :seed_of_each::bigint) # :flip_of_each::bigint
              > hashtextextended(:border::text COLLATE "C", :seed_of_border::bigint) # :flip_of_border::bigint)
    ORDER BY 2, 1 LIMIT :limit) AS found ON uid = record_uid
ORDER BY place, record_uid

-- name: lock_store
SELECT pg_advisory_xact_lock(:store)

-- name: share_names
-- Before single names are locked, so that nobody locks all of them meanwhile.
SELECT pg_advisory_xact_lock_shared(:all_names)

-- name: lock_names
SELECT pg_advisory_xact_lock(name) FROM unnest(:names::bigint[]) AS name

-- name: lock_all_names
SELECT pg_advisory_xact_lock(:all_names)

-- name: settle_commit
-- The number of the last group that was committed. Waits for one that the server still works on.
INSERT INTO last_commits (writer, number, noted_when, schema_version)
VALUES (:writer, 0, clock_timestamp(), :version)
ON CONFLICT (writer) DO UPDATE SET noted_when = excluded.noted_when
RETURNING number

-- name: forget_commits
DELETE FROM last_commits WHERE writer = :writer

-- name: forget_old_commits
-- Of writers that died: nobody asks for them any more.
DELETE FROM last_commits WHERE noted_when < clock_timestamp() - interval '1 day'

-- name: show_name
SELECT set_config('application_name', :name, false)

-- name: end_session
-- Whatever worker it shows: the end of its name is its own.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name LIKE 'starfish%' AND right(application_name, 20) = right(:name, 20) AND usename = current_user AND pid <> pg_backend_pid()

-- name: end_stopped_neighbours
-- Of sessions of workers that a session waits for: those that have waited for their client for so long.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = ANY (pg_blocking_pids(:pid)) AND usename = current_user AND application_name LIKE 'starfish%'
  AND state = 'active' AND wait_event_type = 'Client'
  AND state_change < clock_timestamp() - :seconds::double precision * interval '1 second'

-- name: page_of_completed_hashes
-- Before one of them. The index has all that is asked for.
SELECT run_config_hash FROM execution_jobs
WHERE master_job_id = :master_job_id AND status = 'completed' AND run_config_hash < :before
ORDER BY run_config_hash DESC LIMIT :limit

-- name: is_working
-- What waits for its client to take the answer does not.
SELECT 1 FROM pg_stat_activity
WHERE pid = :pid AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Client'

-- name: find_schema
-- Whether the user may use it; no row: there is none.
SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = :schema

-- name: create_schema
-- Its quoted name follows.
CREATE SCHEMA

-- name: find_tables
SELECT relname FROM pg_class AS class JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE nspname = :schema AND relkind IN ('r', 'p', 'v', 'm')

-- name: get_now
SELECT clock_timestamp()

-- name: save_records
-- Records with their data, and what that replaces: rows there were before, data that had no row of its own; and ids
-- that differ from these in case alone. One statement, so that the network is paid for once.
WITH given AS (
    SELECT * FROM unnest({record.arrays}, :data_version::text[])
    AS given ({record.columns}, data_version)),
before AS (
    SELECT {record.columns}, data_version FROM records WHERE record_uid = ANY (:uids::text[])),
loose AS (DELETE FROM loose_data WHERE key = ANY (:keys::text[]) RETURNING key, data_version),
saved AS (
    INSERT INTO records ({record.columns}, data_version)
    SELECT {record.columns}, data_version FROM given ORDER BY record_uid
    ON CONFLICT (record_uid) DO UPDATE SET {record.assigned of excluded}, data_version = excluded.data_version)
SELECT 'before', record_uid, output_ref, data_version, data_sha256 FROM before
UNION ALL SELECT 'loose', NULL, key, data_version, NULL FROM loose
UNION ALL SELECT 'mixed', id, NULL, NULL, NULL FROM mixed_case_ids
WHERE kind = 'record_uid' AND folded = ANY (:folded::text[])

-- name: save_record
INSERT INTO records ({record.columns}, data_version)
VALUES ({record.parameters}, :data_version)
ON CONFLICT (record_uid) DO UPDATE SET {record.assigned of excluded}, data_version = excluded.data_version

-- name: update_record
UPDATE records SET {record.assigned but output_ref data_sha256}
WHERE record_uid = :record_uid

-- name: get_record_data
-- What a row says of the data it refers to; nobody else changes it meanwhile.
SELECT output_ref, data_version, data_sha256 FROM records WHERE record_uid = :record_uid FOR UPDATE

-- name: locate_data
-- From the record whose data it is, else from what has no row of its own; the owner of each key stands beside it.
SELECT wanted.key, records.data_version, records.data_sha256
FROM unnest(:keys::text[], :owners::text[]) AS wanted (key, owner)
JOIN records ON records.record_uid = wanted.owner AND records.output_ref = wanted.key
UNION ALL
SELECT loose_data.key, loose_data.data_version, loose_data.data_sha256
FROM loose_data
WHERE loose_data.key = ANY (:loose_keys::text[])

-- name: get_borrower
SELECT record_uid FROM records
WHERE output_ref = :output_ref AND {borrows_data records}
LIMIT 1

-- name: set_data_version
UPDATE records SET data_version = :data_version, data_sha256 = :data_sha256 WHERE record_uid = :record_uid

-- name: save_loose_data
-- Returns which version this replaces, if there was one.
WITH before AS (SELECT data_version FROM loose_data WHERE key = :known_key),
saved AS (
    INSERT INTO loose_data (key, data_version, data_sha256) VALUES (:key, :data_version, :data_sha256)
    ON CONFLICT (key) DO UPDATE SET data_version = excluded.data_version, data_sha256 = excluded.data_sha256)
SELECT data_version FROM before

-- name: take_loose_data
DELETE FROM loose_data WHERE key = :key RETURNING data_version, data_sha256

-- name: note_removal
-- Unless it is still needed: by a version of the record, or by a record of another uid that borrows it.
INSERT INTO data_removals (object)
SELECT :object::text
WHERE NOT EXISTS (
      SELECT 1 FROM record_versions
      WHERE record_uid = :record_uid AND output_ref = :output_ref
        AND data_version IS NOT DISTINCT FROM :data_version::text)
  AND NOT EXISTS (
      SELECT 1 FROM loose_data WHERE key = :key AND data_version IS NOT DISTINCT FROM :loose_version::text)
ON CONFLICT (object) DO NOTHING

-- name: forget_removal
DELETE FROM data_removals WHERE object = :object

-- name: take_removals
-- Two that remove at a time take different objects. An array, since what stands behind IN may be carried out for each
-- row of a table that seems small: then every time it finds others, and more are taken than the limit. None are where
-- another release has migrated the store: they are its work.
DELETE FROM data_removals WHERE object = ANY (ARRAY(
    SELECT object FROM data_removals
    WHERE (SELECT value FROM settings WHERE name = 'schema_version') = :version
    ORDER BY object LIMIT :limit FOR UPDATE SKIP LOCKED))
RETURNING object

-- name: lock_data_of_records
-- In one order, so that two deletions do not wait for each other.
SELECT record_uid, output_ref, data_version, data_sha256 FROM records
WHERE record_uid = ANY (:uids::text[]) ORDER BY record_uid FOR UPDATE

-- name: delete_versions_of_records
DELETE FROM record_versions WHERE record_uid = ANY (:uids::text[]) RETURNING output_ref, data_version

-- name: delete_records
DELETE FROM records WHERE record_uid = ANY (:uids::text[])

-- name: find_rows_by_key
-- For the rest of the transaction. The server's own statements, for foreign keys, are planned by what is known of the
-- tables when they are first carried out. Where nearly all records are of one execution job, they would read all records
-- for every job that is deleted.
SELECT set_config(name, 'off', true) FROM unnest(ARRAY['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin']) AS name

-- name: lock_jobs
-- Whoever saves a record of one of them waits.
SELECT job_id FROM execution_jobs WHERE job_id = ANY (:job_ids::text[]) ORDER BY job_id FOR UPDATE

-- name: list_jobs_without_records
SELECT job_id FROM execution_jobs WHERE job_id = ANY (:job_ids::text[])
  AND NOT EXISTS (SELECT 1 FROM records WHERE records.job_id = execution_jobs.job_id)
  AND NOT EXISTS (SELECT 1 FROM record_versions WHERE record_versions.job_id = execution_jobs.job_id)

-- name: delete_attempts_of_jobs
-- Before their jobs: deleted along with each of these, they would be counted one by one.
DELETE FROM attempts WHERE job_id = ANY (:job_ids::text[])

-- name: delete_jobs
DELETE FROM execution_jobs WHERE job_id = ANY (:job_ids::text[])

-- name: list_borrowed_keys
SELECT DISTINCT output_ref FROM records WHERE output_ref = ANY (:keys::text[]) AND {borrows_data records}

-- name: keep_borrowed_data
-- Data of a master job's records that a record of another one refers to outlives its own row.
INSERT INTO loose_data (key, data_version, data_sha256)
SELECT own.output_ref, own.data_version, own.data_sha256 FROM records AS own
WHERE own.master_job_id = :master_job_id AND {has_own_data own}
  AND EXISTS (
      SELECT 1 FROM records AS other
      WHERE other.output_ref = own.output_ref AND other.master_job_id <> own.master_job_id
        AND {borrows_data other})
ON CONFLICT (key) DO UPDATE SET data_version = excluded.data_version, data_sha256 = excluded.data_sha256

-- name: note_removal_of_records
-- The data of a master job's records, unless a record of another master job refers to it. A pack is that of others.
INSERT INTO data_removals (object)
SELECT {named_version own} FROM records AS own
WHERE own.master_job_id = :master_job_id AND {has_own_data own} AND {lies_alone own}
  AND NOT EXISTS (
      SELECT 1 FROM records AS other
      WHERE other.output_ref = own.output_ref AND other.master_job_id <> own.master_job_id
        AND {borrows_data other})
ON CONFLICT (object) DO NOTHING

-- name: note_removal_of_versions
-- The data of versions of a master job's records, unless a record of another uid borrows it.
INSERT INTO data_removals (object)
SELECT {named_version own} FROM record_versions AS own
WHERE own.master_job_id = :master_job_id AND own.output_ref IS NOT NULL AND {lies_alone own}
  AND NOT EXISTS (
      SELECT 1 FROM loose_data AS borrowed
      WHERE borrowed.key = own.output_ref AND borrowed.data_version IS NOT DISTINCT FROM own.data_version)
ON CONFLICT (object) DO NOTHING

-- name: note_removal_of_request_config
INSERT INTO data_removals (object)
SELECT own.request_config_ref FROM master_jobs AS own
WHERE own.master_job_id = :master_job_id
  AND {has_request_config own}
  AND NOT EXISTS (
      SELECT 1 FROM master_jobs AS other
      WHERE other.request_config_ref = own.request_config_ref AND other.master_job_id <> own.master_job_id)
ON CONFLICT (object) DO NOTHING
RETURNING object

-- name: measure_rows
SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'm')

-- name: count_records
SELECT status, sum(records)::bigint FROM record_counts
WHERE master_job_id = :master_job_id GROUP BY status HAVING sum(records) > 0

-- name: end_execution_jobs
-- Many at a time: what `end_execution_job` does; returns those that are there.
UPDATE execution_jobs AS job SET {execution_job_end.assigned of given}
FROM unnest({execution_job_end.arrays})
AS given ({execution_job_end.columns})
WHERE job.job_id = given.job_id
RETURNING job.job_id

-- name: forget_record_counts
DELETE FROM record_counts

-- name: recount_records
INSERT INTO record_counts (master_job_id, status, slot, records)
SELECT master_job_id, status, 0, count(*) FROM records GROUP BY master_job_id, status

-- name: save_rows_of_records
-- Rows whose data was saved before, and where that was: in rows there were before, or without a row.
WITH given AS (
    SELECT * FROM unnest({record.arrays but data_sha256})
    AS given ({record.columns but data_sha256})),
before AS (
    SELECT record_uid, output_ref, data_version, data_sha256 FROM records
    WHERE record_uid = ANY (:uids::text[]) ORDER BY record_uid FOR UPDATE),
loose AS (
    DELETE FROM loose_data WHERE key = ANY (:keys::text[]) RETURNING key, data_version, data_sha256),
saved AS (
    INSERT INTO records ({record.columns but data_sha256}, data_sha256, data_version)
    SELECT {record.columns of given but data_sha256},
           CASE WHEN before.output_ref = given.output_ref THEN before.data_sha256 ELSE loose.data_sha256 END,
           CASE WHEN before.output_ref = given.output_ref THEN before.data_version ELSE loose.data_version END
    FROM given
    LEFT JOIN before ON before.record_uid = given.record_uid
    LEFT JOIN loose ON loose.key = given.output_ref
    ORDER BY given.record_uid
    ON CONFLICT (record_uid) DO UPDATE SET {record.assigned of excluded}, data_version = excluded.data_version)
SELECT 'before', record_uid, output_ref, data_version, data_sha256 FROM before
UNION ALL SELECT 'loose', NULL, key, data_version, data_sha256 FROM loose
UNION ALL SELECT 'mixed', id, NULL, NULL, NULL FROM mixed_case_ids
WHERE kind = 'record_uid' AND folded = ANY (:folded::text[])

-- name: note_data
-- Data that is saved without its row: the row that has it already gets the new version, else it is loose. Returns the
-- versions that this replaces, and ids that differ from these in case alone.
WITH given AS (
    SELECT * FROM unnest(:uids::text[], :keys::text[], :versions::text[], :digests::text[])
    AS given (record_uid, key, data_version, data_sha256)),
before AS (
    SELECT records.record_uid, given.key, records.data_version FROM records
    JOIN given ON given.record_uid = records.record_uid AND given.key = records.output_ref
    ORDER BY records.record_uid FOR UPDATE OF records),
changed AS (
    UPDATE records SET data_version = given.data_version, data_sha256 = given.data_sha256
    FROM given JOIN before ON before.key = given.key
    WHERE records.record_uid = given.record_uid),
replaced AS (
    SELECT loose_data.key, loose_data.data_version FROM loose_data JOIN given ON given.key = loose_data.key
    WHERE NOT EXISTS (SELECT 1 FROM before WHERE before.key = given.key)),
saved AS (
    INSERT INTO loose_data (key, data_version, data_sha256)
    SELECT key, data_version, data_sha256 FROM given
    WHERE NOT EXISTS (SELECT 1 FROM before WHERE before.key = given.key) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET data_version = excluded.data_version, data_sha256 = excluded.data_sha256)
SELECT 'replaced', record_uid, key, data_version FROM before
UNION ALL SELECT 'replaced', NULL, key, data_version FROM replaced
UNION ALL SELECT 'mixed', id, NULL, NULL FROM mixed_case_ids
WHERE kind = 'record_uid' AND folded = ANY (:folded::text[])
