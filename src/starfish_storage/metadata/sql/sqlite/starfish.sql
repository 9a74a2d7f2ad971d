-- Turning the tables of a Starfish 0.1.x store into ours, in this order and in one transaction. The functions
-- `starfish_...` are those of `metadata/sqlite/starfish_migration.py`.

-- name: rename_projects
-- First out of the way: names of tables are compared without regard to case.
ALTER TABLE Projects RENAME TO starfish_projects

-- name: rename_master_jobs
ALTER TABLE GenerationMasterJob RENAME TO starfish_master_jobs

-- name: rename_execution_jobs
ALTER TABLE GenerationJob RENAME TO starfish_execution_jobs

-- name: rename_records
ALTER TABLE Records RENAME TO starfish_records

-- name: create_schema
-- What the numbered migrations do stands here.
SELECT 1

-- name: name_projects
-- A TEXT PRIMARY KEY may be NULL in SQLite, and any column may hold bytes: a name is needed for every row.
UPDATE starfish_projects SET project_id = starfish_id(project_id, rowid) WHERE typeof(project_id) <> 'text'

-- name: name_master_jobs
-- Saving a project again deletes it first, which takes it from its runs; their request configurations still name it.
UPDATE starfish_master_jobs
SET master_job_id = starfish_id(master_job_id, rowid),
    project_id = coalesce(
        starfish_text(project_id),
        (SELECT project_id FROM starfish_projects
         WHERE project_id = starfish_configured(
             starfish_config_key(request_config_ref, starfish_id(master_job_id, starfish_master_jobs.rowid)),
             master_job_id, 'project_id')),
        '(no project)')
WHERE typeof(master_job_id) <> 'text' OR typeof(project_id) <> 'text'

-- name: name_execution_jobs
UPDATE starfish_execution_jobs
SET job_id = starfish_id(job_id, rowid), master_job_id = starfish_id(master_job_id, rowid)
WHERE typeof(job_id) <> 'text' OR typeof(master_job_id) <> 'text'

-- name: name_records
UPDATE starfish_records
SET record_uid = starfish_id(record_uid, rowid), job_id = starfish_id(job_id, rowid),
    master_job_id = starfish_id(master_job_id, rowid)
WHERE typeof(record_uid) <> 'text' OR typeof(job_id) <> 'text' OR typeof(master_job_id) <> 'text'

-- name: copy_projects
INSERT INTO projects ({project.columns})
SELECT project_id, coalesce(starfish_text(name), '(no name)'), starfish_text(description),
       starfish_needed_time(created_when, updated_when), starfish_needed_time(updated_when, created_when)
FROM starfish_projects

-- name: add_missing_projects
INSERT INTO projects (project_id, name, created_when, updated_when)
SELECT project_id, '(no project)', min(starfish_needed_time(creation_time, last_update_time)),
       max(starfish_needed_time(last_update_time, creation_time))
FROM starfish_master_jobs WHERE project_id NOT IN (SELECT project_id FROM projects) GROUP BY project_id

-- name: copy_master_jobs
-- Of every run of the framework it says that its target is 10.
INSERT INTO master_jobs ({master_job.columns})
SELECT master_job_id, project_id, starfish_text(name),
       CASE WHEN status IN ('generating', 'aggregating') THEN 'running' ELSE status END,
       starfish_config_key(request_config_ref, master_job_id), coalesce(starfish_json(output_schema), '{}'),
       starfish_place(storage_uri, request_config_ref, data_storage_uri_override),
       starfish_text(metadata_storage_uri_override),
       starfish_place(data_storage_uri_override, request_config_ref, NULL),
       starfish_count(CASE
           WHEN name = 'Test Master Job' THEN coalesce(starfish_configured(
               starfish_config_key(request_config_ref, master_job_id), master_job_id, 'target_count'), target_record_count)
           ELSE target_record_count END),
       starfish_count(completed_record_count), starfish_count(filtered_record_count),
       starfish_count(duplicate_record_count), starfish_count(failed_record_count),
       starfish_needed_time(creation_time, start_time, last_update_time), starfish_time(start_time),
       starfish_time(end_time), starfish_needed_time(last_update_time, end_time, start_time, creation_time),
       starfish_json(summary)
FROM starfish_master_jobs

-- name: add_project_of_missing_master_jobs
INSERT INTO projects (project_id, name, created_when, updated_when)
SELECT '(no project)', '(no project)', starfish_needed_time(NULL), starfish_needed_time(NULL)
WHERE EXISTS (
    SELECT master_job_id FROM starfish_execution_jobs UNION SELECT master_job_id FROM starfish_records
    EXCEPT SELECT master_job_id FROM master_jobs)
ON CONFLICT DO NOTHING

-- name: add_missing_master_jobs
INSERT INTO master_jobs (
    master_job_id, project_id, name, status, request_config_ref, output_schema, storage_uri, target_record_count,
    {counts.columns}, creation_time,
    last_update_time)
SELECT master_job_id, '(no project)', '(no master job)', 'cancelled', starfish_config_key(NULL, master_job_id), '{}',
       '.', 0, 0, 0, 0, 0, starfish_needed_time(NULL), starfish_needed_time(NULL)
FROM (
    SELECT master_job_id FROM starfish_execution_jobs UNION SELECT master_job_id FROM starfish_records
    EXCEPT SELECT master_job_id FROM master_jobs)

-- name: copy_execution_jobs
INSERT INTO execution_jobs ({execution_job.columns})
SELECT job_id, master_job_id, status, starfish_json(run_config), starfish_text(run_config_hash),
       starfish_count(attempted_generations), starfish_count(produced_outputs_count),
       starfish_count(completed_record_count), starfish_count(filtered_record_count),
       starfish_count(duplicate_record_count), starfish_count(failed_record_count),
       starfish_needed_time(creation_time, start_time, last_update_time), starfish_time(start_time),
       starfish_time(end_time), starfish_needed_time(last_update_time, end_time, start_time, creation_time),
       starfish_text(worker_id), starfish_text(error_message)
FROM starfish_execution_jobs

-- name: add_missing_execution_jobs
INSERT INTO execution_jobs (
    job_id, master_job_id, status, attempted_generations, produced_outputs_count, {counts.columns}, creation_time, last_update_time, error_message)
SELECT job_id, min(master_job_id), 'cancelled', 0, 0, 0, 0, 0, 0, starfish_needed_time(min(start_time)),
       starfish_needed_time(max(last_update_time)), 'Starfish''s store had records of this job, and not the job'
FROM starfish_records WHERE job_id NOT IN (SELECT job_id FROM execution_jobs) GROUP BY job_id

-- name: add_jobs_of_other_master_jobs
-- A record is of the master job that its execution job is of; where Starfish had another, the record keeps its master
-- job and gets an execution job there.
INSERT INTO execution_jobs (
    job_id, master_job_id, status, run_config, run_config_hash, attempted_generations, produced_outputs_count,
    {counts.columns}, creation_time,
    last_update_time, error_message)
SELECT DISTINCT starfish_stand_in(job.job_id, record.master_job_id), record.master_job_id, job.status, job.run_config,
       job.run_config_hash, 0, 0, 0, 0, 0, 0, job.creation_time, job.last_update_time,
       'in Starfish''s store, records of this master job were of execution job ' || job.job_id
FROM starfish_records AS record JOIN execution_jobs AS job ON job.job_id = record.job_id
WHERE job.master_job_id <> record.master_job_id

-- name: copy_records
INSERT INTO records (
    record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, last_update_time, error_message)
SELECT record.record_uid,
       CASE WHEN job.master_job_id = record.master_job_id THEN record.job_id
            ELSE starfish_stand_in(record.job_id, record.master_job_id) END,
       record.master_job_id, record.status, starfish_record_key(record.output_ref),
       min(starfish_needed_time(record.start_time, record.end_time, record.last_update_time),
           starfish_needed_time(record.end_time, record.last_update_time, record.start_time)),
       starfish_needed_time(record.end_time, record.last_update_time, record.start_time),
       starfish_needed_time(record.last_update_time, record.end_time, record.start_time),
       starfish_error(record.error_message, record.output_ref)
FROM starfish_records AS record JOIN execution_jobs AS job ON job.job_id = record.job_id

-- name: fail_jobs_that_lost_records
-- Of the framework, whose jobs count what they saved.
UPDATE execution_jobs
SET status = 'failed', error_message = 'Starfish lost records of this input: it made ' || made || ', and kept ' || kept,
    completed_record_count = min(completed_record_count, kept),
    filtered_record_count = min(filtered_record_count, kept),
    duplicate_record_count = min(duplicate_record_count, kept)
FROM (
    SELECT job_id AS found, completed_record_count + filtered_record_count + duplicate_record_count AS made,
           (SELECT count(*) FROM records WHERE records.job_id = job.job_id) AS kept
    FROM execution_jobs AS job WHERE worker_id = 'test-worker-1' AND end_time IS NOT NULL)
WHERE job_id = found AND kept < made

-- name: count_records_of_runs
-- The framework counts inputs. What failed is counted as it says: it keeps no records of that.
UPDATE master_jobs
SET completed_record_count = counted.completed, filtered_record_count = counted.filtered,
    duplicate_record_count = counted.duplicate
FROM (
    SELECT master_job_id AS found, count(*) FILTER (WHERE status = 'completed') AS completed,
           count(*) FILTER (WHERE status = 'filtered') AS filtered,
           count(*) FILTER (WHERE status = 'duplicate') AS duplicate
    FROM records GROUP BY master_job_id) AS counted
WHERE master_job_id = counted.found AND name = 'Test Master Job' AND end_time IS NOT NULL

-- name: note_mixed_case_uids
INSERT INTO mixed_case_ids (kind, folded, id)
SELECT 'record_uid', starfish_fold(record_uid), record_uid FROM records WHERE starfish_fold(record_uid) <> record_uid
ON CONFLICT DO NOTHING

-- name: note_mixed_case_master_jobs
INSERT INTO mixed_case_ids (kind, folded, id)
SELECT 'master_job_id', starfish_fold(master_job_id), master_job_id FROM master_jobs
WHERE starfish_fold(master_job_id) <> master_job_id
ON CONFLICT DO NOTHING

-- name: drop_records
DROP TABLE starfish_records

-- name: drop_execution_jobs
DROP TABLE starfish_execution_jobs

-- name: drop_master_jobs
DROP TABLE starfish_master_jobs

-- name: drop_projects
DROP TABLE starfish_projects
