"""Upgrading stores: those that Starfish left damaged are repaired, and every repair is told; a kill does no harm."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import apsw
import pytest

from cli.calling import call
from durability.processes import run, start
from imports.foreign import real
from migrations.hostile_starfish import HostileStore
from migrations.own_writer import write_master_job
from migrations.stores import on_disk, unpack
from migrations.test_starfish import BACKUP, STARFISH, tables_of, version_of
from starfish_storage import (
    LocalStorage,
    Project,
    Storage,
    StorageBusyError,
    StoreOpenError,
    StoreVersionError,
    open_storage,
)
from starfish_storage.maintenance import Repaired, UpgradeReport, upgrade, verify
from starfish_storage.maintenance.upgrade_report import UpgradeKind
from starfish_storage.metadata.migrations import latest_version
from starfish_storage.metadata.sqlite.migrate import APPLICATION_ID

DAMAGED = "starfish-0.1.3-damaged"
LEFT = {"request_config_missing": 1, "input_unfinished": 3, "input_repeated": 1}
REPAIRED = {
    "project_lost": 1,
    "status_unknown": 1,
    "target_wrong": 3,
    "records_lost": 4,
    "counts_wrong": 3,
    "data_incomplete": 1,
    "data_empty": 1,
    "data_missing": 1,
    "uid_differs": 13,
    "not_a_number": 1,
    "data_without_row": 8,
}


@pytest.fixture(params=["frozen", pytest.param("real", marks=pytest.mark.slow)])
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store as Starfish left it: frozen, or made now."""
    if request.param == "real":
        return real("starfish-damaged", tmp_path)
    unpack(DAMAGED, tmp_path / "store")
    return tmp_path / "store"


def kinds_of(found: Any) -> Counter[str]:
    return Counter(one.kind for one in found)


async def held(storage: Storage) -> dict[str, Any]:
    """Return all records with their data, and the statuses and counts of what they are of."""
    told: dict[str, Any] = {}
    for run_ in await storage.list_master_jobs():
        jobs = await storage.list_execution_jobs(run_.master_job_id)
        records = await storage.get_records_for_master_job(run_.master_job_id)
        told[run_.master_job_id] = {
            "run": (run_.project_id, run_.status, run_.target_record_count, run_.completed_record_count),
            "counts": await storage.count_records_for_master_job(run_.master_job_id),
            "inputs": sorted((job.job_id, job.status, job.completed_record_count) for job in jobs),
            "records": {
                one.record_uid: (one.status, one.start_time, await data_of(storage, one.output_ref)) for one in records
            },
        }
    return told


async def data_of(storage: Storage, reference: str | None) -> dict[str, Any] | None:
    return None if reference is None else await storage.get_record_data(reference)


def assert_sound(root: Path) -> None:
    report = verify(root)
    assert report.is_sound
    assert report.without_digest == 0
    assert {finding.kind for finding in report.findings} <= {"request_config_missing"}


async def test_what_starfish_left_damaged_is_repaired_and_told(damaged: Path, tmp_path: Path):
    files = {path: path.read_bytes() for path in damaged.glob("data/*/*/*.json")}
    tables = tables_of(shutil.copytree(damaged, tmp_path / "looked-at") / "metadata.db")
    before = on_disk(damaged)
    told = call("upgrade", str(damaged), "--dry-run", "--json")
    assert on_disk(damaged) == before
    async with LocalStorage(damaged.as_uri()) as storage:
        read = await storage.list_master_jobs()
    assert on_disk(damaged) == before
    ended = call("upgrade", str(damaged), "--json")
    assert (told.status, ended.status) == (1, 1), "outputs were lost"
    planned, done = json.loads(told.out), json.loads(ended.out)
    assert planned["repairs"] == done["repairs"]
    assert planned["left"] == done["left"]
    left, kinds = (Counter(one["kind"] for one in done[name]) for name in ("left", "repairs"))
    if damaged.name == "store":  # frozen: how far two tasks at once have come is not the same each time
        assert (left, {kind: kinds[kind] for kind in REPAIRED}) == (LEFT, REPAIRED)
    assert (left.keys(), REPAIRED.keys() - kinds.keys()) == (LEFT.keys(), set())
    assert kinds.keys() - REPAIRED.keys() == {"time_form", "time_order", "reference_moved"} - (
        set() if kinds["reference_moved"] else {"reference_moved"}
    )
    assert_sound(damaged)
    async with LocalStorage(damaged.as_uri()) as storage:
        assert [(one.master_job_id, one.project_id, one.status) for one in await storage.list_master_jobs()] == [
            (one.master_job_id, one.project_id, one.status) for one in read
        ]
        await check_rows(storage, done["repairs"])
        await storage.save_project(Project(project_id="p-1", name="of the new run"))
        await write_master_job(storage, 9, "completed")
        await storage.delete_master_job("Master-9")
    assert_sound(damaged)
    assert_can_go_back(damaged, files, tables, tmp_path / "back")


async def check_rows(storage: LocalStorage, repairs: list[dict[str, str]]) -> None:
    found = await held(storage)
    by_kind = {kind: [one["subject"] for one in repairs if one["kind"] == kind] for kind in REPAIRED}
    records = {uid: one for run_ in found.values() for uid, one in run_["records"].items()}
    inputs = {job: status for run_ in found.values() for job, status, _ in run_["inputs"]}
    assert len(records) == 18
    for kind in ("data_incomplete", "data_empty", "data_missing"):
        (uid,) = by_kind[kind]
        assert records[uid][0] == "failed"
        assert records[uid][2] is None
        record = await storage.get_record_metadata(uid)
        assert record is not None
        assert record.error_message is not None
        assert "data is lost" in record.error_message
        assert inputs[record.job_id] == "failed"
    assert {inputs[job] for job in by_kind["records_lost"]} == {"failed"}
    assert records[by_kind["not_a_number"][0]][2] == {"city": "Lima", "score": None}
    assert records["again-1" if "again-1" in records else "kept-1"][2] == {"uid": "kept-1"}
    (restored,) = by_kind["project_lost"]
    assert await storage.get_project(found[restored]["run"][0]) is not None
    for run_ in found.values():
        completed = sum(status == "completed" for status, *_ in run_["records"].values())
        assert run_["counts"].get("completed", 0) == completed
        if run_["run"][1] == "completed":
            assert run_["run"][2:] == (6, completed)
    for uid in by_kind["uid_differs"]:
        record = await storage.get_record_metadata(uid)
        assert record is not None
        assert record.output_ref is None or record.output_ref.endswith(f"/{uid}.json")


def assert_can_go_back(
    root: Path, files: dict[Path, bytes], tables: dict[str, list[tuple[Any, ...]]], back: Path
) -> None:
    """As the page says: the backup in the place of the database, and the files that were set aside where they were."""
    shutil.copytree(root, back)
    assert tables_of(back / BACKUP) == tables
    shutil.copytree(back / "starfish-0.1", back, dirs_exist_ok=True)
    assert {path.relative_to(root): content for path, content in files.items()} == {
        path.relative_to(root): (back / path.relative_to(root)).read_bytes() for path in files
    }


async def test_a_second_upgrade_has_nothing_to_do(tmp_path: Path):
    unpack(DAMAGED, tmp_path / "store")
    upgrade(tmp_path / "store")
    after = on_disk(tmp_path / "store")
    ended = call("upgrade", "--store", str(tmp_path / "store"))
    assert (ended.status, ended.out) == (0, f"{tmp_path}/store: of the newest format already ({latest_version()})\n")
    changed = {name for name, found in on_disk(tmp_path / "store").items() if found[:2] != after[name][:2]}
    assert changed <= {"metadata.db-shm"}


def test_the_text_fits_a_terminal():
    repairs = [Repaired(kind, f"{n:036}", "told in JSON") for n, kind in enumerate(get_args(UpgradeKind) * 3)]
    lines = str(UpgradeReport("/data/store", 0, 7, rows=(1, 2, 3, 4), backup="/data/a", repairs=repairs)).splitlines()
    assert len(lines) > 2 * len(get_args(UpgradeKind))
    assert max(map(len, lines)) <= 80
    assert "    000000000000000000000000000000000000 and 2 more" in lines


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("expected") / "store"
    unpack(DAMAGED, root)
    upgrade(root)

    async def found() -> dict[str, Any]:
        async with LocalStorage(root.as_uri()) as storage:
            return await held(storage)

    return asyncio.run(found())


async def killed_at(number: int, root: Path, expected: dict[str, Any]) -> bool:
    """Kill an upgrade before its change of that number; return False if it was through before."""
    unpack(DAMAGED, root)
    tables = tables_of(root / "metadata.db")
    files = {path: path.read_bytes() for path in root.glob("data/*/*/*.json")}
    status, _, error = run(["-m", "migrations.upgrading", str(root), str(number)])
    if status == 0:
        return False
    assert status == -signal.SIGKILL, error
    if version_of(root) == (0, 0):
        assert tables_of(root / "metadata.db") == tables
        assert all(path.read_bytes() == content for path, content in files.items())
    else:
        assert version_of(root) == (APPLICATION_ID, latest_version())
    upgrade(root)
    assert_sound(root)
    assert {path.name for path in root.glob("data/*/*/*.json")} == {"ke.json", "kept-1.json"}
    async with LocalStorage(root.as_uri()) as storage:
        assert await held(storage) == expected
    return True


@pytest.mark.parametrize("number", [40, 190, 346])
async def test_an_upgrade_that_is_killed(tmp_path: Path, number: int, expected: dict[str, Any]):
    assert await killed_at(number, tmp_path / "store", expected)


@pytest.mark.slow
async def test_an_upgrade_that_is_killed_at_every_step(tmp_path: Path, expected: dict[str, Any]):
    number = 1
    while await killed_at(number, tmp_path / str(number), expected):
        number += 11
    assert number > 200


@pytest.mark.parametrize("name", ["v1", "v4-not-closed", "v6"])
def test_an_older_store_of_ours(name: str, tmp_path: Path):
    unpack(name, tmp_path / "store")
    before = on_disk(tmp_path / "store")
    told = call("upgrade", str(tmp_path / "store"), "--dry-run")
    assert told.out == f"{tmp_path}/store: would upgrade from format {name[1]} to format {latest_version()}\n"
    # Whoever reads beside a log that was left takes part in its index, which is no content.
    assert on_disk(tmp_path / "store") | {"metadata.db-shm": ()} == before | {"metadata.db-shm": ()}
    done = call("upgrade", str(tmp_path / "store"))
    assert done.out == told.out.replace("would upgrade", "upgraded")
    assert version_of(tmp_path / "store") == (APPLICATION_ID, latest_version())
    assert verify(tmp_path / "store").is_sound


def test_what_is_not_upgraded(tmp_path: Path):
    root = tmp_path / "store"
    unpack("v6", root)
    connection = apsw.Connection(str(root / "metadata.db"))
    connection.pragma("user_version", latest_version() + 1)
    connection.close()
    before = on_disk(root)
    with pytest.raises(StoreVersionError, match="a newer release wrote it"):
        upgrade(root)
    assert on_disk(root) == before
    with pytest.raises(StoreOpenError, match=r"there is no metadata.db in it"):
        upgrade(tmp_path)
    with pytest.raises(StoreOpenError, match="'upgrade' is for stores in directories"):
        upgrade("postgresql://localhost/db", tmp_path)
    assert "--read-only was given" in call("--read-only", "upgrade", str(root)).err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_a_store_whose_data_lies_elsewhere(tmp_path: Path):
    root, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    unpack(STARFISH, root)
    elsewhere.mkdir()
    for name in ("data", "configs"):
        (root / name).rename(elsewhere / name)
    before = on_disk(tmp_path)
    with pytest.raises(StoreOpenError, match=r"none of the \d+ data files lies in it; .* \(--data-uri\)"):
        upgrade(root)
    assert {name: on_disk(tmp_path)[name] for name in before if name.startswith("elsewhere")} == {
        name: found for name, found in before.items() if name.startswith("elsewhere")
    }
    assert version_of(root) == (0, 0)
    upgrade(root, elsewhere)
    assert verify(root, elsewhere).is_sound


def test_a_store_that_another_program_has_open(tmp_path: Path):
    unpack(STARFISH, tmp_path / "store")
    before = on_disk(tmp_path / "store")
    script = "import apsw, sys; c = apsw.Connection(sys.argv[1]); print(c.pragma('user_version'), flush=True); input()"
    with start(["-c", script, str(tmp_path / "store" / "metadata.db")]) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "0\n"
        with pytest.raises(StorageBusyError, match=r"open in another program, .* End that program, then call again"):
            upgrade(tmp_path / "store")
        assert not list((tmp_path / "store").glob("*.lock"))
        holder.communicate("\n")
    assert {name: one[0] for name, one in on_disk(tmp_path / "store").items()} == {
        name: one[0] for name, one in before.items()
    }
    upgrade(tmp_path / "store")


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 60))])
def test_whatever_stands_in_the_tables_of_starfish_is_read_and_upgraded(tmp_path: Path, seed: int):
    root = tmp_path / "store"
    HostileStore(root, seed).make()
    read = asyncio.run(rows_read(root))
    try:
        planned = upgrade(root, dry_run=True)
    except StoreOpenError:
        return  # by chance, all files are missing
    done = upgrade(root)
    assert (done.repairs, done.left) == (planned.repairs, planned.left)
    report = verify(root)
    assert report.is_sound
    assert {one.kind for one in report.findings} <= {"request_config_missing", "job_count_differs", "data_unreferenced"}
    assert all(one.subject.startswith("configs/") for one in report.findings if one.kind == "data_unreferenced")
    assert asyncio.run(rows_read(root)) == read


async def rows_read(root: Path) -> dict[str, Any]:
    """Return what is read of a store before as after its upgrade: all but what depends on files."""
    async with open_storage(root.as_uri(), read_only=True) as storage:
        return {
            run_.master_job_id: (
                (run_.project_id, run_.status, run_.target_record_count, run_.creation_time),
                sorted(job.job_id for job in await storage.list_execution_jobs(run_.master_job_id)),
                sorted(
                    (one.record_uid, one.job_id, one.start_time, one.end_time)
                    for one in await storage.get_records_for_master_job(run_.master_job_id)
                ),
            )
            for run_ in await storage.list_master_jobs()
        }
