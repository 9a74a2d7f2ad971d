"""Stores, runs, exports and copies through the synchronous face."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from starfish_storage import (
    Context,
    InvalidInputError,
    NotSetUpError,
    Project,
    RunFinishedError,
    StorageClosedError,
    open_storage,
    sync,
)


def upper(text: str) -> dict[str, Any]:
    return {"text": text.upper(), "thread": threading.current_thread() is threading.main_thread()}


def test_a_run_from_beginning_to_export(tmp_path: Path) -> None:
    where = tmp_path / "store"
    run = sync.generate(upper, ["a", "b"], store=where, project="p", master_job_id="r")
    assert run.records == {"completed": 2}
    with pytest.raises(RunFinishedError):
        sync.resume("r", upper, store=str(where))
    with sync.open_storage(where) as store:
        found = [store.get_record_data(str(one.output_ref)) for one in store.iter_records("r")]
        assert sorted(one["text"] for one in found) == ["A", "B"]
        assert not any(one["thread"] for one in found)  # as always, a plain function is called in threads
        assert store.ledger.count_inputs("r") == {"completed": 2}
        assert [len(batch) for batch in store.scan_records("r")] == [2]
        assert [len(batch) for batch in sync.filter_records("r", ["text=A"], store=store)] == [1]
        record = next(store.iter_records("r"))
        store.annotations.add(record.record_uid, "verdict", "accepted", author="me")
        assert store.annotations.count("r").accepted == 1
        assert sync.export(tmp_path / "out.jsonl", store=store, master_job_ids=["r"]).records == 2
        assert sync.retry("r", upper, where=None, store=store).done_before == 2
    sync.archive("r", tmp_path / "r.zip", store=where)
    with sync.open_archive(tmp_path / "r.zip") as archived:
        assert archived.count_records_for_master_job("r") == {"completed": 2}
    assert sync.copy(where, tmp_path / "copy").records == 2
    with sync.open_storage(tmp_path / "copy", read_only=True) as copied:
        assert [project.project_id for project in copied.list_projects()] == ["p"]


def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    store = sync.open_storage(tmp_path / "store")
    with pytest.raises(NotSetUpError):
        store.list_projects()
    with store:
        store.save_project(Project(project_id="p", name="p"))
    with pytest.raises(StorageClosedError):
        store.list_projects()
    with pytest.raises(StorageClosedError):
        sync.generate(upper, ["a"], store=store, project="p")
    with store:  # and again
        assert [project.name for project in store.list_projects()] == ["p"]


async def test_both_faces_at_one_store(tmp_path: Path) -> None:
    """In one process, and in a running loop as in a notebook: each in its own objects, or as two faces of one."""
    async with open_storage(tmp_path) as storage:
        with sync.open_storage(tmp_path) as store:
            store.save_project(Project(project_id="p", name="p"))
            assert await storage.get_project("p") == store.get_project("p")
            await storage.save_project(Project(project_id="q", name="q"))
            assert len(store.list_projects()) == 2
        other = sync.Storage(storage)
        saving = [storage.save_project(Project(project_id=f"r{n}", name="r")) for n in range(20)]
        tasks = [asyncio.create_task(one) for one in saving]
        await asyncio.sleep(0)
        other.save_project(Project(project_id="s", name="s"))  # the loop of the others waits meanwhile
        await asyncio.gather(*tasks)
        assert len(other.list_projects()) == 23
        assert other.asynchronous is storage
        with pytest.raises(InvalidInputError, match=r"given as sync.Storage\(storage\)"):
            sync.cancel("r", store=storage)  # pyright: ignore[reportArgumentType] (on purpose)


def test_a_function_that_is_called_uses_the_face_in_its_thread(tmp_path: Path) -> None:
    with sync.open_storage(tmp_path / "store") as store:

        def plain(n: int) -> dict[str, Any]:
            return {"projects": len(store.list_projects())}

        async def asynchronous(n: int) -> dict[str, Any]:
            return {"projects": len(store.list_projects())}

        assert sync.generate(plain, [{"n": 1}], store=store, project="p").records == {"completed": 1}
        run = sync.generate(asynchronous, [{"n": 1}], store=store, project="p")
        assert run.inputs == {"failed": 1}
        (group,) = store.ledger.list_errors(run.master_job_id)
        assert "would wait for itself" in str(group)


def test_what_it_says_to_call_next_is_of_this_face(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def failing(n: int) -> None:
        raise ValueError(n)

    for _ in range(2):
        sync.generate(failing, [{"n": 1}, {"n": 2}], store=tmp_path / "store", project="p", master_job_id="r", retry=1)
    assert "to do so: sync.retry('r', function, store=...)\n" in capsys.readouterr().err

    def paid(n: int, context: Context) -> dict[str, int]:
        context.log_usage(cost=1)
        return {"n": n}

    run = sync.generate(
        paid, [{"n": n} for n in range(3)], store=tmp_path / "store", project="p", max_cost=1, max_concurrency=1
    )
    assert f"sync.resume({run.master_job_id!r}, function, store=...) continues it" in capsys.readouterr().err


def test_inputs_and_steps_are_as_always(tmp_path: Path) -> None:
    async def inputs() -> AsyncIterator[dict[str, int]]:
        for n in range(3):
            yield {"n": n}

    async def steps(n: int, context: Context) -> dict[str, Any]:
        return {"doubled": await context.once("double", lambda: 2 * n)}

    run = sync.generate(steps, inputs(), store=tmp_path / "store", project="p")
    assert run.records == {"completed": 3}


def test_endpoints_that_are_plain_functions_share_a_store(tmp_path: Path) -> None:
    """As FastAPI calls them, which hands them to Starlette: in a pool of threads, beside a loop that runs."""
    with sync.open_storage(tmp_path / "store") as store:

        def save(request: Request) -> JSONResponse:
            name = request.path_params["name"]
            store.save_project(Project(project_id=name, name=name))
            return JSONResponse(len(store.list_projects()))

        with TestClient(Starlette(routes=[Route("/{name}", save)])) as client:
            assert [client.get(f"/p{n}").json() for n in range(3)] == [1, 2, 3]
