"""Stores with Starfish's tables and whatever SQLite lets stand in them, beside whatever may lie in files."""

from __future__ import annotations

import random
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


class HostileStore:
    """A store whose rows and files are drawn by chance.

    Args:
        root: its directory.
        seed: of what is drawn.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self._root = root
        self._chance = random.Random(seed)
        unpack("starfish-0.1.3", root)
        self._connection = apsw.Connection(str(root / "metadata.db"))
        self._connection.pragma("foreign_keys", 0)
        for table in ("Records", "GenerationJob", "GenerationMasterJob", "Projects"):
            self._connection.execute(f"DELETE FROM {table}")
        for path in [*root.glob("data/*/*/*.json"), *root.glob("configs/*")]:
            path.unlink()
        self._ids = [*self._chance.sample(IDS, 8), None]
        self._known = [one for one in self._ids if one is not None]

    def make(self) -> None:
        """Draw everything."""
        for _ in range(3):
            self._project_and_run()
        for _ in range(5):
            self._input()
        for _ in range(8):
            self._record(self._chance.choice(KEYS))
        self._connection.close()

    def _project_and_run(self) -> None:
        pick, root = self._chance.choice, self._root
        (root / "configs" / "a.request.json").write_bytes(pick(CONFIGS))
        self._insert("Projects", project_id=pick(self._ids), name=pick(["n", b"n", 5, ""]), created_when=pick(TIMES))
        self._insert(
            "GenerationMasterJob",
            master_job_id=pick(self._ids),
            project_id=pick(self._ids),
            name=pick([None, "Test Master Job", b"x"]),
            status=pick(["pending", "generating", "completed"]),
            request_config_ref=pick(
                [f"{root}/configs/a.request.json", "/old/configs/a.request.json", "", b"z", "../x"]
            ),
            output_schema=pick(JSON),
            storage_uri=pick([f"file://{root}", "x", b"q"]),
            target_record_count=pick(NUMBERS),
            completed_record_count=pick(NUMBERS),
            creation_time=pick(TIMES),
            end_time=pick([*TIMES, None]),
            summary=pick([*JSON, None]),
        )

    def _input(self) -> None:
        pick = self._chance.choice
        self._insert(
            "GenerationJob",
            job_id=pick(self._ids),
            master_job_id=pick(self._known),
            status=pick(["pending", "completed", "failed"]),
            run_config=pick([*JSON, None]),
            run_config_hash=pick(["h", "", b"h"]),
            completed_record_count=pick([0, 3, "x"]),
            end_time=pick([*TIMES, None]),
            worker_id=pick([None, "test-worker-1"]),
        )

    def _record(self, key: str | None) -> None:
        pick, root = self._chance.choice, self._root
        if key is not None and self._chance.random() < 0.85:
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(pick(CONTENTS))
        self._insert(
            "Records",
            record_uid=pick(self._ids),
            job_id=pick(self._known),
            master_job_id=pick(self._known),
            status=pick(["pending", "completed", "failed"]),
            output_ref=None if key is None else pick([f"{root}/{key}", f"/old/place/{key}", key, b"x"]),
            start_time=pick(TIMES),
            end_time=pick(TIMES),
            error_message=pick([None, "e", b"e"]),
        )

    def _insert(self, table: str, **row: Any) -> None:
        columns, places = ", ".join(row), ", ".join("?" * len(row))
        self._connection.execute(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})", tuple(row.values()))
