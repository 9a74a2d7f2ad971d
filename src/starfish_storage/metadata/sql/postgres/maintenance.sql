-- Named queries of PostgreSQL for checking and cleaning; how they are written is said in ../common/queries.sql.
-- What may be long comes in pages, each after the last key of the one before: a cursor would need one transaction for
-- as long as all data is read, and hold up the server's own cleaning for hours. The limit is no parameter: not knowing
-- it, the planner might sort the whole table for each page.

-- name: get_store_identity
-- Of this schema, and of no copy: a dump that is loaded elsewhere makes a schema of another number.
SELECT encode(sha256(convert_to(
    system_identifier || ' ' || (SELECT oid FROM pg_database WHERE datname = current_database()) || ' '
    || (SELECT oid FROM pg_namespace WHERE nspname = current_schema()), 'UTF8')), 'hex')
FROM pg_control_system()

-- name: sample_data
-- Some of the data that there must be.
(SELECT output_ref, data_version FROM records
 WHERE {has_own_data records}
 LIMIT :records)
UNION ALL (SELECT key, data_version FROM loose_data LIMIT :loose)

-- name: count_data
SELECT (SELECT count(*) FROM records WHERE output_ref IS NOT NULL)
       + (SELECT count(*) FROM record_versions WHERE output_ref IS NOT NULL), (SELECT count(*) FROM loose_data)

-- name: page_of_records
-- With data of their own, that does not lie in a pack.
SELECT record_uid, output_ref, data_version, data_sha256 FROM records
WHERE record_uid > :after AND {has_own_data records} AND {lies_alone records}
ORDER BY record_uid LIMIT 1000

-- name: page_of_loose_data
SELECT key, key, data_version, data_sha256 FROM loose_data
WHERE key > :after AND {lies_alone loose_data} ORDER BY key LIMIT 1000

-- name: page_of_versions
SELECT record_uid, number, output_ref, data_version, data_sha256 FROM record_versions
WHERE (record_uid, number) > (:after, :after_number) AND output_ref IS NOT NULL AND {lies_alone record_versions}
ORDER BY record_uid, number LIMIT 1000

-- name: page_of_packed_records
-- By pack, so that what lies together is read together; as much as a whole pack may hold.
SELECT data_version, output_ref, data_version, data_sha256 FROM records
WHERE data_version > :after AND {in_pack records} ORDER BY data_version LIMIT 10000

-- name: page_of_packed_loose_data
SELECT data_version, key, data_version, data_sha256 FROM loose_data
WHERE data_version > :after AND {in_pack loose_data} ORDER BY data_version LIMIT 10000

-- name: page_of_packed_versions
SELECT data_version, output_ref, data_version, data_sha256 FROM record_versions
WHERE data_version > :after AND {in_pack record_versions} AND output_ref IS NOT NULL
ORDER BY data_version LIMIT 10000

-- name: locate_version
-- Of an object, given as every key and version that its name may be made of.
SELECT record_versions.output_ref, record_versions.data_version, record_versions.data_sha256
FROM unnest(:keys::text[], :owners::text[], :versions::text[]) AS wanted (key, owner, version)
JOIN record_versions ON record_versions.record_uid = wanted.owner AND record_versions.output_ref = wanted.key
    AND record_versions.data_version IS NOT DISTINCT FROM wanted.version

-- name: locate_packed_version
SELECT output_ref, data_version, data_sha256 FROM record_versions
WHERE data_version = :version AND {in_pack record_versions}

-- name: page_of_borrowed_data
-- That neither a record of its own nor `loose_data` knows: it lies under the key itself.
SELECT DISTINCT output_ref, output_ref, NULL, NULL FROM records AS borrower
WHERE output_ref > :after AND {borrows_data borrower}
  AND NOT EXISTS (SELECT 1 FROM loose_data WHERE key = borrower.output_ref)
  AND NOT EXISTS (
      SELECT 1 FROM records AS own
      WHERE own.output_ref = borrower.output_ref
        AND own.record_uid = {owner_uid borrower})
ORDER BY output_ref LIMIT 1000

-- name: page_of_request_configs
SELECT DISTINCT request_config_ref FROM master_jobs
WHERE request_config_ref > :after
  AND {has_request_config master_jobs}
ORDER BY request_config_ref LIMIT 1000

-- name: page_of_master_job_json
SELECT master_job_id, ARRAY[output_schema, summary] FROM master_jobs
WHERE master_job_id > :after ORDER BY master_job_id LIMIT 1000

-- name: page_of_execution_job_json
SELECT job_id, ARRAY[run_config, counts] FROM execution_jobs
WHERE job_id > :after ORDER BY job_id LIMIT 1000

-- name: page_of_attempt_json
SELECT job_id, number, ARRAY[usage, conversions, calls] FROM attempts
WHERE (job_id, number) > (:after, :after_number)
  AND (usage IS NOT NULL OR conversions IS NOT NULL OR calls IS NOT NULL)
ORDER BY job_id, number LIMIT 1000

-- name: page_of_step_json
-- Fewer than of others: answers to requests may be large.
SELECT {step.id}, ARRAY[result, usage, reused_from] FROM steps
WHERE ({step.id}) > (:after, :after_name, :after_key, :after_call, :after_reply)
ORDER BY {step.id} LIMIT 100

-- name: page_of_segment_json
SELECT master_job_id, number, ARRAY[identity] FROM segments
WHERE (master_job_id, number) > (:after, :after_number) ORDER BY master_job_id, number LIMIT 1000

-- name: page_of_annotation_json
SELECT annotation_id, ARRAY[value] FROM annotations
WHERE annotation_id > :after ORDER BY annotation_id LIMIT 1000

-- name: every_bad_time
-- Rows with times that are none.
SELECT kind, id FROM (
    SELECT 'project' AS kind, project_id AS id, ARRAY[created_when, updated_when] AS times FROM projects
    UNION ALL
    SELECT 'master job', master_job_id, ARRAY[creation_time, start_time, end_time, last_update_time] FROM master_jobs
    UNION ALL
    SELECT 'execution job', job_id, ARRAY[creation_time, start_time, end_time, last_update_time] FROM execution_jobs
    UNION ALL
    SELECT 'record', record_uid, ARRAY[start_time, end_time, last_update_time] FROM records
    UNION ALL
    SELECT 'version', record_uid || ', ' || number, ARRAY[start_time, end_time, replaced_when] FROM record_versions
    UNION ALL
    SELECT 'attempt', job_id || ', ' || number, ARRAY[start_time, end_time] FROM attempts
    UNION ALL
    SELECT 'step', job_id || ', ' || name, ARRAY[saved_when, asked_when] FROM steps
    UNION ALL
    SELECT 'segment', master_job_id || ', ' || number, ARRAY[start_time] FROM segments
    UNION ALL
    SELECT 'annotation', annotation_id, ARRAY[time, withdrawn] FROM annotations) AS every_row
WHERE EXISTS (
    SELECT 1 FROM unnest(times) AS moment
    WHERE moment !~ '^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z$')
ORDER BY kind, id

-- name: every_invalid_index
-- Of an index whose building was broken off, nothing is found.
SELECT class.relname FROM pg_index AS found
JOIN pg_class AS class ON class.oid = found.indexrelid
JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE namespace.nspname = current_schema() AND NOT (found.indisvalid AND found.indisready)
ORDER BY class.relname

-- name: every_idle_trigger
-- That keeps counts or references right, and was switched off.
SELECT class.relname, pg_trigger.tgname FROM pg_trigger
JOIN pg_class AS class ON class.oid = pg_trigger.tgrelid
JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE namespace.nspname = current_schema() AND pg_trigger.tgenabled NOT IN ('O', 'A')
ORDER BY class.relname, pg_trigger.tgname

-- name: every_orphan
-- Rows without a parent: foreign keys prevent them, unless somebody switched them off.
SELECT 'master_jobs', master_job_id, 'projects' FROM master_jobs AS child
WHERE NOT EXISTS (SELECT 1 FROM projects WHERE projects.project_id = child.project_id)
UNION ALL
SELECT 'execution_jobs', job_id, 'master_jobs' FROM execution_jobs AS child
WHERE NOT EXISTS (SELECT 1 FROM master_jobs WHERE master_jobs.master_job_id = child.master_job_id)
UNION ALL
SELECT 'records', record_uid, 'execution_jobs' FROM records AS child
WHERE NOT EXISTS (
    SELECT 1 FROM execution_jobs
    WHERE execution_jobs.job_id = child.job_id AND execution_jobs.master_job_id = child.master_job_id)
UNION ALL
SELECT 'record_versions', record_uid || ', ' || number, 'execution_jobs' FROM record_versions AS child
WHERE NOT EXISTS (
    SELECT 1 FROM execution_jobs
    WHERE execution_jobs.job_id = child.job_id AND execution_jobs.master_job_id = child.master_job_id)
UNION ALL
SELECT 'standing_outcomes', job_id, 'execution_jobs' FROM standing_outcomes AS child
WHERE NOT EXISTS (SELECT 1 FROM execution_jobs WHERE execution_jobs.job_id = child.job_id)
UNION ALL
SELECT 'attempts', job_id || ', ' || number, 'execution_jobs' FROM attempts AS child
WHERE NOT EXISTS (SELECT 1 FROM execution_jobs WHERE execution_jobs.job_id = child.job_id)
UNION ALL
SELECT 'steps', job_id || ', ' || name, 'execution_jobs' FROM steps AS child
WHERE NOT EXISTS (SELECT 1 FROM execution_jobs WHERE execution_jobs.job_id = child.job_id)
UNION ALL
SELECT 'annotations', annotation_id, 'records' FROM annotations AS child
WHERE NOT EXISTS (SELECT 1 FROM records WHERE records.record_uid = child.record_uid)
UNION ALL
SELECT 'segments', master_job_id || ', ' || number, 'runs' FROM segments AS child
WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.master_job_id = child.master_job_id)
UNION ALL
SELECT 'runs', master_job_id, 'master_jobs' FROM runs AS child
WHERE NOT EXISTS (SELECT 1 FROM master_jobs WHERE master_jobs.master_job_id = child.master_job_id)

-- name: every_wrong_record_count
-- What the triggers keep, all slots together, against the records themselves.
SELECT master_job_id, status, coalesce(kept.records, 0), coalesce(counted.records, 0)
FROM (SELECT master_job_id, status, sum(records)::bigint AS records FROM record_counts GROUP BY master_job_id, status)
    AS kept
FULL JOIN (SELECT master_job_id, status, count(*) AS records FROM records GROUP BY master_job_id, status) AS counted
    USING (master_job_id, status)
WHERE coalesce(kept.records, 0) <> coalesce(counted.records, 0)
ORDER BY master_job_id, status

-- name: every_wrong_total
-- What the triggers keep of attempts, against the attempts themselves; costs are floats, and their sums inexact.
SELECT master_job_id, coalesce(kept.attempts, 0), coalesce(counted.attempts, 0)
FROM (
    SELECT master_job_id, sum(attempts)::bigint AS attempts, sum(failed_attempts)::bigint AS failed_attempts,
           sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens, sum(cost) AS cost
    FROM run_totals GROUP BY master_job_id) AS kept
FULL JOIN (
    SELECT master_job_id, count(*) AS attempts,
           count(*) FILTER (WHERE attempts.status IN ('failed', 'interrupted')) AS failed_attempts,
           sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens, sum(cost) AS cost
    FROM attempts JOIN runs USING (master_job_id) GROUP BY master_job_id) AS counted USING (master_job_id)
WHERE (coalesce(kept.attempts, 0), coalesce(kept.failed_attempts, 0), coalesce(kept.input_tokens, 0),
       coalesce(kept.output_tokens, 0))
      <> (coalesce(counted.attempts, 0), coalesce(counted.failed_attempts, 0), coalesce(counted.input_tokens, 0),
          coalesce(counted.output_tokens, 0))
   OR abs(coalesce(kept.cost, 0) - coalesce(counted.cost, 0)) > 0.000001 * (1 + abs(coalesce(kept.cost, 0)))
ORDER BY master_job_id

-- name: list_stale_removals
-- Whoever notes a removal makes it as soon as it has committed; these somebody left behind.
SELECT object FROM data_removals WHERE noted < now() - make_interval(secs => :seconds) AND object > :after
ORDER BY object LIMIT 1000

-- name: find_standing
-- What knows of objects, each given with the key and the version that its name may be made of, or none.
WITH wanted AS (
    SELECT * FROM unnest(:objects::text[], :keys::text[], :owners::text[], :versions::text[])
    AS wanted (object, key, owner, version))
SELECT object, 'referenced' FROM wanted
JOIN records ON records.record_uid = wanted.owner AND records.output_ref = wanted.key
    AND records.data_version IS NOT DISTINCT FROM wanted.version
UNION ALL
SELECT object, 'referenced' FROM wanted
JOIN record_versions ON record_versions.record_uid = wanted.owner AND record_versions.output_ref = wanted.key
    AND record_versions.data_version IS NOT DISTINCT FROM wanted.version
UNION ALL
SELECT object, CASE WHEN EXISTS (
    SELECT 1 FROM records
    WHERE records.output_ref = wanted.key AND {borrows_data records})
    THEN 'referenced' ELSE 'loose' END
FROM wanted
JOIN loose_data ON loose_data.key = wanted.key AND loose_data.data_version IS NOT DISTINCT FROM wanted.version
UNION ALL
SELECT object, 'referenced' FROM wanted
WHERE version IS NULL AND EXISTS (
    SELECT 1 FROM records
    WHERE records.output_ref = wanted.key AND {borrows_data records})
UNION ALL
SELECT object, 'referenced' FROM wanted JOIN master_jobs ON master_jobs.request_config_ref = wanted.key
WHERE version IS NULL AND {has_request_config master_jobs}
UNION ALL
SELECT wanted.object, 'removed' FROM wanted JOIN data_removals USING (object)

-- name: take_loose_data_of
-- Data that no record refers to, with the versions that were looked at; returns what it was.
DELETE FROM loose_data USING unnest(:keys::text[], :versions::text[]) AS wanted (key, version)
WHERE loose_data.key = wanted.key AND loose_data.data_version IS NOT DISTINCT FROM wanted.version
RETURNING loose_data.key, loose_data.data_version

-- name: take_stale_removals
-- Two that remove at a time take different objects.
DELETE FROM data_removals WHERE object IN (
    SELECT object FROM data_removals WHERE object = ANY (:objects::text[]) FOR UPDATE SKIP LOCKED)
RETURNING object

-- name: note_removals
INSERT INTO data_removals (object) SELECT object FROM unnest(:objects::text[]) AS object
ON CONFLICT (object) DO NOTHING

-- name: forget_removals
DELETE FROM data_removals WHERE object = ANY (:objects::text[])

-- name: measure_packs
-- How many bytes of packs rows name. Data without a record that nobody borrows does not count: it is collected.
SELECT wanted.pack, sum(split_part(named.data_version, '+', 2)::bigint)::bigint
FROM unnest(:packs::text[]) AS wanted (pack)
CROSS JOIN LATERAL (
    SELECT data_version FROM records WHERE {in_wanted_pack records}
    UNION SELECT data_version FROM record_versions WHERE {in_wanted_pack record_versions}
    UNION SELECT data_version FROM loose_data WHERE {in_wanted_pack loose_data} AND EXISTS (
        SELECT 1 FROM records WHERE records.output_ref = loose_data.key AND {borrows_data records})) AS named
GROUP BY wanted.pack

-- name: forget_loose_data_in_packs
-- Data that was saved without a record, and that nobody borrows.
DELETE FROM loose_data USING unnest(:packs::text[]) AS wanted (pack)
WHERE {in_wanted_pack loose_data} AND NOT EXISTS (
    SELECT 1 FROM records WHERE records.output_ref = loose_data.key AND {borrows_data records})

-- name: find_used_packs
-- Those of some packs that any row names.
SELECT wanted.pack FROM unnest(:packs::text[]) AS wanted (pack)
WHERE EXISTS (SELECT 1 FROM records WHERE {in_wanted_pack records})
   OR EXISTS (SELECT 1 FROM record_versions WHERE {in_wanted_pack record_versions})
   OR EXISTS (SELECT 1 FROM loose_data WHERE {in_wanted_pack loose_data})

-- name: list_used_packs
SELECT split_part(data_version, ':', 1) AS pack FROM records WHERE {in_pack records}
UNION SELECT split_part(data_version, ':', 1) FROM record_versions WHERE {in_pack record_versions}
UNION SELECT split_part(data_version, ':', 1) FROM loose_data WHERE {in_pack loose_data}
ORDER BY pack

-- name: list_packs_of_run
SELECT split_part(data_version, ':', 1) AS pack FROM records
WHERE master_job_id = :master_job_id AND {in_pack records}
UNION SELECT split_part(data_version, ':', 1) FROM record_versions
WHERE master_job_id = :same_run AND {in_pack record_versions}
ORDER BY pack

-- name: every_content_of_packs
-- Keys of data in packs, and where it lies there.
SELECT output_ref, data_version FROM records, unnest(:packs::text[]) AS wanted (pack)
WHERE {in_wanted_pack records} AND {has_own_data records}
UNION SELECT output_ref, data_version FROM record_versions, unnest(:version_packs::text[]) AS wanted (pack)
WHERE {in_wanted_pack record_versions}
UNION SELECT key, data_version FROM loose_data, unnest(:loose_packs::text[]) AS wanted (pack)
WHERE {in_wanted_pack loose_data}

-- name: move_data
-- Wherever data still lies where it lay, say where it lies now; returns where that was. What was replaced meanwhile
-- stays as it is.
WITH given AS (
    SELECT * FROM unnest(:owners::text[], :keys::text[], :befores::text[], :versions::text[])
    AS given (owner, key, before, version)),
moved_records AS (
    UPDATE records SET data_version = given.version FROM given
    WHERE records.record_uid = given.owner AND records.output_ref = given.key AND records.data_version = given.before
    RETURNING given.before),
moved_versions AS (
    UPDATE record_versions SET data_version = given.version FROM given
    WHERE record_versions.record_uid = given.owner AND record_versions.output_ref = given.key
      AND record_versions.data_version = given.before
    RETURNING given.before),
moved_loose_data AS (
    UPDATE loose_data SET data_version = given.version FROM given
    WHERE loose_data.key = given.key AND loose_data.data_version = given.before
    RETURNING given.before)
SELECT before FROM moved_records UNION SELECT before FROM moved_versions UNION SELECT before FROM moved_loose_data

-- name: list_workers_at_work
-- In a store of any version.
SELECT worker_id, master_job_id, lease_expires FROM workers
WHERE EXISTS (
    SELECT 1 FROM execution_jobs AS job
    WHERE job.master_job_id = workers.master_job_id AND job.status = 'running' AND job.worker_id = workers.worker_id)
ORDER BY master_job_id, worker_id
