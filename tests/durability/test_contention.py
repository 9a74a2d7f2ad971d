"""Processes in each other's way: making one store at once, holding its locks, reading what is being rewritten."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from durability import processes, workload
from starfish_storage import LocalStorage

MAKERS = 8

MAKER = """
import asyncio, sys
from durability import workload
from starfish_storage import LocalStorage
async def main(root, name):
    async with LocalStorage("file://" + root) as storage:
        try:
            await workload.prepare(storage)
        except Exception as error:
            assert getattr(error, "code", "") == "already_exists", error
        while await storage.get_execution_job(workload.JOB) is None:
            await asyncio.sleep(0.01)
        await storage.save_record(workload.record(name, 1), workload.payload(name, 1))
print("ready", flush=True)
for line in sys.stdin:
    asyncio.run(main(line.strip(), sys.argv[1]))
    print("ready", flush=True)
"""


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr.read() if process.stderr else ""
    return line.strip()


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


async def make_at_once(directory: Path, stores: int) -> None:
    """Let eight processes make the same new store at the same moment, as often as told."""
    with ExitStack() as stack:
        makers = [stack.enter_context(processes.start(["-c", MAKER, f"r{n}"])) for n in range(MAKERS)]
        for number in range(stores):
            assert [next_line(maker) for maker in makers] == ["ready"] * MAKERS
            for maker in makers:
                tell(maker, str(directory / str(number)))
        assert [next_line(maker) for maker in makers] == ["ready"] * MAKERS
    for number in range(stores):
        async with LocalStorage(f"file://{directory}/{number}") as storage:
            assert await storage.count_records_for_master_job(workload.MASTER) == {"completed": MAKERS}
            await workload.check_whole(storage, directory / str(number))


async def test_eight_processes_make_one_store_at_once(memory_path: Path) -> None:
    await make_at_once(memory_path, 3)


@pytest.mark.slow
async def test_eight_processes_make_many_stores_at_once(memory_path: Path) -> None:
    await make_at_once(memory_path, 50)


HOLDERS = {
    "SQLite's lock": (
        "import apsw, sys; c = apsw.Connection(sys.argv[1] + '/metadata.db'); c.execute('BEGIN IMMEDIATE')\n"
        "print('held', flush=True); sys.stdin.readline(); c.execute('ROLLBACK'); print('let go', flush=True)"
    ),
    "writer.lock": (
        "import fcntl, sys; f = open(sys.argv[1] + '/writer.lock', 'r+b'); fcntl.flock(f, fcntl.LOCK_EX)\n"
        "print('held', flush=True); sys.stdin.readline(); f.close(); print('let go', flush=True)"
    ),
}


@contextmanager
def held(root: Path, lock: str) -> Iterator[subprocess.Popen[str]]:
    """Have another process hold a lock until it is told a line."""
    with processes.start(["-c", HOLDERS[lock], str(root)]) as holder:
        try:
            assert next_line(holder) == "held"
            yield holder
        finally:
            holder.kill()


async def wait_behind(root: Path, lock: str, seconds: float) -> None:
    """Hold a lock from outside so long: writers wait, readers do not, and nobody gets an error."""
    async with LocalStorage(f"file://{root}") as storage:
        await workload.prepare(storage)
        reference = await storage.save_record(workload.record("r1", 1), workload.payload("r1", 1))
        with held(root, lock) as holder:
            waiting = [
                asyncio.create_task(storage.save_record(workload.record(f"w{n}", 1), workload.payload(f"w{n}", 1)))
                for n in range(20)
            ]
            until = asyncio.get_running_loop().time() + seconds
            reads = 0
            while asyncio.get_running_loop().time() < until or reads < 20:
                assert await storage.get_record_data(reference) == workload.payload("r1", 1)
                assert len(await storage.get_records_for_master_job(workload.MASTER)) == 1
                reads += 1
            assert not any(task.done() for task in waiting)
            tell(holder, "let go")
            assert next_line(holder) == "let go"
            assert len(await asyncio.gather(*waiting)) == 20
        assert await storage.count_records_for_master_job(workload.MASTER) == {"completed": 21}


@pytest.mark.parametrize("lock", HOLDERS)
async def test_writers_wait_for_a_foreign_lock_and_readers_do_not(tmp_path: Path, lock: str) -> None:
    await wait_behind(tmp_path, lock, 0)


@pytest.mark.slow
@pytest.mark.parametrize("lock", HOLDERS)
async def test_writers_wait_ten_seconds_for_a_foreign_lock_and_readers_do_not(tmp_path: Path, lock: str) -> None:
    await wait_behind(tmp_path, lock, 10)


READER = """
import asyncio, json, sys, threading
from pathlib import Path
from durability import workload
from starfish_storage import LocalStorage
done = threading.Event()
async def main(root, reference):
    reads = 0
    async with LocalStorage("file://" + root) as storage:
        print("ready", flush=True)
        while not done.is_set() or reads < 100:
            for data in (json.loads(Path(reference).read_bytes()), await storage.get_record_data(reference)):
                assert data == workload.payload("r1", data["version"]), "torn"
            reads += 1
    print(reads, flush=True)
threading.Thread(target=lambda: (sys.stdin.readline(), done.set()), daemon=True).start()
asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


async def rewrite(root: Path, times: int) -> None:
    """Rewrite one record while two readers, one of another process, look at it and at its file."""
    async with LocalStorage(f"file://{root}") as storage:
        await workload.prepare(storage)
        reference = await storage.save_record(workload.record("r1", 0), workload.payload("r1", 0))
        with processes.start(["-c", READER, str(root), reference]) as reader:
            assert next_line(reader) == "ready"
            writing = asyncio.create_task(_write(storage, times))
            reads = 0
            while not writing.done():
                for data in (await storage.get_record_data(reference), json.loads(Path(reference).read_bytes())):
                    assert data == workload.payload("r1", data["version"]), "torn"
                reads += 1
                await asyncio.sleep(0)
            await writing
            tell(reader, "enough")
            assert int(next_line(reader)) >= 100
        assert reads > times
        assert (await storage.get_record_data(reference))["version"] == times


async def _write(storage: LocalStorage, times: int) -> None:
    for version in range(1, times + 1):
        await storage.save_record(workload.record("r1", version), workload.payload("r1", version))


async def test_a_record_that_is_rewritten_is_never_read_torn(memory_path: Path) -> None:
    await rewrite(memory_path, 300)


@pytest.mark.slow
async def test_a_record_that_is_rewritten_often_is_never_read_torn(memory_path: Path) -> None:
    await rewrite(memory_path, 20_000)
