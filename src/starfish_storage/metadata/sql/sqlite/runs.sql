-- Named queries of runs of SQLite alone; how they are written is said in ../common/queries.sql.

-- name: start_run
INSERT INTO runs (master_job_id, registered, inputs_complete, attempts, failed_attempts, input_tokens, output_tokens, cost)
VALUES (:master_job_id, 0, 0, 0, 0, 0, 0, 0.0)
ON CONFLICT (master_job_id) DO NOTHING

-- name: get_run
SELECT {run.columns}, attempts, failed_attempts, input_tokens, output_tokens,
       cost, paused_until, pause_reason, priority,
       (SELECT min(value) FROM settings WHERE name IN ('drain', 'drain ' || runs.master_job_id))
FROM runs WHERE master_job_id = :master_job_id

-- name: list_run_states
SELECT {run.columns}, attempts, failed_attempts, input_tokens, output_tokens,
       cost, paused_until, pause_reason, priority,
       (SELECT min(value) FROM settings WHERE name IN ('drain', 'drain ' || runs.master_job_id))
FROM runs WHERE master_job_id IN (
-- each row
:master_job_id
-- end
)

-- name: count_records_of_runs
SELECT master_job_id, status, records FROM record_counts WHERE records > 0 AND master_job_id IN (
-- each row
:master_job_id
-- end
)
ORDER BY master_job_id, status

-- name: list_ended_inputs
-- each status
SELECT {ended_input.columns} FROM execution_jobs
WHERE master_job_id = :master_job_id AND status = :status AND position IS NOT NULL
-- merged

-- name: claim_inputs
UPDATE execution_jobs SET
    status = 'running', worker_id = :worker_id, start_time = :start_time, end_time = NULL,
    last_update_time = :last_update_time
WHERE job_id IN (
    SELECT job_id FROM execution_jobs
    WHERE master_job_id = :master_job_id AND status = 'pending' AND position IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM settings WHERE name IN ('drain', :drain))
    ORDER BY position LIMIT :limit)
RETURNING {claimed_input.columns}

-- name: lock_inputs
-- Many at a time: what `get_input` returns.
SELECT {finished_input.columns}, master_job_id,
       (SELECT max(number) FROM attempts WHERE attempts.job_id = execution_jobs.job_id)
FROM execution_jobs WHERE job_id IN (
-- each row
:job_id
-- end
)

-- name: get_completed_of_unique_key
SELECT record_uid FROM records
WHERE master_job_id = :master_job_id AND unique_key = :unique_key AND status = 'completed' AND job_id <> :job_id
LIMIT 1

-- name: list_errors
-- Of inputs that failed, by what the last attempt raised, and of outputs that were refused.
-- Jobs of the published API, and of Starfish, have no attempts: their kind is unknown, and what was refused counts once.
-- Beside a single min(), SQLite takes the other columns from the row that has it.
SELECT coalesce(attempts.error_type, 'unknown'), count(*), job.error_message, min(job.job_id)
FROM execution_jobs AS job
LEFT JOIN attempts ON attempts.job_id = job.job_id AND attempts.number = job.attempted_generations
WHERE job.master_job_id = :master_job_id AND job.status = 'failed'
  AND CASE WHEN attempts.status IS NULL
           THEN NOT EXISTS (SELECT 1 FROM records WHERE records.job_id = job.job_id
                            AND records.status = 'failed' AND records.output_ref IS NOT NULL)
           ELSE attempts.status <> 'completed' END
GROUP BY 1
UNION ALL
SELECT 'refused output', count(*), error_message, min(job_id) FROM records
WHERE master_job_id = :refused_in AND status = 'failed' AND output_ref IS NOT NULL HAVING count(*) > 0
ORDER BY 2 DESC, 1

-- name: count_steps
SELECT name, count(*) FILTER (WHERE steps.status = 'kept'), count(*) FILTER (WHERE steps.status = 'rejected'),
       count(*) FILTER (WHERE steps.status = 'forgotten'),
       coalesce(sum((SELECT sum(value ->> 1) FROM json_each(usage))), 0),
       coalesce(sum((SELECT sum(value ->> 2) FROM json_each(usage))), 0),
       coalesce(sum((SELECT sum(value ->> 3) FROM json_each(usage))), 0.0)
FROM execution_jobs JOIN steps ON steps.job_id = execution_jobs.job_id
WHERE execution_jobs.master_job_id = :master_job_id GROUP BY name ORDER BY name

-- name: count_conversions
SELECT value ->> 0, sum(value ->> 1)
FROM attempts INDEXED BY attempts_with_conversions, json_each(attempts.conversions)
WHERE master_job_id = :master_job_id AND conversions IS NOT NULL GROUP BY 1 ORDER BY 1

-- name: count_calls
SELECT coalesce(sum(calls ->> 0), 0), coalesce(sum(calls ->> 1), 0), coalesce(sum(calls ->> 2), 0),
       coalesce(sum(calls ->> 3), 0.0), coalesce(sum(calls ->> 4), 0)
FROM attempts INDEXED BY attempts_with_calls WHERE master_job_id = :master_job_id AND calls IS NOT NULL

-- name: count_call_notes
SELECT value ->> 0, min(value ->> 1), value ->> 2, value ->> 3, sum(value ->> 4)
FROM attempts INDEXED BY attempts_with_calls, json_each(attempts.calls, '$[5]')
WHERE master_job_id = :master_job_id AND calls IS NOT NULL
GROUP BY 1, 3, 4 ORDER BY 5 DESC, 1, 3, 4 LIMIT 20

-- name: save_version
INSERT INTO record_versions ({version.columns}) VALUES ({version.parameters})
ON CONFLICT (record_uid, number) DO UPDATE SET {version.assigned of excluded}

-- name: every_run
SELECT master_job_id FROM runs ORDER BY master_job_id

-- name: every_registered
SELECT registered, master_job_id FROM runs ORDER BY master_job_id

-- name: every_complete_run
SELECT master_job_id FROM runs WHERE inputs_complete = 1 ORDER BY master_job_id

-- name: every_position
SELECT position, job_id FROM execution_jobs WHERE position IS NOT NULL ORDER BY job_id

-- name: every_attempt
SELECT {attempt.columns} FROM attempts ORDER BY job_id, number

-- name: every_step
SELECT {step.columns} FROM steps ORDER BY {step.id}

-- name: every_segment
SELECT {segment.columns} FROM segments ORDER BY master_job_id, number

-- name: every_standing
SELECT {standing.columns} FROM standing_outcomes ORDER BY job_id

-- name: every_record_attempt
SELECT attempt, version_number, record_uid FROM records
WHERE attempt IS NOT NULL OR version_number IS NOT NULL ORDER BY record_uid

-- name: every_version
SELECT {version.columns} FROM record_versions ORDER BY record_uid, number

-- name: every_annotation
SELECT {annotation.columns} FROM annotations ORDER BY time, annotation_id

-- name: salvage_annotations
SELECT {annotation.columns}, rowid FROM annotations NOT INDEXED WHERE rowid >= :first ORDER BY rowid

-- name: every_action
SELECT {action.columns} FROM actions ORDER BY time, action_id

-- name: salvage_actions
SELECT {action.columns}, rowid FROM actions NOT INDEXED WHERE rowid >= :first ORDER BY rowid

-- name: every_unique_key
SELECT unique_key, record_uid FROM records WHERE unique_key IS NOT NULL ORDER BY record_uid

-- name: every_wrong_total
-- What the triggers keep of attempts, against the attempts themselves; costs are floats, and their sums inexact.
SELECT runs.master_job_id, runs.attempts, coalesce(counted.attempts, 0)
FROM runs LEFT JOIN (
    SELECT master_job_id, count(*) AS attempts, sum(status IN ('failed', 'interrupted')) AS failed_attempts,
           sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cost) AS cost
    FROM attempts GROUP BY master_job_id) AS counted USING (master_job_id)
WHERE (runs.attempts, runs.failed_attempts, runs.input_tokens, runs.output_tokens)
      <> (coalesce(counted.attempts, 0), coalesce(counted.failed_attempts, 0),
          coalesce(counted.input_tokens, 0), coalesce(counted.output_tokens, 0))
   OR abs(runs.cost - coalesce(counted.cost, 0)) > 0.000001 * (1 + abs(runs.cost))

-- name: recount_totals
UPDATE runs SET
    attempts = (SELECT count(*) FROM attempts WHERE attempts.master_job_id = runs.master_job_id),
    failed_attempts = (
        SELECT count(*) FROM attempts
        WHERE attempts.master_job_id = runs.master_job_id AND status IN ('failed', 'interrupted')),
    input_tokens = (
        SELECT coalesce(sum(input_tokens), 0) FROM attempts WHERE attempts.master_job_id = runs.master_job_id),
    output_tokens = (
        SELECT coalesce(sum(output_tokens), 0) FROM attempts WHERE attempts.master_job_id = runs.master_job_id),
    cost = (SELECT coalesce(sum(cost), 0.0) FROM attempts WHERE attempts.master_job_id = runs.master_job_id)

-- name: salvage_runs
SELECT master_job_id, registered, inputs_complete, rowid FROM runs NOT INDEXED WHERE rowid >= :first ORDER BY rowid

-- name: salvage_positions
SELECT position, job_id, rowid FROM execution_jobs NOT INDEXED
WHERE rowid >= :first AND position IS NOT NULL ORDER BY rowid

-- name: salvage_attempts
SELECT {attempt.columns}, rowid FROM attempts NOT INDEXED WHERE rowid >= :first ORDER BY rowid

-- name: salvage_steps
SELECT {step.columns}, rowid FROM steps NOT INDEXED WHERE rowid >= :first ORDER BY rowid

-- name: get_segment
SELECT {segment.columns} FROM segments WHERE master_job_id = :master_job_id AND number = :number

-- name: salvage_segments
SELECT {segment.columns}, rowid FROM segments NOT INDEXED WHERE rowid >= :first ORDER BY rowid

-- name: salvage_standing
SELECT {standing.columns}, rowid FROM standing_outcomes NOT INDEXED WHERE rowid >= :first ORDER BY rowid

-- name: salvage_record_attempts
SELECT attempt, version_number, record_uid, rowid FROM records NOT INDEXED
WHERE rowid >= :first AND (attempt IS NOT NULL OR version_number IS NOT NULL) ORDER BY rowid

-- name: salvage_versions
SELECT {version.columns}, rowid FROM record_versions NOT INDEXED WHERE rowid >= :first ORDER BY rowid

-- name: get_version
SELECT {version.columns} FROM record_versions WHERE record_uid = :record_uid AND number = :number

-- name: salvage_unique_keys
SELECT unique_key, record_uid, rowid FROM records NOT INDEXED
WHERE rowid >= :first AND unique_key IS NOT NULL ORDER BY rowid

-- name: list_inputs_by_content
SELECT job_id, position, status, run_config_hash, creation_time FROM execution_jobs {index_of_inputs}
WHERE master_job_id = :master_job_id AND run_config_hash > :digest
ORDER BY run_config_hash, creation_time DESC, job_id DESC LIMIT :limit

-- name: list_inputs_of_content
-- Apart from those of larger digests: with an OR, neither is a range of the index.
SELECT job_id, position, status, run_config_hash, creation_time FROM execution_jobs {index_of_inputs}
WHERE master_job_id = :master_job_id AND run_config_hash = :digest
  AND (creation_time, job_id) < (:creation_time, :job_id)
ORDER BY creation_time DESC, job_id DESC LIMIT :limit
