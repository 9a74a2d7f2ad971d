-- Limits of calls, which the workers of one run or of many share, and how far they are used.
CREATE TABLE call_limits (
    name          TEXT NOT NULL PRIMARY KEY,
    master_job_id TEXT UNIQUE REFERENCES runs (master_job_id) ON DELETE CASCADE,
    rpm           REAL,
    tpm           REAL,
    next_call     TEXT NOT NULL,
    next_token    TEXT NOT NULL,
    part          REAL NOT NULL,
    part_when     TEXT NOT NULL,
    paused_until  TEXT,
    pause_reason  TEXT
) STRICT;
