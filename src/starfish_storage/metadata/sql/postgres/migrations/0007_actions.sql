-- Who a worker is; and why it alone is to stop.
ALTER TABLE workers ADD COLUMN host TEXT COLLATE "C";
ALTER TABLE workers ADD COLUMN user_name TEXT COLLATE "C";
ALTER TABLE workers ADD COLUMN pod TEXT COLLATE "C";
ALTER TABLE workers ADD COLUMN release TEXT COLLATE "C";
ALTER TABLE workers ADD COLUMN stop_reason TEXT COLLATE "C";

-- How much of a shared limit a run gets, and who uses it now.
ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;
ALTER TABLE call_limits ADD COLUMN shares TEXT COLLATE "C";

-- What people and programs did to the store beyond writing to it, and who they were: rows are only added.
CREATE TABLE actions (
    action_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    time      TEXT COLLATE "C" NOT NULL,
    action    TEXT COLLATE "C" NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL,
    target    TEXT COLLATE "C",
    detail    TEXT COLLATE "C",
    host      TEXT COLLATE "C",
    user_name TEXT COLLATE "C",
    pod       TEXT COLLATE "C",
    release   TEXT COLLATE "C"
);

CREATE INDEX actions_by_time ON actions (time, action_id);
CREATE INDEX actions_by_target ON actions (target, time, action_id);
