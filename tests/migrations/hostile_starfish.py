"""Stores with Starfish's tables and whatever SQLite lets stand in them, beside whatever may lie in files."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from migrations.stores import unpack

IDS = [
    *("a", "b", "Abcd", "abcd", "..", "a/b", "../../x", "", "x" * 300, "é" * 60, "日本語", "a\nb", ".hid", "last"),
    *(b"\x00\xff", 5, "(no project)", None),
]
TIMES = [
    *("2025-01-01 10:00:00", "2025-01-01T10:00:00Z", "2025-01-01T10:00:00.1234567+02:00", "garbage", "", 1700000000),
    *(-1, 1e20, b"\x01", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+14:00", "2025-02-30"),
]
JSON = ["{}", '{"a": 1}', "[1]", "NaN", '{"a": NaN}', "not json", "", "null", '{"a":' * 3000, 7, b"{}", '{"a": 1e999}']
NUMBERS = [0, 1, -5, 10**12, "x", 1.5, b"1", "10", 2**63 - 1]
CONTENTS = [
    *(b'{"a": 1}', b'{"a":', b"", b"\0\0\0", b"[1]", b'{"x": NaN, "y": [Infinity, -Infinity]}', b"\xff\xfe"),
    *(b'{"a": "\\ud800"}', b'{"a": ' + b"[" * 5000, b'{"n": 123456789012345678901234567890}', b'{"a":1,"a":2}'),
]
KEYS = [
    *(f"data/ab/cd/abcd{n}.json" for n in range(4)),
    "data/XX/XX/a.json",
    "data/Ab/cd/Abcd.json",
    "../out.json",
    None,
]
CONFIGS = [
    *(b"{}", b"", b"[]", b'{"config":', b'{"config": {"master_job_id": "a", "project_id": "b", "target_count": 4}}'),
    b'{"config": {"master_job_id": "a", "project_id": [1], "target_count": 1e300}}',
]


def make_hostile(root: Path, seed: int) -> None:
    """Make such a store."""
    chance = random.Random(seed)
    pick = chance.choice
    unpack("starfish-0.1.3", root)
    connection = apsw.Connection(str(root / "metadata.db"))
    connection.pragma("foreign_keys", 0)
    for table in ("Records", "GenerationJob", "GenerationMasterJob", "Projects"):
        connection.execute(f"DELETE FROM {table}")
    for path in [*root.glob("data/*/*/*.json"), *root.glob("configs/*")]:
        path.unlink()
    ids = [*chance.sample(IDS, 8), None]
    known: Sequence[Any] = [one for one in ids if one is not None]

    def insert(table: str, **row: Any) -> None:
        columns, places = ", ".join(row), ", ".join("?" * len(row))
        connection.execute(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})", tuple(row.values()))

    (root / "configs" / "a.request.json").write_bytes(pick(CONFIGS))
    configs = [f"{root}/configs/a.request.json", "/old/configs/a.request.json", "", b"z", "../../etc/passwd"]
    for _ in range(3):
        insert("Projects", project_id=pick(ids), name=pick(["n", b"n", 5, ""]), created_when=pick(TIMES))
        insert(
            *("GenerationMasterJob",),
            master_job_id=pick(ids),
            project_id=pick(ids),
            name=pick([None, "Test Master Job", b"x"]),
            status=pick(["pending", "generating", "completed"]),
            request_config_ref=pick(configs),
            output_schema=pick(JSON),
            storage_uri=pick([f"file://{root}", "x", b"q"]),
            target_record_count=pick(NUMBERS),
            completed_record_count=pick(NUMBERS),
            creation_time=pick(TIMES),
            end_time=pick([*TIMES, None]),
            summary=pick([*JSON, None]),
        )
    for _ in range(5):
        insert(
            *("GenerationJob",),
            job_id=pick(ids),
            master_job_id=pick(known),
            status=pick(["pending", "completed", "failed"]),
            run_config=pick([*JSON, None]),
            run_config_hash=pick(["h", "", b"h"]),
            completed_record_count=pick([0, 3, "x"]),
            end_time=pick([*TIMES, None]),
            worker_id=pick([None, "test-worker-1"]),
        )
    for _ in range(8):
        key = pick(KEYS)
        if key is not None and chance.random() < 0.85:
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(pick(CONTENTS))
        insert(
            *("Records",),
            record_uid=pick(ids),
            job_id=pick(known),
            master_job_id=pick(known),
            status=pick(["pending", "completed", "failed"]),
            start_time=pick(TIMES),
            end_time=pick(TIMES),
            output_ref=None if key is None else pick([f"{root}/{key}", f"/old/place/{key}", key, b"x"]),
            error_message=pick([None, "e", b"e"]),
        )
    connection.close()
