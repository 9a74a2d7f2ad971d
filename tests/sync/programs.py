"""Programs that use the synchronous face, in processes of their own: `python -m sync.programs NAME STORE`."""

# ruff: noqa: T201 (what is printed is the result)

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

from starfish_storage import ForkedProcessError, Project, StorageStateError, portal, sync


def project(name: str) -> Project:
    return Project(project_id=name, name=name)


def ends_with_an_open_store(where: str) -> None:
    """End while a store is open, an iterator half read, one thread in a call and another one that may be left alone."""
    store = sync.open_storage(where, durability="process")
    store.__enter__()
    store.save_project(project("of main"))
    waiting, begun, ending = threading.Event(), threading.Event(), threading.Event()

    async def numbers() -> AsyncIterator[int]:
        while True:
            yield 1

    async def forever() -> None:
        begun.set()
        await asyncio.sleep(1000)

    async def after_main() -> None:
        waiting.set()
        await asyncio.to_thread(ending.wait)
        await store.asynchronous.save_project(project("of thread"))

    def last() -> None:
        portal.call(after_main())
        try:
            store.list_projects()
        except StorageStateError as error:
            print(error, flush=True)

    half = portal.iterate(numbers())
    next(half)
    globals()["half"] = half  # as long as the interpreter
    threading.Thread(target=portal.call, args=[forever()], daemon=True).start()
    threading.Thread(target=last).start()
    waiting.wait()
    begun.wait()
    threading._register_atexit(ending.set)  # type: ignore[attr-defined] (called before what the portal has registered)


def is_interrupted_at_its_end(where: str) -> None:
    """End while something takes long to close, and be interrupted then."""

    class Slow:
        async def close(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(1000)

    async def nothing() -> None:
        pass

    slow = Slow()
    globals()["slow"] = slow  # as long as the interpreter
    portal.call(nothing())
    portal.close_at_exit(slow)


def forks(where: str) -> None:
    """Fork while a store is open: the child's portal is its own, and the store is the parent's."""
    with sync.open_storage(where) as store:
        store.save_project(project("p"))
        child = os.fork()
        if not child:
            try:
                store.list_projects()
            except ForkedProcessError:
                with sync.open_storage(where + "-of-child") as other:
                    other.save_project(project("c"))
                    print(f"child has {len(other.list_projects())}", flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(f"parent has {len(store.list_projects())}", flush=True)


def is_interrupted(where: str, number: str, times: str, handles: str = "handled") -> None:
    """Say when two calls are in flight, and wait in them for signals."""
    in_flight = threading.Semaphore(0)

    async def answer(n: int) -> dict[str, Any]:
        in_flight.release()
        if n < 2:
            await asyncio.sleep(1000 if times == "2" else 0.2)
        return {"n": n}

    def interrupt() -> None:
        in_flight.acquire()
        in_flight.acquire()
        for _ in range(int(times)):
            os.kill(os.getpid(), int(number))
            time.sleep(0.1)  # Python calls the handler of a signal once for several that come together

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        sync.generate(
            answer,
            [{"n": n} for n in range(50)],
            store=where,
            project="p",
            master_job_id="r",
            max_concurrency=2,
            handle_signals=handles == "handled",
        )
    finally:
        with sync.open_storage(where) as store:
            print(sorted(store.ledger.count_inputs("r").items()), store.ledger.list_workers("r"), flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
