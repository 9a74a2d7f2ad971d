"""A program that knows the format page and not this library: it writes records to a store, or reads them.

    python other_program.py write|append ROOT MASTER_JOB_ID JOB_ID RECORD_UID [killed]
    python other_program.py read ROOT

It writes data as a file, or appends it to a pack. With ``killed`` it ends, as if by SIGKILL, between its commit and
what comes behind that. The numbers are steps of section 10.
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
FULL_PACK = 64 * 1024 * 1024


def write(root: Path, master_job_id: str, job_id: str, uid: str, *, packed: bool, killed: bool) -> None:
    database = opened(root)
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
    if not packed:
        (root / "data" / shard).mkdir(0o700, exist_ok=True)
        (staging / "0").write_bytes(payload)  # 2
        (staging / "0").chmod(0o600)

    pack, own, start = append(database, root, payload) if packed else ("", None, 0)  # 2

    os.pwrite(writer, b"\1", 0)  # 3
    database.execute("BEGIN IMMEDIATE")  # 4
    entry = note_place(database, key, (pack, start, len(payload)) if packed else None)
    database.execute("INSERT INTO data_journal (key, payload) VALUES (?, ?)", (entry, payload))
    database.execute(
        "INSERT INTO records (record_uid, job_id, master_job_id, status, output_ref, start_time, end_time, "
        "last_update_time, data_sha256) VALUES (?, ?, ?, 'completed', ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET data_sha256 = excluded.data_sha256",
        (uid, job_id, master_job_id, key, NOW, NOW, NOW, digest),
    )
    columns = json.loads((root / "rows.jsonl").read_bytes().splitlines()[0])["columns"]["save_record"]
    row = dict(zip(columns, (uid, job_id, master_job_id, "completed", key, NOW, NOW, NOW, None, digest), strict=True))
    with (root / "rows.jsonl").open("ab") as log:
        log.write(json.dumps(["save_record", *(row[column] for column in columns)]).encode() + b"\n")
    database.execute("COMMIT")  # 5
    if killed:
        os.kill(os.getpid(), signal.SIGKILL)
    if own is None:
        (staging / "0").rename(root / key)  # 6
    else:
        os.close(own)
    os.pwrite(writer, b"\0", 0)  # 7
    fcntl.flock(writer, fcntl.LOCK_UN)
    staging.rmdir()
    database.close()


def opened(root: Path) -> apsw.Connection:
    database = apsw.Connection(str(root / "metadata.db"))
    database.set_busy_timeout(60_000)
    assert database.pragma("application_id") == 0x53465354
    assert database.pragma("user_version") == 9
    database.pragma("foreign_keys", "on")
    database.pragma("synchronous", "full")
    return database


def note_place(database: apsw.Connection, key: str, place: tuple[str, int, int] | None) -> str:
    """Note that data lies in a pack, or in a file; return what its entry in the journal is called."""
    if place is None:
        database.execute("DELETE FROM packed_data WHERE key = ?", (key,))
        database.execute("UPDATE settings SET value = 'mixed' WHERE name = 'layout' AND value = 'packed'")
        return key
    pack, start, length = place
    size = "INSERT INTO packs VALUES (?, ?) ON CONFLICT DO UPDATE SET size = excluded.size"
    database.execute(size, (pack, start + length))
    database.execute("INSERT INTO packed_data VALUES (?, ?, ?, ?)", (key, pack, start, length))
    return f"data/packs/{pack}.jsonl:{start}+{length}"


def append(database: apsw.Connection, root: Path, payload: bytes) -> tuple[str, int, int]:
    """Append to a pack of its own, and return its name, the file, which is locked, and where it was written."""
    packs = {str(pack): int(str(size)) for pack, size in database.execute("SELECT pack, size FROM packs")}
    for pack, size in sorted(packs.items(), reverse=True):
        if size < FULL_PACK and (root / f"data/packs/{pack}.jsonl").exists():
            own = os.open(root / f"data/packs/{pack}.jsonl", os.O_RDWR)
            try:
                fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(own)
                continue
            os.ftruncate(own, size)
            break
    else:
        there = {path.name.partition(".")[0] for path in (root / "data/packs").iterdir()}
        pack, size = f"{max(map(int, there | packs.keys()), default=0) + 1:06}", 0
        own = os.open(root / f"data/packs/{pack}.jsonl", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(own, fcntl.LOCK_EX)
    os.pwrite(own, payload, size)
    return pack, own, size


def read(root: Path) -> None:
    database = apsw.Connection(str(root / "metadata.db"))
    database.pragma("query_only", "on")
    found = {}
    with database:  # rows and journal in one transaction
        for uid, key in database.execute("SELECT record_uid, output_ref FROM records").fetchall():
            place = database.execute("SELECT pack, start, length FROM packed_data WHERE key = ?", (key,)).fetchone()
            if place is not None:
                found[uid] = json.loads(in_pack(database, root, *place))
                continue
            newest = "SELECT payload FROM data_journal WHERE key = ? ORDER BY number DESC LIMIT 1"
            entry = database.execute(newest, (key,)).fetchone()
            content = (root / str(key)).read_bytes() if entry is None else entry[0]
            found[uid] = json.loads(content)
    sys.stdout.write(json.dumps(found))


def in_pack(database: apsw.Connection, root: Path, pack: str, start: int, length: int) -> bytes:
    """Return what stands in a pack, by the newest entry of the journal that covers it, else by the file."""
    path = f"data/packs/{pack}.jsonl"
    ranges = "SELECT key, payload FROM data_journal WHERE substr(key, 1, ?) = ? ORDER BY number DESC"
    for key, payload in database.execute(ranges, (len(path) + 1, f"{path}:")):
        first, size = map(int, str(key).rpartition(":")[2].split("+"))
        if first <= start and start + length <= first + size:
            return payload[start - first :][:length]
    with (root / path).open("rb") as file:
        file.seek(start)
        return file.read(length)


if __name__ == "__main__":
    directory = Path(sys.argv[2])
    if sys.argv[1] == "read":
        read(directory)
    else:
        write(directory, *sys.argv[3:6], packed=sys.argv[1] == "append", killed=sys.argv[6:] == ["killed"])
