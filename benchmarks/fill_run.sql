-- A part of a run of very many inputs, as the library leaves it, but for the order in which rows came: the inputs from
-- {first} to {last} of the run {run}; those from {pending} on are pending. Sizes of values are those of real runs:
-- questions of 240 characters, one record and one attempt an input, its usage reported once. Of the data, 1,500 bytes a
-- record, 20 lie in an object.

SET session_replication_role = replica; -- no triggers, those of foreign keys neither: they take most of the time

CREATE TEMPORARY TABLE made AS
SELECT n AS position, {run} AS run,
       left(encode(sha256({run}::bytea), 'hex'), 12) || lpad(to_hex(n), 8, '0')
           || left(encode(sha256(n::text::bytea), 'hex'), 12) AS job_id,
       encode(sha256(n::text::bytea), 'hex') AS hash,
       to_char(timestamp '2026-01-31 12:00:00' + n * interval '3 ms', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS moment,
       left(encode(sha256((n / 1000 % 100)::text::bytea), 'hex'), 32) AS worker,
       n >= {pending} AS pending
FROM generate_series({first}, {last}) AS n;

INSERT INTO execution_jobs (
    job_id, master_job_id, status, run_config, run_config_hash, attempted_generations, produced_outputs_count,
    completed_record_count, filtered_record_count, duplicate_record_count, failed_record_count, creation_time,
    start_time, end_time, last_update_time, worker_id, position)
SELECT job_id, run, CASE WHEN pending THEN 'pending' ELSE 'completed' END,
       '{{"question":"' || left(repeat(hash, 4), 240) || '"}}', hash,
       done, done, done, 0, 0, 0, moment, CASE WHEN pending THEN NULL ELSE moment END,
       CASE WHEN pending THEN NULL ELSE moment END, moment, CASE WHEN pending THEN NULL ELSE worker END, position
FROM made, LATERAL (SELECT CASE WHEN pending THEN 0 ELSE 1 END AS done) AS counts ORDER BY position;

INSERT INTO records (
    record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time, data_sha256,
    data_version)
SELECT job_id || '-0', job_id, run, CASE WHEN position % 5 = 0 THEN 'filtered' ELSE 'completed' END,
       'data/' || left(hash, 2) || '/' || job_id || '-0.json', moment, moment, moment, hash,
       left(encode(sha256((position / 20)::text::bytea), 'hex'), 20) || ':' || position % 20 * 1500 || '+1500'
FROM made WHERE NOT pending ORDER BY position;

INSERT INTO attempts (
    job_id, number, master_job_id, worker_id, status, start_time, end_time, input_tokens, output_tokens, cost, usage)
SELECT job_id, 1, run, worker, 'completed', moment, moment, 200, 300, 0.002,
       '[{{"model":"small-1","input_tokens":200,"output_tokens":300,"cost":0.002}}]'
FROM made WHERE NOT pending ORDER BY position;

INSERT INTO record_counts (master_job_id, status, slot, records)
SELECT run, CASE WHEN position % 5 = 0 THEN 'filtered' ELSE 'completed' END, 0, count(*)
FROM made WHERE NOT pending GROUP BY 1, 2
ON CONFLICT (master_job_id, status, slot) DO UPDATE SET records = record_counts.records + excluded.records;

INSERT INTO run_totals (master_job_id, slot, attempts, failed_attempts, input_tokens, output_tokens, cost)
SELECT run, 0, count(*), 0, 200 * count(*), 300 * count(*), 0.002 * count(*) FROM made WHERE NOT pending GROUP BY 1
ON CONFLICT (master_job_id, slot) DO UPDATE SET
    attempts = run_totals.attempts + excluded.attempts, input_tokens = run_totals.input_tokens + excluded.input_tokens,
    output_tokens = run_totals.output_tokens + excluded.output_tokens, cost = run_totals.cost + excluded.cost;

UPDATE runs SET registered = {last} + 1, inputs_complete = 1 WHERE master_job_id = {run};
DROP TABLE made;
