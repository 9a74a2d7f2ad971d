"""Inputs from anything that can be iterated over, however slow, long or broken it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from generation.runs import NEVER, RUN, Calls, data, endless, numbers, start, statuses
from starfish_storage import InvalidInputError
from starfish_storage.codec import encode
from starfish_storage.errors import RunIncompleteError
from starfish_storage.generation import Context, read_json_lines, resume
from starfish_storage.interface import Storage


class WithoutIterator:
    """A data set like those of PyTorch: it never raises `IndexError`."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: int) -> dict[str, Any]:
        return {"n": place}


class ProgressBar:
    """Wraps a generator and knows its length: reading it twice gives nothing."""

    def __init__(self) -> None:
        self._items = iter(numbers(3))

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield from self._items


async def asynchronous(count: int = 3) -> AsyncIterator[dict[str, Any]]:
    for number in range(count):
        yield {"n": number}


class Asynchronous:
    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return asynchronous()


@pytest.mark.parametrize(
    "inputs",
    [
        *(numbers(3), tuple(numbers(3)), (one for one in numbers(3)), iter(numbers(3)), map(dict, numbers(3))),
        *(
            WithoutIterator(),
            ProgressBar(),
            asynchronous(),
            Asynchronous(),
            {one["n"]: one for one in numbers(3)}.values(),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_any_iterable(storage: Storage, inputs: Any) -> None:
    run = await start(storage, Calls(), inputs)
    assert (run.status, run.inputs) == ("completed", {"completed": 3})
    assert await data(storage) == numbers(3)
    state = await storage.ledger.get_run(RUN)
    assert state is not None
    assert (state.registered, state.inputs_complete) == (3, True)


@pytest.mark.parametrize("inputs", [5, None, object()], ids=["number", "none", "object"])
@pytest.mark.parametrize("on_bad_input", ["stop", "skip"])
async def test_what_cannot_be_iterated_over(storage: Storage, inputs: Any, on_bad_input: str) -> None:
    with pytest.raises(InvalidInputError, match="inputs must be dicts or texts in a list"):
        await start(storage, Calls(), inputs if inputs is not None else False, on_bad_input=on_bad_input)
    assert await storage.get_master_job(RUN) is None


async def test_thousands_in_every_kind_of_source(storage: Storage) -> None:
    kinds = {"list": numbers(2500), "generator": iter(numbers(2500)), "asynchronous": asynchronous(2500)}
    for name, inputs in kinds.items():
        run = await start(storage, Calls(), inputs, master_job_id=name, max_concurrency=100)
        assert run.inputs == {"completed": 2500}


async def test_an_input_is_worked_on_before_the_next_one_arrives(storage: Storage) -> None:
    done = threading.Semaphore(0)

    async def answer(n: int) -> dict[str, Any]:
        done.release()
        return {"n": n}

    def slow() -> Iterator[dict[str, Any]]:
        for number in range(3):
            yield {"n": number}
            assert done.acquire(timeout=60)

    async def slow_too() -> AsyncIterator[dict[str, Any]]:
        for number in range(3):
            yield {"n": number}
            while not done.acquire(blocking=False):
                await asyncio.sleep(0)

    assert (await start(storage, answer, slow(), master_job_id="a")).inputs == {"completed": 3}
    assert (await start(storage, answer, slow_too(), master_job_id="b")).inputs == {"completed": 3}


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
async def test_an_endless_source_is_never_far_ahead(storage: Storage, kind: str) -> None:
    read = 0
    most_pending = 0
    closed: list[bool] = []

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal read
        try:
            for one in endless():
                read += 1
                yield one
        finally:
            closed.append(True)

    async def counted_too() -> AsyncIterator[dict[str, Any]]:
        nonlocal read
        try:
            for one in endless():
                read += 1
                yield one
        finally:
            closed.append(True)

    async def answer(n: int, context: Context) -> dict[str, Any]:
        nonlocal most_pending
        if n % 50 == 0:
            most_pending = max(most_pending, (await statuses(storage))[1].get("pending", 0))
        context.log_usage(cost=1)
        return {"n": n}

    inputs = counted() if kind == "plain" else counted_too()
    run = await start(storage, answer, inputs, max_concurrency=50, max_cost=300, retry=NEVER)
    assert run.status == "cancelled"
    assert 300 <= run.cost < 360
    assert most_pending < 16_000
    assert read < 17_000
    if kind == "asynchronous":
        assert closed == [True]
    with pytest.raises(RunIncompleteError):
        await resume(storage, RUN, answer, max_cost=1000, progress="quiet")


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
async def test_a_source_that_raises_ends_the_run_and_what_came_before_is_stored(storage: Storage, kind: str) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from numbers(3)
        raise OSError("the connection is gone")

    async def broken_too() -> AsyncIterator[dict[str, Any]]:
        for one in numbers(3):
            yield one
        raise OSError("the connection is gone")

    with pytest.raises(OSError, match="the connection is gone"):
        await start(storage, Calls(), broken() if kind == "plain" else broken_too())
    status, inputs = await statuses(storage)
    assert (status, sum(inputs.values())) == ("cancelled", 3)
    job = await storage.get_master_job(RUN)
    assert job is not None
    assert (job.summary or {})["stop_reason"] == "OSError"
    with pytest.raises(RunIncompleteError):
        await resume(storage, RUN, Calls(), progress="quiet")
    run = await resume(storage, RUN, Calls(), inputs=iter(numbers(5)), progress="quiet")
    assert (run.status, run.inputs) == ("completed", {"completed": 5})


async def test_a_source_that_is_cancelled_or_ends_the_program(storage: Storage) -> None:
    async def cancelled() -> AsyncIterator[dict[str, Any]]:
        yield {"n": 0}
        raise asyncio.CancelledError

    def leaves() -> Iterator[dict[str, Any]]:
        yield {"n": 0}
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="the inputs awaited something that was cancelled"):
        await start(storage, Calls(), cancelled(), master_job_id="a")
    with pytest.raises(SystemExit):
        await start(storage, Calls(), leaves(), master_job_id="b")


@pytest.mark.parametrize(
    "bad", [5, None, "text", [1], {"n": {1}}, {"n": float("nan")}, {"n": {True: 2, None: 3}}, {"m": 1}]
)
async def test_a_bad_input_in_a_list_starts_nothing_or_is_skipped(
    storage: Storage, bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = [{"n": 0}, bad, {"n": 2}]

    async def answer(n: int) -> dict[str, Any]:
        return {"n": n}

    with pytest.raises(InvalidInputError, match=r"input 1.*Nothing was started.*--on-bad-input skip"):
        await start(storage, answer, inputs)
    assert await storage.get_master_job(RUN) is None
    assert await storage.list_projects() == []
    run = await start(storage, answer, inputs, on_bad_input="skip")
    assert run.inputs == {"completed": 2}
    assert "skipped: input 1" in caplog.text
    jobs = await storage.list_execution_jobs(RUN)
    assert len(jobs) == 2


async def test_a_bad_input_of_a_generator_stops_the_run_or_is_skipped(storage: Storage) -> None:
    bad: list[Any] = [{"n": 0}, 5, {"n": 2}]
    with pytest.raises(InvalidInputError, match=r"input 1 must be a JSON object.* resume the run"):
        await start(storage, Calls(), iter(bad), master_job_id="a")
    assert (await storage.ledger.count_inputs("a")).get("running") is None
    run = await start(storage, Calls(), iter(bad), on_bad_input="skip", master_job_id="b")
    assert (run.status, run.inputs) == ("completed", {"completed": 2})
    with pytest.raises(InvalidInputError, match="must be a JSON object"):
        await resume(storage, "a", Calls(), inputs=iter(bad), progress="quiet")
    run = await resume(storage, "a", Calls(), inputs=iter(bad), on_bad_input="skip", progress="quiet")
    assert (run.status, run.inputs) == ("completed", {"completed": 2})


async def test_json_lines_with_broken_lines(storage: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "inputs.jsonl"
    path.write_bytes(b'{"n": 0}\n\n{"n": \n{"n": 1}\n[1]\n{"n": NaN}\n{"n": "\xff"}\n{"n": 2}')
    with pytest.raises(InvalidInputError, match=r"line 3 of '.*inputs.jsonl' is not JSON.*Nothing was started"):
        read_json_lines(str(path))
    lines = read_json_lines(str(path), "skip")
    with pytest.raises(InvalidInputError, match="line 3 of"):
        await start(storage, Calls(), lines)
    assert await storage.get_master_job(RUN) is None
    run = await start(storage, Calls(), lines, on_bad_input="skip")
    assert run.inputs == {"completed": 3}
    for line, reason in ((3, "is not JSON"), (5, "is not a JSON object"), (7, "cannot be read: not UTF-8")):
        assert f"skipped: line {line} of '{path}' {reason}" in caplog.text
    assert "skipped: input 4: " in caplog.text  # it holds NaN


async def test_a_json_lines_file_is_found_again_by_resume(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inputs.jsonl").write_text('{"n": 0}\n{"n": 1}\n')
    monkeypatch.chdir(tmp_path)
    full = storage.ledger.complete_inputs

    async def killed(_id: str) -> int:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(storage.ledger, "complete_inputs", killed)
        with pytest.raises(SystemExit):
            await start(storage, Calls(), read_json_lines("inputs.jsonl"))
    assert storage.ledger.complete_inputs == full
    monkeypatch.chdir("/")
    assert (await resume(storage, RUN, Calls(), progress="quiet")).inputs == {"completed": 2}


async def test_secrets_in_inputs_are_refused_with_their_place(storage: Storage) -> None:
    secret = "sk-" + "a1B2" * 12
    with pytest.raises(InvalidInputError, match=r"^input 0 contains a secret at 'api_key'\.") as raised:
        await start(storage, lambda row: row, [{"api_key": secret}])
    assert secret not in str(raised.value)
    assert await storage.get_master_job(RUN) is None


async def test_a_name_alone_makes_no_secret_and_a_run_may_allow_them(storage: Storage) -> None:
    """Data sets have fields that are called so; what they hold decides."""
    plain = {"token": "un", "password": "correct horse battery staple", "auth": {"user": "Ada Lovelace"}, "cookies": 3}
    run = await start(storage, lambda row: row, [plain], master_job_id="plain")
    assert run.status == "completed"
    given = [{"token": "sk-" + "a1B2" * 12}, {"n": 1}]
    run = await start(storage, lambda row: row, given, allow_secrets=True, max_cost=0, master_job_id="with a key")
    jobs = await storage.list_execution_jobs("with a key")
    assert {"token": "sk-" + "a1B2" * 12} in [job.run_config for job in jobs]
    run = await resume(storage, "with a key", lambda row: row, inputs=given, max_cost=9, progress="quiet")
    assert run.inputs == {"completed": 2}, "the run was started so"


async def test_an_input_is_encoded_once(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []

    def counted(value: object, what: str) -> bytes:
        encoded.append(what)
        return encode(value, what)

    monkeypatch.setattr("starfish_storage.runs.inputs.encode", counted)
    await start(storage, Calls(), iter(numbers(3)))
    assert sorted(encoded) == ["input 0", "input 1", "input 2"]
