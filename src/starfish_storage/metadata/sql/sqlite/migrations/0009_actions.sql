-- Who a worker is; and why it alone is to stop.
ALTER TABLE workers ADD COLUMN host TEXT;
ALTER TABLE workers ADD COLUMN user_name TEXT;
ALTER TABLE workers ADD COLUMN pod TEXT;
ALTER TABLE workers ADD COLUMN release TEXT;
ALTER TABLE workers ADD COLUMN stop_reason TEXT;

-- How much of a shared limit a run gets, and who uses it now.
ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;
ALTER TABLE call_limits ADD COLUMN shares TEXT;

-- What people and programs did to the store beyond writing to it, and who they were: rows are only added.
CREATE TABLE actions (
    action_id TEXT NOT NULL PRIMARY KEY,
    time      TEXT NOT NULL,
    action    TEXT NOT NULL,
    kind      TEXT NOT NULL,
    target    TEXT,
    detail    TEXT,
    host      TEXT,
    user_name TEXT,
    pod       TEXT,
    release   TEXT
) STRICT;

CREATE INDEX actions_by_time ON actions (time, action_id);
CREATE INDEX actions_by_target ON actions (target, time, action_id);
