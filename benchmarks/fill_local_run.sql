-- What fill_run.sql makes, in SQLite: the inputs from {first} to {last} of the run {run}; those from {pending} on are
-- pending. Of the data, 1,500 bytes a record, 40,000 lie in a pack.

CREATE TEMPORARY TABLE made AS
WITH RECURSIVE numbers (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
SELECT n AS position, {run} AS run, printf('3f786850e387%08x', n) || substr(hash, 1, 12) AS job_id, hash,
       strftime('%Y-%m-%dT%H:%M:', 1769860800 + n * 3 / 1000, 'unixepoch')
           || printf('%02d.%06dZ', n * 3 / 1000 % 60, n * 3 % 1000 * 1000) AS moment,
       printf('%032x', n / 1000 % 100) AS worker, n >= {pending} AS pending
FROM (SELECT n, lower(hex(randomblob(32))) AS hash FROM numbers LIMIT -1 OFFSET 0);

INSERT INTO execution_jobs (
    job_id, master_job_id, status, run_config, run_config_hash, attempted_generations, produced_outputs_count,
    completed_record_count, filtered_record_count, duplicate_record_count, failed_record_count, creation_time,
    start_time, end_time, last_update_time, worker_id, position)
SELECT job_id, run, iif(pending, 'pending', 'completed'),
       '{{"question":"' || substr(hash || hash || hash || hash, 1, 240) || '"}}', hash,
       NOT pending, NOT pending, NOT pending, 0, 0, 0, moment, iif(pending, NULL, moment),
       iif(pending, NULL, moment), moment, iif(pending, NULL, worker), position
FROM made ORDER BY position;

INSERT INTO records (
    record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time, data_sha256)
SELECT job_id || '-0', job_id, run, iif(position % 5 = 0, 'filtered', 'completed'),
       'data/' || substr(hash, 1, 2) || '/' || job_id || '-0.json', moment, moment, moment, hash
FROM made WHERE NOT pending ORDER BY position;

INSERT INTO packed_data (key, pack, start, length)
SELECT 'data/' || substr(hash, 1, 2) || '/' || job_id || '-0.json', printf('%06d', position / 40000 + 1),
       position % 40000 * 1500, 1500
FROM made WHERE NOT pending ORDER BY 1;

INSERT INTO packs (pack, size)
SELECT printf('%06d', position / 40000 + 1), count(*) * 1500 FROM made WHERE NOT pending GROUP BY position / 40000
ON CONFLICT (pack) DO UPDATE SET size = packs.size + excluded.size;

INSERT INTO attempts (
    job_id, number, master_job_id, worker_id, status, start_time, end_time, input_tokens, output_tokens, cost, usage)
SELECT job_id, 1, run, worker, 'completed', moment, moment, 200, 300, 0.002,
       '[{{"model":"small-1","input_tokens":200,"output_tokens":300,"cost":0.002}}]'
FROM made WHERE NOT pending ORDER BY position;

UPDATE runs SET registered = {last} + 1, inputs_complete = 1 WHERE master_job_id = {run};
DROP TABLE made;
