-- Record data in packs: files of many records, one a line.
CREATE TABLE packed_data (
    key    TEXT NOT NULL PRIMARY KEY,
    pack   TEXT NOT NULL,
    start  INTEGER NOT NULL,
    length INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How much of each pack is committed; what lies behind it is of a writer that died.
CREATE TABLE packs (
    pack TEXT NOT NULL PRIMARY KEY,
    size INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
