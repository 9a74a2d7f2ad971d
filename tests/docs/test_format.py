"""The page about the format says what the code does: facts are compared, and programs that know only the page work."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import apsw
import pytest

from docs.pages import PROJECT, blocks, commands, run_command
from starfish_storage import (
    GenerationJob,
    GenerationMasterJob,
    LocalStorage,
    Project,
    Record,
    StatusExecutionJob,
    StatusMasterJob,
    StatusRecord,
)
from starfish_storage.codec import canonical_hash, decode, encode
from starfish_storage.errors import InvalidDataError
from starfish_storage.identifiers import MAX_ID_BYTES, fold
from starfish_storage.interface import Layout
from starfish_storage.json_limits import MAX_DEPTH
from starfish_storage.keys import record_key
from starfish_storage.maintenance import verify
from starfish_storage.metadata.migrations import latest_version
from starfish_storage.metadata.sqlite.migrate import APPLICATION_ID
from starfish_storage.metadata.sqlite.row_changes import CHANGES
from starfish_storage.runs import StatusAttempt, input_job_id, output_record_uid

PAGE = PROJECT / "docs" / "format.md"
TEXT = PAGE.read_text("utf-8")
SCHEMA = (PROJECT / "src/starfish_storage/metadata/sql/sqlite/schema.sql").read_text("utf-8")
PROSE = TEXT[: TEXT.index("\n## Annex")]
OTHER_PROGRAM = Path(__file__).with_name("other_program.py")
MASTER_JOB, JOB = "run-1", "job-1"


def section(title: str) -> str:
    return re.split(r"\n#{2,3} ", TEXT[TEXT.index(f"# {title}\n") + 2 :])[0]


def tables_in(text: str) -> list[list[str]]:
    """Return the cells, without code marks, of the rows below each table's head."""
    rows = [row[1:-1].split("|") for row in re.findall(r"^\|.*\|$", text, re.MULTILINE)]
    return [[cell.strip().strip("`") for cell in row] for row in rows if row[0].strip() not in ("---", "column")]


def schema_objects(kind: str) -> list[str]:
    database = apsw.Connection(":memory:")
    database.execute(SCHEMA)
    names = "SELECT name FROM sqlite_schema WHERE type = ? AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    return [row[0] for row in database.execute(names, (kind,))]


async def fill(storage: LocalStorage) -> None:
    await storage.save_project(Project(project_id="p", name="P"))
    config_ref = await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {"prompt": "?"})
    await storage.log_master_job_start(
        GenerationMasterJob(
            master_job_id=MASTER_JOB,
            project_id="p",
            request_config_ref=config_ref,
            output_schema={},
            storage_uri=storage.storage_uri,
            target_record_count=1,
        )
    )
    await storage.log_execution_job_start(GenerationJob(job_id=JOB, master_job_id=MASTER_JOB))


def record(uid: str) -> Record:
    return Record(record_uid=uid, job_id=JOB, master_job_id=MASTER_JOB, status="completed")


async def reference(storage: LocalStorage, uid: str) -> str:
    found = await storage.get_record_metadata(uid)
    assert found is not None
    assert found.output_ref is not None
    return found.output_ref


def other_program(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(OTHER_PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# --- facts ------------------------------------------------------------------------------------------------------------


def test_the_annex_is_the_schema():
    (annex,) = [block for block in blocks(PAGE) if block.info == "sql"]
    assert annex.text == SCHEMA


@pytest.mark.parametrize("table", schema_objects("table"))
def test_every_column_of_a_table_is_described_in_order(table: str):
    database = apsw.Connection(":memory:")
    database.execute(SCHEMA)
    columns = [row[0] for row in database.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    assert [row[0] for row in tables_in(section(f"`{table}`"))] == columns


@pytest.mark.parametrize("name", [*schema_objects("index"), *schema_objects("trigger")])
def test_every_index_and_trigger_is_named(name: str):
    assert f"`{name}`" in PROSE


def test_the_numbers_of_the_header():
    assert f"0x{APPLICATION_ID:08X} ({APPLICATION_ID}, `SFST` in ASCII)" in section("5. Database")
    assert APPLICATION_ID.to_bytes(4, "big") == b"SFST"
    assert f"# The store on disk: format version {latest_version()}\n" in TEXT
    assert f"`user_version` = {latest_version()}," in section("5. Database")


def test_the_shards_of_the_examples():
    rows = [row for row in tables_in(section("3. Keys")) if len(row) == 3][1:]
    assert len(rows) == 5
    for uid, folded, shard in rows:
        assert fold(uid) == folded
        assert record_key(uid) == f"data/{shard}/{uid}.json"


def test_the_hash_of_the_example():
    assert canonical_hash({"b": 1, "a": "é"}) in section("`execution_jobs`")


def test_the_ids_of_the_inputs_of_a_run():
    digest = canonical_hash({"q": 1})
    assert f"`{digest}`" in section("17. Runs")
    assert f"`{input_job_id('run-1', 0, digest)}`" in section("17. Runs")
    assert output_record_uid("<job_id>", 7) == "<job_id>-7"
    assert "`<job_id>-<n>`" in section("17. Runs")


def test_the_statuses_of_attempts():
    described = dict(tables_in(section("`attempts`")))["status"]
    assert re.findall(r"`(\w+)", f"`{described}") == list(get_args(StatusAttempt))


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_the_row_log_is_named(change: str):
    assert f"`{change}`" in section("16. The row log")


def test_the_statuses():
    listed = [list(get_args(kind)) for kind in (StatusMasterJob, StatusExecutionJob, StatusRecord)]
    described = {table: dict(tables_in(section(f"`{table}`")))["status"] for table in ("master_jobs", "execution_jobs")}
    assert re.findall(r"\w+", described["master_jobs"].replace(" or ", " ").replace("`", "")) == listed[0]
    assert re.findall(r"\w+", described["execution_jobs"].replace(" or ", " ").replace("`", "")) == listed[1]
    assert listed[1] == listed[2]


def test_the_limits():
    assert f"1 to {MAX_ID_BYTES} bytes" in section("2. Ids")
    assert f"promises to store {MAX_DEPTH}" in section("4. JSON")
    deepest = json.loads('{"x":' * 254 + "0" + "}" * 254)
    assert decode(encode(deepest, "data")) == deepest
    with pytest.raises(InvalidDataError):
        encode({"x": deepest}, "data")


# --- a store ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["files", "packed"])
async def test_the_files_of_a_store(tmp_path: Path, layout: Layout):
    root = tmp_path / "store"
    data = "data/82/r1.json" if layout == "files" else "data/packs/000001.jsonl"
    async with LocalStorage(root.as_uri(), layout=layout) as storage:
        await fill(storage)
        await storage.save_record(record("r1"), {"text": "two\nlines", "é": [1, 2**70, 1.5]})
        present = {path.relative_to(root) for path in root.rglob("*")}
        assert {"metadata.db-wal", "metadata.db-shm"} <= {str(path) for path in present}
        assert all(path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600) for path in root.rglob("*"))

    left = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert left == {
        "metadata.db",
        "session.lock",
        "writer.lock",
        "rows.jsonl",
        f"configs/{MASTER_JOB}.request.json",
        data,
    }
    content = (root / data).read_bytes()
    assert content.count(b"\n") == 1
    assert content.endswith(b"}\n")
    lock, log = (root / "writer.lock").read_bytes(), root / "rows.jsonl"
    assert (len(lock), lock[:1], int.from_bytes(lock[1:9])) == (25, b"\0", log.stat().st_size)
    assert (root / "session.lock").read_bytes() == b""
    header = (root / "metadata.db").read_bytes()[:100]
    assert (header[60:64], header[68:72]) == (latest_version().to_bytes(4, "big"), b"SFST")
    database = apsw.Connection(str(root / "metadata.db"))
    assert database.execute("SELECT count(*) FROM data_journal").get == 0
    (moment,) = database.execute("SELECT start_time FROM records").fetchall()[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(moment))
    assert database.execute("SELECT storage_uri FROM master_jobs").get == "."
    assert database.execute("SELECT value FROM settings WHERE name = 'layout'").get == layout
    places = [("data/82/r1.json", "000001", 0, len(content))] if layout == "packed" else []
    assert database.execute("SELECT * FROM packed_data").fetchall() == places
    assert database.execute("SELECT * FROM packs").fetchall() == [(pack, size) for _, pack, _, size in places]


async def test_the_locks_of_an_open_store(tmp_path: Path):
    async with LocalStorage(tmp_path.as_uri()) as storage:
        await fill(storage)
        session = os.open(tmp_path / "session.lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(session, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(session, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.close(session)

        writer = os.open(tmp_path / "writer.lock", os.O_RDWR)
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert os.pread(writer, 1, 0) == b"\0"
        waiting = asyncio.create_task(storage.save_record(record("r1"), {}))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        os.close(writer)
        await waiting


# --- other programs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["write", "append"])
@pytest.mark.parametrize("layout", ["files", "packed"])
async def test_another_program_writes_to_an_open_store(tmp_path: Path, layout: Layout, how: str):
    async with LocalStorage(tmp_path.as_uri(), layout=layout) as storage:
        await fill(storage)
        await storage.save_record(record("ours-1"), {"written_by": "the library"})
        (tmp_path / "data/packs").mkdir(0o700, exist_ok=True)
        done = await asyncio.to_thread(other_program, how, tmp_path, MASTER_JOB, JOB, "theirs-1")
        assert done.returncode == 0, done.stderr
        await storage.save_record(record("ours-2"), {"written_by": "the library"})
        assert await storage.count_records_for_master_job(MASTER_JOB) == {"completed": 3}
        theirs = await storage.get_record_data(await reference(storage, "theirs-1"))
        assert theirs == {"written_by": "another program", "uid": "theirs-1"}
        assert await storage.get_record_data(await reference(storage, "ours-1")) == {"written_by": "the library"}
    packs = [path.name for path in sorted((tmp_path / "data/packs").iterdir())]
    assert packs == [f"{number + 1:06}.jsonl" for number in range((layout == "packed") + (how == "append"))]
    assert verify(tmp_path.as_uri()).is_sound


async def test_another_program_gives_packed_data_a_file_and_the_library_packs_it_again(tmp_path: Path):
    async with LocalStorage(tmp_path.as_uri(), layout="packed") as storage:
        await fill(storage)
        await storage.save_record(record("r1"), {"n": 1})
        done = await asyncio.to_thread(other_program, "write", tmp_path, MASTER_JOB, JOB, "r1")
        assert done.returncode == 0, done.stderr
        theirs = await reference(storage, "r1")
        assert (await storage.get_record_data(theirs))["written_by"] == "another program"
        await storage.save_record(record("r1"), {"n": 2})
        assert await storage.get_record_data(theirs) == {"n": 2}
    assert not os.path.exists(theirs)
    assert verify(tmp_path.as_uri()).is_sound


@pytest.mark.parametrize(("layout", "how"), [("files", "write"), ("packed", "append")])
async def test_the_library_finishes_what_a_killed_program_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Layout, how: str
):
    monkeypatch.setattr("starfish_storage.metadata.writer._IDLE_SECONDS", 60)  # by itself, it would finish it sooner
    async with LocalStorage(tmp_path.as_uri(), layout=layout) as storage:
        await fill(storage)
        (tmp_path / "data/packs").mkdir(0o700, exist_ok=True)
        done = await asyncio.to_thread(other_program, how, tmp_path, MASTER_JOB, JOB, "theirs-1", "killed")
        assert done.returncode == -signal.SIGKILL, done.stderr
        theirs = await reference(storage, "theirs-1")
        pack = tmp_path / "data/packs/000001.jsonl"
        if layout == "files":
            assert not os.path.exists(theirs)
        else:
            pack.write_bytes(b"")  # as after a power cut
        assert (await storage.get_record_data(theirs))["uid"] == "theirs-1"  # from the journal
        await storage.save_record(record("ours-1"), {})  # the next writer puts it in place
        assert os.path.exists(theirs) if layout == "files" else pack.read_bytes().count(b"theirs-1") == 1
        assert (await storage.get_record_data(theirs))["uid"] == "theirs-1"


@pytest.mark.parametrize("layout", ["files", "packed"])
async def test_another_program_reads_an_open_store(tmp_path: Path, layout: Layout):
    async with LocalStorage(tmp_path.as_uri(), layout=layout) as storage:
        await fill(storage)
        expected = {f"r{number}": {"n": number} for number in range(20)}
        await storage.save_records([(record(uid), data) for uid, data in expected.items()])
        done = await asyncio.to_thread(other_program, "read", tmp_path)  # while the journal holds them all
        assert json.loads(done.stdout) == expected
    assert json.loads(other_program("read", tmp_path).stdout) == expected


@pytest.mark.parametrize("layout", ["files", "packed"])
async def test_the_backup_of_an_open_store(tmp_path: Path, layout: Layout):
    recipe = [command for block in blocks(PAGE) if block.info == "console" for command in commands(block)]
    assert len(recipe) == 3
    saved = 0
    async with LocalStorage((tmp_path / "store").as_uri(), layout=layout) as storage:
        await fill(storage)

        async def keep_writing() -> None:
            nonlocal saved
            while True:
                await asyncio.gather(
                    *(storage.save_record(record(f"r{n}"), {"n": n}) for n in range(saved, saved + 20))
                )
                saved += 20

        writing = asyncio.create_task(keep_writing())
        for command in (*recipe, None):
            before = saved
            while saved == before:  # something is written before, between and after the commands
                await asyncio.sleep(0.01)
            if command is not None:
                await asyncio.to_thread(run_command, command, tmp_path)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    async with LocalStorage((tmp_path / "backup").as_uri()) as copy:
        records = await copy.get_records_for_master_job(MASTER_JOB)
        assert 0 < len(records) < saved
        assert await copy.count_records_for_master_job(MASTER_JOB) == {"completed": len(records)}
        for found in records:
            data = await copy.get_record_data(str(found.output_ref))
            assert f"r{data['n']}" == found.record_uid
