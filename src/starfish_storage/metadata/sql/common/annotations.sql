-- Named queries of annotations that every engine runs as they stand; how they are written is said in queries.sql.

-- name: save_annotation
-- Only whether it was withdrawn ever changes, and it is not taken back.
INSERT INTO annotations ({annotation.columns}) VALUES ({annotation.parameters})
ON CONFLICT (annotation_id) DO UPDATE SET withdrawn = coalesce(annotations.withdrawn, excluded.withdrawn)

-- name: delete_annotation
DELETE FROM annotations WHERE annotation_id = :annotation_id

-- name: withdraw_annotation
UPDATE annotations SET withdrawn = :withdrawn WHERE annotation_id = :annotation_id

-- name: get_annotation
SELECT {annotation.columns} FROM annotations WHERE annotation_id = :annotation_id

-- name: lock_annotation
-- Nobody else withdraws it meanwhile.
SELECT {annotation.columns} FROM annotations WHERE annotation_id = :annotation_id {locked}

-- name: lock_annotated
-- Whoever annotates a record waits for others who do: the times of annotations are in the order of their making.
SELECT master_job_id FROM records WHERE record_uid = :record_uid {locked_but_for_key}

-- name: get_last_annotated
SELECT max(time) FROM annotations WHERE record_uid = :record_uid

-- name: list_annotations
SELECT {annotation.columns} FROM annotations WHERE record_uid IN (
-- each row
:record_uid
-- end
)

-- name: list_annotations_of_run
SELECT {annotation.columns} FROM annotations
WHERE master_job_id = :master_job_id AND (time, annotation_id) > (:after, :after_id)
ORDER BY time, annotation_id LIMIT :limit

-- name: list_unreviewed
SELECT {record.columns but data_sha256} FROM records
WHERE master_job_id = :master_job_id AND status = 'completed' AND (start_time, record_uid) > (:start_time, :record_uid)
  AND NOT EXISTS (
      SELECT 1 FROM annotations
      WHERE annotations.record_uid = records.record_uid AND kind = 'verdict' AND author = :author AND withdrawn IS NULL)
ORDER BY start_time, record_uid LIMIT :limit

-- name: count_verdicts
-- Of one author, the newest counts.
SELECT count(*) FILTER (WHERE accepted > 0 AND rejected = 0), count(*) FILTER (WHERE accepted = 0 AND rejected > 0),
       count(*) FILTER (WHERE accepted > 0 AND rejected > 0)
FROM (
    SELECT record_uid, count(*) FILTER (WHERE value = '"accepted"') AS accepted,
           count(*) FILTER (WHERE value = '"rejected"') AS rejected
    FROM (
        SELECT record_uid, value,
               row_number() OVER (PARTITION BY record_uid, author ORDER BY time DESC, annotation_id DESC) AS place
        FROM annotations WHERE master_job_id = :master_job_id AND kind = 'verdict' AND withdrawn IS NULL) AS verdicts
    WHERE place = 1 GROUP BY record_uid) AS judged

-- name: count_ratings
SELECT count(DISTINCT record_uid), avg(CAST(value AS DOUBLE PRECISION))
FROM (
    SELECT record_uid, value,
           row_number() OVER (PARTITION BY record_uid, author ORDER BY time DESC, annotation_id DESC) AS place
    FROM annotations WHERE master_job_id = :master_job_id AND kind = 'rating' AND withdrawn IS NULL) AS ratings
WHERE place = 1

-- name: count_labels
SELECT value, count(DISTINCT record_uid)
FROM annotations WHERE master_job_id = :master_job_id AND kind = 'label' AND withdrawn IS NULL
GROUP BY value ORDER BY value

-- name: count_other_annotations
SELECT kind, count(DISTINCT record_uid)
FROM annotations WHERE master_job_id = :master_job_id AND kind IN ('comment', 'edit') AND withdrawn IS NULL
GROUP BY kind ORDER BY kind

-- name: forget_verifications
DELETE FROM verifications

-- name: save_verification
INSERT INTO verifications ({verification.columns}) VALUES ({verification.parameters})
ON CONFLICT (start_time) DO UPDATE SET {verification.assigned of excluded}

-- name: last_verification
SELECT {verification.columns} FROM verifications ORDER BY start_time DESC LIMIT 1
