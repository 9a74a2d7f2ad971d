-- What is repaired in the rows of a Starfish 0.1.x store: the name of a query is the kind, each row an id and what was
-- there. They are asked before `starfish.sql` changes anything in the renamed tables, and name what it then does.

-- name: id_missing
SELECT starfish_id(project_id, rowid), 'this project had no id that is text' FROM starfish_projects
WHERE typeof(project_id) <> 'text'
UNION ALL
SELECT starfish_id(master_job_id, rowid), 'this run had no id that is text' FROM starfish_master_jobs
WHERE typeof(master_job_id) <> 'text'
UNION ALL
SELECT starfish_id(job_id, rowid), 'this input had no id that is text' FROM starfish_execution_jobs
WHERE typeof(job_id) <> 'text'
UNION ALL
SELECT starfish_id(record_uid, rowid), 'this record had no id that is text' FROM starfish_records
WHERE typeof(record_uid) <> 'text'

-- name: project_lost
SELECT master_job_id, CASE WHEN restored IS NULL THEN 'its project was deleted; it is in ''(no project)'' now'
                           ELSE 'its project was deleted by saving it again; it is in ' || restored || ' again' END
FROM (
    SELECT starfish_id(master_job_id, rowid) AS master_job_id, (
               SELECT project_id FROM starfish_projects
               WHERE project_id = starfish_configured(
                   starfish_config_key(job.request_config_ref, starfish_id(job.master_job_id, job.rowid)),
                   job.master_job_id, 'project_id')) AS restored
    FROM starfish_master_jobs AS job WHERE project_id IS NULL)

-- name: project_missing
SELECT DISTINCT project_id, 'runs were in this project, which was not there; it is called ''(no project)'''
FROM starfish_master_jobs
WHERE typeof(project_id) = 'text' AND project_id NOT IN (SELECT project_id FROM starfish_projects WHERE project_id IS NOT NULL)

-- name: run_missing
SELECT master_job_id, 'inputs or records were of this run, which was not there; it is called ''(no master job)'''
FROM (
    SELECT master_job_id FROM starfish_execution_jobs UNION SELECT master_job_id FROM starfish_records
    EXCEPT SELECT master_job_id FROM starfish_master_jobs)
WHERE typeof(master_job_id) = 'text'

-- name: input_missing
SELECT DISTINCT job_id, 'records were of this input, which was not there; its status is ''cancelled'''
FROM starfish_records
WHERE typeof(job_id) = 'text'
  AND job_id NOT IN (SELECT job_id FROM starfish_execution_jobs WHERE job_id IS NOT NULL)

-- name: record_of_two_runs
SELECT starfish_id(record.record_uid, record.rowid), 'its input is of the run '
       || starfish_id(job.master_job_id, job.rowid) || '; it got an input of its own in '
       || starfish_id(record.master_job_id, record.rowid)
FROM starfish_records AS record JOIN starfish_execution_jobs AS job ON job.job_id = record.job_id
WHERE record.master_job_id <> job.master_job_id

-- name: status_unknown
SELECT starfish_id(master_job_id, rowid), 'its status was ' || starfish_text(status) || ', which no model takes; it is ''running'''
FROM starfish_master_jobs WHERE status IN ('generating', 'aggregating')

-- name: time_unreadable
SELECT starfish_id(project_id, rowid), 'a time of this project is none; another of its times stands for it'
FROM starfish_projects WHERE starfish_unreadable_times(created_when, updated_when)
UNION ALL
SELECT starfish_id(master_job_id, rowid), 'a time of this run is none; another of its times stands for it, or nothing'
FROM starfish_master_jobs WHERE starfish_unreadable_times(creation_time, start_time, end_time, last_update_time)
UNION ALL
SELECT starfish_id(job_id, rowid), 'a time of this input is none; another of its times stands for it, or nothing'
FROM starfish_execution_jobs WHERE starfish_unreadable_times(creation_time, start_time, end_time, last_update_time)
UNION ALL
SELECT starfish_id(record_uid, rowid), 'a time of this record is none; another of its times stands for it'
FROM starfish_records WHERE starfish_unreadable_times(start_time, end_time, last_update_time)

-- name: time_form
SELECT starfish_id(project_id, rowid), 'times of this project are written as others are; without an offset, as UTC'
FROM starfish_projects WHERE starfish_loose_times(created_when, updated_when)
UNION ALL
SELECT starfish_id(master_job_id, rowid), 'times of this run are written as others are; without an offset, as UTC'
FROM starfish_master_jobs WHERE starfish_loose_times(creation_time, start_time, end_time, last_update_time)
UNION ALL
SELECT starfish_id(job_id, rowid), 'times of this input are written as others are; without an offset, as UTC'
FROM starfish_execution_jobs WHERE starfish_loose_times(creation_time, start_time, end_time, last_update_time)
UNION ALL
SELECT starfish_id(record_uid, rowid), 'times of this record are written as others are; without an offset, as UTC'
FROM starfish_records WHERE starfish_loose_times(start_time, end_time, last_update_time)

-- name: time_order
SELECT starfish_id(record_uid, rowid), 'it began after it ended; it begins when it ended'
FROM starfish_records WHERE starfish_time(start_time) > starfish_time(end_time)

-- name: json_not_object
SELECT starfish_id(master_job_id, rowid), 'its output_schema or summary was not a JSON object; it is the ''value'' of one'
FROM starfish_master_jobs WHERE NOT starfish_is_object(output_schema) OR NOT starfish_is_object(summary)
UNION ALL
SELECT starfish_id(job_id, rowid), 'its run_config was not a JSON object; it is the ''value'' of one'
FROM starfish_execution_jobs WHERE NOT starfish_is_object(run_config)

-- name: reference_moved
SELECT starfish_id(master_job_id, rowid), 'its request configuration was named by where the store lay before'
FROM starfish_master_jobs WHERE starfish_was_elsewhere(request_config_ref)
UNION ALL
SELECT starfish_id(record_uid, rowid), 'its data was named by where the store lay before'
FROM starfish_records WHERE starfish_was_elsewhere(output_ref)

-- name: reference_outside
SELECT starfish_id(record_uid, rowid), 'its output_ref led to no data of this store; its error_message says so'
FROM starfish_records WHERE output_ref IS NOT NULL AND starfish_record_key(output_ref) IS NULL

-- name: target_wrong
SELECT master_job_id, 'its target was ' || starfish_count(target_record_count) || ', as for every run of Starfish''s; it is ' || configured
FROM (
    SELECT master_job_id, target_record_count, starfish_configured(
               starfish_config_key(request_config_ref, master_job_id), master_job_id, 'target_count') AS configured
    FROM starfish_master_jobs WHERE name = 'Test Master Job' AND typeof(master_job_id) = 'text')
WHERE typeof(configured) = 'integer' AND configured <> target_record_count

-- name: records_lost
-- The framework saves records of one uid over each other, and records of an input go when that is saved again.
SELECT job_id, 'it made ' || made || ' records, of which ' || kept || ' are left; its status is ''failed'''
FROM (
    SELECT job_id, completed_record_count + filtered_record_count + duplicate_record_count AS made,
           (SELECT count(*) FROM starfish_records AS record WHERE record.job_id = job.job_id) AS kept
    FROM starfish_execution_jobs AS job
    WHERE worker_id = 'test-worker-1' AND end_time IS NOT NULL AND typeof(job_id) = 'text')
WHERE kept < made

-- name: counts_wrong
-- The framework counts inputs where records are counted.
SELECT starfish_id(job.master_job_id, job.rowid), 'completed, filtered and duplicate were '
       || starfish_count(job.completed_record_count) || ', ' || starfish_count(job.filtered_record_count)
       || ' and ' || starfish_count(job.duplicate_record_count)
       || '; its records are ' || counted.completed || ', ' || counted.filtered || ' and ' || counted.duplicate
FROM starfish_master_jobs AS job JOIN (
    SELECT master_job_id, count(*) FILTER (WHERE status = 'completed') AS completed,
           count(*) FILTER (WHERE status = 'filtered') AS filtered,
           count(*) FILTER (WHERE status = 'duplicate') AS duplicate
    FROM starfish_records GROUP BY master_job_id) AS counted USING (master_job_id)
WHERE job.name = 'Test Master Job' AND job.end_time IS NOT NULL
  AND (job.completed_record_count, job.filtered_record_count, job.duplicate_record_count)
   <> (counted.completed, counted.filtered, counted.duplicate)
