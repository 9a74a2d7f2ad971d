"""A program that knows the format page and not this library: it writes records to a store, or reads them.

    python other_program.py write ROOT MASTER_JOB_ID JOB_ID RECORD_UID [killed]
    python other_program.py read ROOT

With ``killed`` it ends, as if by SIGKILL, between its commit and its rename. The numbers are steps of section 10.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import apsw

NOW = "2026-01-31T12:00:00.000000Z"


def write(root: Path, master_job_id: str, job_id: str, uid: str, *, killed: bool) -> None:
    database = apsw.Connection(str(root / "metadata.db"))
    database.set_busy_timeout(60_000)
    assert database.pragma("application_id") == 0x53465354
    assert database.pragma("user_version") == 6
    database.pragma("foreign_keys", "on")
    database.pragma("synchronous", "full")
    session = os.open(root / "session.lock", os.O_RDWR)
    writer = os.open(root / "writer.lock", os.O_RDWR)
    fcntl.flock(writer, fcntl.LOCK_EX)  # opening, 2
    assert os.pread(writer, 1, 0) != b"\1", "this program does not replay"
    fcntl.flock(session, fcntl.LOCK_SH)

    payload = json.dumps({"written_by": "another program", "uid": uid}).encode() + b"\n"
    shard = hashlib.sha256(uid.lower().encode()).hexdigest()[:2]
    key = f"data/{shard}/{uid}.json"
    digest = hashlib.sha256(payload).hexdigest()
    staging = root / "staging" / os.urandom(16).hex()
    staging.mkdir(0o700)
    held = os.open(staging, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    (root / "data" / shard).mkdir(0o700, exist_ok=True)
    (staging / "0").write_bytes(payload)  # 2
    (staging / "0").chmod(0o600)

    os.pwrite(writer, b"\1", 0)  # 3
    database.execute("BEGIN IMMEDIATE")  # 4
    database.execute("INSERT INTO data_journal (key, payload) VALUES (?, ?)", (key, payload))
    database.execute(
        "INSERT INTO records (record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, "
        "last_update_time, data_sha256) VALUES (?, ?, ?, 'completed', ?, ?, ?, ?, ?)",
        (uid, job_id, master_job_id, key, NOW, NOW, NOW, digest),
    )
    columns = json.loads((root / "rows.jsonl").read_bytes().splitlines()[0])["columns"]["save_record"]
    row = dict(zip(columns, (uid, job_id, master_job_id, "completed", key, NOW, NOW, NOW, None, digest), strict=True))
    with (root / "rows.jsonl").open("ab") as log:
        log.write(json.dumps(["save_record", *(row[column] for column in columns)]).encode() + b"\n")
    database.execute("COMMIT")  # 5
    if killed:
        os.kill(os.getpid(), signal.SIGKILL)
    (staging / "0").rename(root / key)  # 6
    os.pwrite(writer, b"\0", 0)  # 7
    fcntl.flock(writer, fcntl.LOCK_UN)
    staging.rmdir()
    database.close()


def read(root: Path) -> None:
    database = apsw.Connection(str(root / "metadata.db"))
    database.pragma("query_only", "on")
    found = {}
    with database:  # rows and journal in one transaction
        for uid, key in database.execute("SELECT record_uid, output_ref FROM records").fetchall():
            newest = "SELECT payload FROM data_journal WHERE key = ? ORDER BY number DESC LIMIT 1"
            entry = database.execute(newest, (key,)).fetchone()
            content = (root / str(key)).read_bytes() if entry is None else entry[0]
            found[uid] = json.loads(content)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    directory = Path(sys.argv[2])
    if sys.argv[1] == "read":
        read(directory)
    else:
        write(directory, *sys.argv[3:6], killed=sys.argv[6:] == ["killed"])
