"""Cancelled calls, closing in the middle of calls, forks, and several event loops: defined, with PostgreSQL as well."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from durability import processes, workload
from remote.stores import check_files, check_itself, opened, rows, schema_of, until
from servers.postgres import PostgresServer
from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.errors import StorageClosedError
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.postgres.puts import DataPuts
from starfish_storage.storage.postgres import PostgresStorage
from starfish_storage.testing.samples import at

Call = Callable[[PostgresStorage, str], Awaitable[Any]]


def pairs(name: str) -> list[Any]:
    return [(workload.record(f"{name}-{n}", 1), workload.payload(f"{name}-{n}", 1)) for n in range(3)]


CALLS: dict[str, Call] = {
    "save_project": lambda s, name: s.save_project(workload.beginning()[0].model_copy(update={"project_id": name})),
    "save_request_config": lambda s, name: s.save_request_config(s.generate_request_config_path(name), {"n": name}),
    "log_master_job_start": lambda s, name: s.log_master_job_start(workload.beginning(name)[2](s)),
    "log_master_job_end": lambda s, name: s.log_master_job_end(workload.MASTER, "completed", {}, at(1), at(2)),
    "update_master_job_status": lambda s, name: s.update_master_job_status(workload.MASTER, "running", at(1)),
    "log_execution_job_start": lambda s, name: s.log_execution_job_start(workload.beginning(job=name)[3]),
    "log_execution_job_end": lambda s, name: s.log_execution_job_end(workload.JOB, "completed", {}, at(1), at(2)),
    "log_record_metadata": lambda s, name: s.log_record_metadata(workload.record(name, 1)),
    "save_record_data": lambda s, name: s.save_record_data(name, workload.MASTER, workload.JOB, {"uid": name}),
    "save_record": lambda s, name: s.save_record(workload.record(name, 1), workload.payload(name, 1)),
    "overwrite": lambda s, name: s.save_record(workload.record("r", 2), workload.payload("r", 2)),
    "save_records": lambda s, name: s.save_records(pairs(name)),
    "delete_master_job": lambda s, name: s.delete_master_job(f"doomed-{name}"),
    "delete_project": lambda s, name: s.delete_project(f"doomed-{name}", cascade=True),
}


@pytest.fixture
async def storage(postgres_uri: str, memory_path: Path) -> Any:
    async with opened(postgres_uri, memory_path) as storage:
        await workload.prepare(storage)
        await storage.save_record(workload.record("r", 1), workload.payload("r", 1))
        yield storage


async def doom(storage: PostgresStorage, call: str, name: str) -> None:
    """Make what a deleting call is to delete."""
    if call.startswith("delete"):
        doomed = f"doomed-{name}"
        project, _, master_job, job = workload.beginning(doomed, f"{doomed}-job")
        await storage.save_project(project.model_copy(update={"project_id": doomed}))
        await storage.log_master_job_start(master_job(storage).model_copy(update={"project_id": doomed}))
        await storage.log_execution_job_start(job)
        record = workload.record(doomed, 1, doomed, f"{doomed}-job")
        await storage.save_record(record, workload.payload(doomed, 1))


async def cancelled_after(ticks: int, work: Awaitable[Any]) -> bool:
    """Cancel a call after so many turns of the event loop; return whether it was still under way."""
    task = asyncio.ensure_future(work)
    for _ in range(ticks):
        await asyncio.sleep(0)
    running = not task.done()
    task.cancel()
    outcome = (await asyncio.gather(task, return_exceptions=True))[0]
    assert outcome is None or isinstance(outcome, (str, list, asyncio.CancelledError)), outcome
    return running


async def check(storage: PostgresStorage, server: PostgresServer, uri: str, root: Path) -> None:
    """What was cancelled took effect whole or not at all, and the store goes on."""
    await workload.goes_on(storage)
    await workload.check_whole(storage, root)
    check_itself(server, uri)
    check_files(root, server, uri)
    batches = (
        "SELECT 1 FROM {0}.records WHERE record_uid ~ '-[0-2]$' GROUP BY left(record_uid, -2) HAVING count(*) <> 3"
    )
    assert rows(server, uri, batches) == [], "half a batch"
    lonely = (
        "SELECT 1 FROM {0}.master_jobs WHERE master_job_id LIKE 'doomed%' AND NOT EXISTS (SELECT 1 FROM {0}.records "
    )
    assert rows(server, uri, lonely + "WHERE records.master_job_id = master_jobs.master_job_id)") == []


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_is_cancelled_after_any_number_of_turns(
    storage: PostgresStorage, postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, call: str
) -> None:
    ticks, running = 0, True
    while running and ticks < 4000:
        await doom(storage, call, f"t{ticks}")
        running = await cancelled_after(ticks, CALLS[call](storage, f"t{ticks}"))
        ticks = ticks + 1 if ticks < 4 else ticks * 2  # from then on it waits for the writer, turn after turn
    await check(storage, postgres_server, postgres_uri, memory_path)


async def test_calls_are_cancelled_in_the_middle_of_their_transaction(
    storage: PostgresStorage, postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    keeper = await asyncpg.connect(postgres_uri.partition("?")[0])
    tables = ", ".join(f'"{schema_of(postgres_uri)}".{table}' for table in ("projects", "master_jobs", "records"))
    for call in CALLS:
        await doom(storage, call, call)
    await keeper.execute(f"BEGIN; LOCK TABLE {tables}")
    tasks = [asyncio.ensure_future(CALLS[call](storage, call)) for call in CALLS]
    query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    await asyncio.to_thread(until, postgres_server, query, "the group to wait")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await keeper.close()
    await check(storage, postgres_server, postgres_uri, memory_path)


async def test_closing_finishes_two_hundred_calls(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    async with opened(postgres_uri, memory_path) as storage:
        await workload.prepare(storage)
        names = [f"r{number}" for number in range(200)]
        calls = [asyncio.ensure_future(CALLS["save_record"](storage, name)) for name in names]
        await asyncio.sleep(0)
        await storage.close()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        with pytest.raises(StorageClosedError):
            await CALLS["save_record"](storage, "late")
    stored = {row[0] for row in rows(postgres_server, postgres_uri, "SELECT record_uid FROM {0}.records")}
    assert stored == {name for name, outcome in zip(names, outcomes, strict=True) if isinstance(outcome, str)}
    assert len(stored) == 200
    check_files(memory_path, postgres_server, postgres_uri)


async def test_threads_that_save_while_another_closes_are_all_told(postgres_uri: str, memory_path: Path) -> None:
    storage = opened(postgres_uri, memory_path)
    await storage.setup()
    await workload.prepare(storage)
    saved: list[str] = []
    begun = threading.Event()

    async def save_for_ever(name: str) -> None:
        number = 0
        while True:
            await CALLS["save_record"](storage, f"{name}-{number}-x")
            saved.append(f"{name}-{number}-x")
            begun.set()
            number += 1

    def run(name: str) -> None:
        with pytest.raises(StorageClosedError):
            asyncio.run(save_for_ever(name))

    threads = [asyncio.create_task(asyncio.to_thread(run, f"t{number}")) for number in range(4)]
    await asyncio.to_thread(begun.wait, 30)
    await storage.close()
    await asyncio.wait_for(asyncio.gather(*threads), 30)
    await storage.setup()
    for uid in saved:
        assert await storage.get_record_metadata(uid) is not None
    await storage.close()


def test_what_comes_after_the_last_put_is_refused(tmp_path: Path) -> None:
    """A call of another thread that found the storage open a moment ago: nobody would take it up any more."""
    puts = DataPuts(FileSystemDataHandler(str(tmp_path)), lambda _: None)
    puts.start()
    puts.stop()
    with pytest.raises(StorageClosedError):
        puts.put(WriteOperation())


async def test_two_event_loops_in_two_threads(
    storage: PostgresStorage, postgres_server: PostgresServer, postgres_uri: str
) -> None:
    async def work(name: str) -> None:
        await asyncio.gather(*(CALLS["save_record"](storage, f"{name}{number}-x") for number in range(50)))
        assert len(await storage.get_records_for_master_job(workload.MASTER)) > 50

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, work(name)) for name in "ab"), work("c"))
    assert rows(postgres_server, postgres_uri, "SELECT count(*) FROM {0}.records") == [["151"]]


FORKING = """
import asyncio, os, sys
from pathlib import Path
from durability import workload
from remote.stores import opened
from starfish_storage.errors import ForkedProcessError
storage = opened(sys.argv[1], Path(sys.argv[2]))
async def before():
    await storage.setup()
    await workload.prepare(storage)
    await storage.get_project("project")
async def in_child():
    for call in (storage.get_project("project"), storage.save_project(workload.beginning()[0]), storage.setup()):
        try:
            await call
        except ForkedProcessError:
            continue
        sys.exit("it was not refused")
    await storage.close()
    async with opened(sys.argv[1], Path(sys.argv[2])) as own:
        await own.save_record(workload.record("of-child", 1), workload.payload("of-child", 1))
async def after():
    await storage.save_record(workload.record("of-parent", 1), workload.payload("of-parent", 1))
    print([one.record_uid for one in await storage.list_record_metadata("master", "job")])
    await storage.close()
loop = asyncio.new_event_loop()
loop.run_until_complete(before())
print("ready", flush=True)
sys.stdin.readline()
if os.fork() == 0:
    asyncio.run(in_child())
    sys.exit(0)  # as a program ends, with all that is torn down then
assert os.wait()[1] == 0
loop.run_until_complete(after())
"""


def test_a_forked_child_is_refused_and_harms_no_connection(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    query = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'starfish%' ORDER BY 1"
    with processes.start(["-W", "default", "-c", FORKING, postgres_uri, str(memory_path)]) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        before = postgres_server.execute(query)
        assert len(before) == 2
        watched = asyncio.run(watch(postgres_uri, process, before))
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "['of-parent', 'of-child']\n"), err
    assert watched
    log = postgres_server.log.read_text()
    assert not [line for line in log.splitlines() if "unexpected EOF" in line and any(pid in line for (pid,) in before)]


async def watch(uri: str, process: Any, before: list[list[str]]) -> bool:
    """Let the process go on; return whether the sessions that it had were there all the time."""
    connection = await asyncpg.connect(uri.partition("?")[0])
    process.stdin.write("\n")
    process.stdin.flush()
    seen = f"SELECT 1 FROM pg_tables WHERE schemaname = '{schema_of(uri)}'"
    assert await connection.fetchval(seen) == 1
    found = f'SELECT count(*) FROM "{schema_of(uri)}".records'
    while not await connection.fetchval(found):
        pass  # until the child has written
    pids = await connection.fetch("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'starfish%'")
    await connection.close()
    return {row[0] for row in before} <= {str(row["pid"]) for row in pids}
