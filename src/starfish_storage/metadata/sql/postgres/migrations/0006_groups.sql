-- Every group says which version of the schema its writer knows: one of an earlier release, which does not, is refused.
DELETE FROM last_commits;

ALTER TABLE last_commits ADD COLUMN schema_version BIGINT NOT NULL;

-- Begins a group: notes its number, takes the store with the other groups or alone, and then tells the version of the
-- schema. In a function, since in one statement that would be the version from before the wait for a migration.
CREATE FUNCTION begin_group(
    this_writer TEXT, this_number BIGINT, known_version BIGINT, store BIGINT, alone BOOLEAN
) RETURNS TEXT LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO last_commits (writer, number, noted_when, schema_version)
    VALUES (this_writer, this_number, clock_timestamp(), known_version)
    ON CONFLICT (writer) DO UPDATE SET
        number = excluded.number, noted_when = excluded.noted_when, schema_version = excluded.schema_version;
    IF alone THEN
        PERFORM pg_advisory_xact_lock(store);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(store);
    END IF;
    RETURN (SELECT value FROM settings WHERE name = 'schema_version');
END $$;

-- Limits of calls, which the workers of one run or of many share, and how far they are used.
CREATE TABLE call_limits (
    name          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    master_job_id TEXT COLLATE "C" UNIQUE REFERENCES runs (master_job_id) ON DELETE CASCADE,
    rpm           DOUBLE PRECISION,
    tpm           DOUBLE PRECISION,
    next_call     TEXT COLLATE "C" NOT NULL,
    next_token    TEXT COLLATE "C" NOT NULL,
    part          DOUBLE PRECISION NOT NULL,
    part_when     TEXT COLLATE "C" NOT NULL,
    paused_until  TEXT COLLATE "C",
    pause_reason  TEXT COLLATE "C"
);
