-- Named queries of how runs are going, that every engine runs as they stand; how they are written is said in queries.sql.

-- name: list_runs_after
-- each status
SELECT {master_job.columns} FROM master_jobs
WHERE status = :status AND (creation_time, master_job_id) < (:creation_time, :master_job_id) AND {mentions}
-- merged
ORDER BY creation_time DESC, master_job_id DESC LIMIT :limit

-- name: list_runs_of_project_after
-- each status
SELECT {master_job.columns} FROM master_jobs
WHERE project_id = :project_id AND status = :status
  AND (creation_time, master_job_id) < (:creation_time, :master_job_id) AND {mentions}
-- merged
ORDER BY creation_time DESC, master_job_id DESC LIMIT :limit

-- name: list_runs_before
-- each status
SELECT {master_job.columns} FROM master_jobs
WHERE status = :status AND (creation_time, master_job_id) > (:creation_time, :master_job_id) AND {mentions}
-- merged
ORDER BY creation_time, master_job_id LIMIT :limit

-- name: list_runs_of_project_before
-- each status
SELECT {master_job.columns} FROM master_jobs
WHERE project_id = :project_id AND status = :status
  AND (creation_time, master_job_id) > (:creation_time, :master_job_id) AND {mentions}
-- merged
ORDER BY creation_time, master_job_id LIMIT :limit

-- name: count_runs
SELECT status, count(*) FROM master_jobs GROUP BY status ORDER BY status

-- name: list_record_spans
-- When the first and the last record of each status began: both are ends of a range of the index.
-- each status
SELECT (SELECT min(start_time) FROM records WHERE master_job_id = :master_job_id AND status = :status),
       (SELECT max(start_time) FROM records WHERE master_job_id = :last_of AND status = :last_status)
-- merged

-- name: count_attempts_over_time
-- Of inputs in a range of ids, so that a run is counted in portions. Times are text: what they share is their beginning.
-- Durations are told apart by ranges that are 6 % wide, in which their shortest and longest are known.
SELECT substr(end_time, 1, :digits), status, floor(40 * log10({largest}(seconds, 0.001))), count(*), min(seconds),
       max(seconds), CAST(sum(input_tokens) AS BIGINT), CAST(sum(output_tokens) AS BIGINT), sum(cost)
FROM (
    SELECT end_time, status, input_tokens, output_tokens, cost, {largest}({seconds_taken}, 0.0) AS seconds
    FROM attempts WHERE job_id > :after AND job_id < :before AND master_job_id || '' = :master_job_id) AS timed
GROUP BY 1, 2, 3

-- name: count_records_over_time
-- Of one status: each span of time is a range of the index, so that no time is looked at.
WITH spans (begin_time, end_time) AS (VALUES
-- each row
(:begin_time, :end_time)
-- end
)
SELECT begin_time, (
    SELECT count(*) FROM records WHERE master_job_id = :master_job_id AND status = :status
       AND start_time >= spans.begin_time AND start_time < spans.end_time)
FROM spans
