"""Cancellation, closing with calls in flight, several loops, forks, forgotten closes, and several processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from durability import processes, workload
from durability.faults import FaultyStorage, Steps
from starfish_storage import ForkedProcessError, LocalStorage, StorageClosedError
from starfish_storage.maintenance import verify

CONCURRENT = 200


async def opened(root: Path, layout: str | None = None) -> LocalStorage:
    storage = workload.opened(root, layout)
    await storage.setup()
    await workload.prepare(storage)
    return storage


async def save(storage: LocalStorage | FaultyStorage, uid: str, version: int = 1) -> str:
    return await storage.save_record(workload.record(uid, version), workload.payload(uid, version))


def probe(root: Path) -> None:
    """Write from outside: nothing may hold SQLite's lock when no call is under way."""
    script = (
        "import apsw, sys; c = apsw.Connection(sys.argv[1]); c.set_busy_timeout(2000)\n"
        "c.execute('BEGIN IMMEDIATE'); c.execute('ROLLBACK'); print('free')"
    )
    status, out, errors = processes.run(["-c", script, str(root / "metadata.db")])
    assert (status, out.strip()) == (0, "free"), errors


async def test_a_cancelled_call_is_whole_or_absent_and_locks_nothing(tmp_path: Path) -> None:
    storage = await opened(tmp_path)
    for ticks in range(12):
        task = asyncio.create_task(save(storage, f"c{ticks}"))
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await save(storage, "afterwards")
    for ticks in range(12):
        if (found := await storage.get_record_metadata(f"c{ticks}")) is not None:
            assert found.output_ref is not None
            assert await storage.get_record_data(found.output_ref) == workload.payload(f"c{ticks}", 1)
    probe(tmp_path)
    await storage.close()


async def test_a_call_that_was_handed_in_is_carried_out_though_nobody_waits(tmp_path: Path) -> None:
    steps = Steps()
    reached, go_on = threading.Event(), threading.Event()
    storage = FaultyStorage(tmp_path / "store", steps)
    await storage.setup()
    await workload.prepare(storage)

    def before(_number: int, step: str) -> None:
        if step.startswith("sync metadata.db-wal"):
            reached.set()
            go_on.wait(30)

    steps.before = before
    task = asyncio.create_task(save(storage, "r1"))
    await asyncio.to_thread(reached.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await save(storage, "r2")
    assert await storage.get_record_metadata("r1") is not None
    await storage.close()


async def test_close_finishes_what_was_accepted(tmp_path: Path) -> None:
    storage = await opened(tmp_path)
    calls = [asyncio.create_task(save(storage, f"r{n}")) for n in range(CONCURRENT)]
    await asyncio.sleep(0)  # every call has been handed in
    await storage.close()
    references = await asyncio.gather(*calls)
    assert len(set(references)) == CONCURRENT
    with pytest.raises(StorageClosedError, match=r"setup\(\)"):
        await save(storage, "late")
    async with LocalStorage(f"file://{tmp_path}") as reopened:
        assert await reopened.count_records_for_master_job(workload.MASTER) == {"completed": CONCURRENT}


async def test_closing_from_elsewhere_finishes_what_a_loop_had_not_handed_over(tmp_path: Path) -> None:
    """Another thread closes the storage between the call and the loop's next turn, when calls are handed over."""
    storage = await opened(tmp_path)
    calls = [asyncio.create_task(save(storage, f"r{n}")) for n in range(CONCURRENT)]
    await asyncio.sleep(0)  # every call is gathered; the loop hands them over in its next turn
    storage.metadata._session._close()  # type: ignore[attr-defined]  # what close() runs in a thread
    assert len(set(await asyncio.wait_for(asyncio.gather(*calls), 30))) == CONCURRENT
    await storage.close()


async def test_close_and_setup_are_idempotent_and_may_race(tmp_path: Path) -> None:
    storage = await opened(tmp_path)
    await asyncio.gather(storage.close(), storage.close(), storage.close())
    await storage.close()
    await asyncio.gather(storage.setup(), storage.setup(), storage.setup())
    await save(storage, "r1")
    await storage.close()


def test_two_event_loops_use_one_storage(tmp_path: Path) -> None:
    storage = asyncio.run(opened(tmp_path))

    def work(name: str) -> None:
        async def many() -> None:
            await asyncio.gather(*(save(storage, f"{name}-{n}") for n in range(100)))
            assert await storage.get_record_metadata(f"{name}-99") is not None
            assert len(await storage.get_records_for_master_job(workload.MASTER, limit=50)) == 50

        asyncio.run(many())

    threads = [threading.Thread(target=work, args=(f"loop{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def finish() -> None:
        assert await storage.count_records_for_master_job(workload.MASTER) == {"completed": 300}
        await storage.close()

    asyncio.run(finish())


def test_a_loop_that_closes_with_calls_in_flight_harms_nobody(tmp_path: Path) -> None:
    storage = asyncio.run(opened(tmp_path))

    async def abandon() -> None:
        for number in range(50):
            asyncio.get_running_loop().create_task(save(storage, f"a{number}"))
        await asyncio.sleep(0)

    asyncio.run(abandon())  # cancels them, then closes the loop

    async def go_on() -> None:
        await workload.goes_on(storage)
        await workload.check_whole(storage, tmp_path)
        await storage.close()

    asyncio.run(go_on())


async def read_only(root: Path) -> None:
    async with LocalStorage(f"file://{root}", read_only=True) as storage:
        await storage.list_projects()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # forking with threads is what is tested
async def test_a_forked_child_is_refused_and_the_parent_goes_on(tmp_path: Path) -> None:
    storage = await opened(tmp_path, "packed")  # whose pack stays the parent's
    await save(storage, "before")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that hangs is the failure to be seen
        refused: list[str] = []
        for call in (
            lambda: storage.save_record(workload.record("child", 1), {}),
            lambda: storage.get_record_metadata("before"),
            storage.setup,
            LocalStorage(f"file://{tmp_path}").setup,  # SQLite would take the parent's locks for its own
            lambda: read_only(tmp_path),
            LocalStorage(f"file://{tmp_path}/another").setup,
        ):
            try:
                asyncio.run(call())
            except ForkedProcessError as error:
                refused.append(error.code)
            except BaseException as error:
                refused.append(repr(error))
            else:
                refused.append("open")
        os.write(writing, ",".join(refused).encode())
        os._exit(0)
    os.close(writing)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reading, 1000).decode() == ",".join(["forked_process"] * 5 + ["open"])
    os.close(reading)
    await save(storage, "after")
    probe(tmp_path)
    await storage.close()
    assert len(list(tmp_path.glob("data/packs/*"))) == 1
    child = os.fork()  # nothing is open now
    if child == 0:
        signal.alarm(20)
        try:
            asyncio.run(LocalStorage(f"file://{tmp_path}").setup())
        finally:
            os._exit(sys.exc_info()[0] is not None)
    assert os.waitpid(child, 0)[1] == 0
    async with LocalStorage(f"file://{tmp_path}") as reopened:
        assert await reopened.count_records_for_master_job(workload.MASTER) == {"completed": 2}
        await workload.check_whole(reopened, tmp_path)


FORGETFUL = """
import asyncio, sys
from durability import workload
from starfish_storage import LocalStorage
async def main():
    storage = LocalStorage("file://" + sys.argv[1])
    await storage.setup()
    await workload.prepare(storage)
    for number in range(20):
        await storage.save_record(workload.record(f"r{number}", 1), workload.payload(f"r{number}", 1))
    print("acknowledged", flush=True)
asyncio.run(main())
"""


async def test_a_script_that_never_closes_ends_and_loses_nothing(tmp_path: Path) -> None:
    with processes.start(["-c", FORGETFUL, str(tmp_path)]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "acknowledged\n"
        assert process.wait(5) == 0, "it does not end within 5 s of its last acknowledgement"
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert len(list(tmp_path.glob("data/*/*.json"))) == 20
    assert not (tmp_path / "metadata.db-wal").exists(), "the store was not closed at the end of the program"
    async with LocalStorage(f"file://{tmp_path}") as storage:
        assert await storage.count_records_for_master_job(workload.MASTER) == {"completed": 20}


SHARED = """
import asyncio, sys
from durability import workload
from starfish_storage import LocalStorage
async def main(root, layout, name, records):
    async with LocalStorage("file://" + root, layout=layout) as storage:
        try:
            await workload.prepare(storage)
        except Exception as error:
            assert getattr(error, "code", "") == "already_exists", error
            while await storage.get_execution_job(workload.JOB) is None:
                await asyncio.sleep(0.01)
        async def work(worker):
            for number in range(records // 10):
                uid = f"{name}-{worker}-{number}"
                await storage.save_record(workload.record(uid, 1), workload.payload(uid, 1))
                await storage.save_record(workload.record("shared", number), workload.payload("shared", number))
                found = await storage.get_record_metadata(uid)
                assert await storage.get_record_data(found.output_ref) == workload.payload(uid, 1)
                shared = await storage.get_record_data(storage_ref)
                assert shared == workload.payload("shared", shared["version"])
        storage_ref = await storage.save_record(workload.record("shared", 0), workload.payload("shared", 0))
        await asyncio.gather(*(work(worker) for worker in range(10)))
asyncio.run(main(*sys.argv[1:4], int(sys.argv[4])))
"""


async def share(root: Path, layout: str, number: int, records: int) -> None:
    started = [processes.start(["-c", SHARED, str(root), layout, f"p{n}", str(records)]) for n in range(number)]
    for process in started:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    async with LocalStorage(f"file://{root}") as storage:
        counts = await storage.count_records_for_master_job(workload.MASTER)
        assert counts == {"completed": number * records + 1}
        found = await storage.get_record_metadata("shared")
        assert found is not None
        assert found.output_ref is not None
        data = await storage.get_record_data(found.output_ref)
        assert found.error_message == f"v{data['version']}", "row and data of two writers were mixed"
        await workload.check_whole(storage, root)
    report = verify(root.as_uri())
    assert report.is_sound, str(report)


@pytest.mark.parametrize(("layout", "number"), [("files", 2), ("packed", 3)])
async def test_several_processes_make_and_use_one_store(tmp_path: Path, layout: str, number: int) -> None:
    await share(tmp_path, layout, number, 50)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["files", "packed"])
async def test_many_processes_make_and_use_one_store(tmp_path: Path, layout: str) -> None:
    await share(tmp_path, layout, 8, 500)


KILLED_BEFORE_RENAME = """
import asyncio, os, signal, sys
from pathlib import Path
from durability import workload
from durability.faults import FaultyStorage, Steps
def before(number, step):
    if step.startswith("rename"):
        os.kill(os.getpid(), signal.SIGKILL)
async def main():
    steps = Steps()
    storage = FaultyStorage(Path(sys.argv[1]), steps)
    await storage.setup()
    steps.before = before
    await storage.save_record(workload.record("r1", 2), workload.payload("r1", 2))
asyncio.run(main())
"""


async def test_another_writer_finishes_what_a_killed_one_had_committed(tmp_path: Path) -> None:
    """Killed between its commit and the renaming of its file, while this process has the store open."""
    storage = await opened(tmp_path)
    reference = await save(storage, "r1", 1)
    status, _, errors = processes.run(["-c", KILLED_BEFORE_RENAME, str(tmp_path)])
    assert status == -9, errors
    new = await save(storage, "r2", 1)
    assert await storage.get_record_data(reference) == workload.payload("r1", 2)
    assert await storage.get_record_data(new) == workload.payload("r2", 1)
    await save(storage, "r1", 3)
    await storage.close()
    async with LocalStorage(f"file://{tmp_path}") as reopened:
        assert await reopened.get_record_data(reference) == workload.payload("r1", 3)


async def test_a_reader_finds_committed_data_whose_file_is_not_there_yet(tmp_path: Path) -> None:
    storage = await opened(tmp_path)
    await save(storage, "r1", 1)
    await storage.close()
    await storage.setup()  # with nothing left to sync: its own checkpoint would put the file in place
    status, _, errors = processes.run(["-c", KILLED_BEFORE_RENAME.replace("r1", "r3"), str(tmp_path)])
    assert status == -9, errors
    found = await storage.get_record_metadata("r3")
    assert found is not None
    assert found.output_ref is not None
    assert not Path(found.output_ref).exists()
    assert await storage.get_record_data(found.output_ref) == workload.payload("r3", 2)
    assert await storage.get_records_data([found.output_ref]) == [workload.payload("r3", 2)]
    await storage.close()
