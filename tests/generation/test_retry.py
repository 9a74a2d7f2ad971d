"""Running inputs again: those that are meant, all of what they had replaced, and the counts right."""

from __future__ import annotations

from typing import Any

import pytest

from generation.runs import NEVER, RUN, Calls, attempts, data, job_id, numbers, start, statuses
from starfish_storage import InvalidInputError
from starfish_storage.errors import InvalidStatusError
from starfish_storage.generation import Context, Filtered, Where, retry
from starfish_storage.interface import Storage


class OverloadedError(Exception):
    pass


async def mixed(n: int, context: Context) -> Any:
    """0 and 1 work, 2 is filtered, 3 and 4 fail, each differently, 5 does not fit the schema."""
    context.log_usage(cost=1)
    if n == 2:
        return Filtered({"n": n}, "too short")
    if n == 3:
        raise OverloadedError("Too MANY requests")
    if n == 4:
        raise ValueError("cannot be parsed")
    return {"n": str(n) if n == 5 else n}


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


async def started(storage: Storage) -> None:
    run = await start(storage, mixed, numbers(6), retry=NEVER, output_schema=SCHEMA)
    assert run.inputs == {"completed": 2, "filtered": 1, "failed": 3}
    assert run.status == "completed_with_errors"


@pytest.mark.parametrize(
    ("where", "meant"),
    [
        (None, {3, 4, 5}),
        (Where(), {3, 4, 5}),
        (Where(statuses=["filtered"]), {2}),
        (Where(statuses=["filtered", "failed"]), {2, 3, 4, 5}),
        (Where(statuses=["completed"]), {0, 1}),
        (Where(error_type="OverloadedError"), {3}),
        (Where(error_text="too many"), {3}),
        (Where(error_text="output_schema"), {5}),
        (Where(error_text="parsed", error_type="OverloadedError"), set()),
        (Where(error_text="nowhere"), set()),
        (Where(job_ids=[]), set()),
    ],
)
async def test_what_is_run_again(storage: Storage, where: Where | None, meant: set[int]) -> None:
    await started(storage)
    calls = Calls()
    run = await retry(storage, RUN, calls, where=where, progress="quiet")
    assert set(calls.made) == meant
    assert len(calls.made) == len(meant)
    assert run.attempts == 6 + len(meant)
    assert run.cost == 6
    expected = "completed" if {3, 4, 5} <= meant else "completed_with_errors"
    assert run.status == expected
    job = await storage.get_master_job(RUN)
    assert job is not None
    assert job.status == expected
    assert job.completed_record_count == len({0, 1} | meant) == run.records["completed"]
    assert sum(run.records.values()) == 6


async def two_outputs(n: int) -> list[dict[str, Any]]:
    return [{"n": n}, {"n": str(n) if n == 1 else n}]


async def test_an_input_with_a_good_and_a_failed_output_runs_again(storage: Storage) -> None:
    """A run that says "completed with errors" says to retry: that must lead somewhere."""
    run = await start(storage, two_outputs, output_schema=SCHEMA, retry=NEVER)
    assert (run.status, run.inputs) == ("completed_with_errors", {"completed": 3})
    calls = Calls()

    async def mended(n: int) -> list[dict[str, Any]]:
        return [await calls(n), {"n": n}]

    for where in (Where(error_text="nowhere"), Where(statuses=["filtered"])):
        await retry(storage, RUN, mended, where=where, progress="quiet")
        assert calls.made == []
    run = await retry(storage, RUN, mended, where=Where(error_text="OUTPUT_schema"), progress="quiet")
    assert (run.status, run.records, calls.made) == ("completed", {"completed": 6}, [1])


async def test_single_inputs(storage: Storage) -> None:
    await started(storage)
    calls = Calls()
    await retry(storage, RUN, calls, where=Where(job_ids=[await job_id(storage, 4)]), progress="quiet")
    assert calls.made == [4]
    assert [one.status for one in await attempts(storage, 4)] == ["failed", "completed"]


async def test_again_and_again(storage: Storage) -> None:
    await started(storage)
    for _ in range(2):
        run = await retry(storage, RUN, mixed, progress="quiet")
        assert run.inputs == {"completed": 2, "filtered": 1, "failed": 3}
        assert sum(run.records.values()) == 6
    assert [one.number for one in await attempts(storage, 3)] == [1, 2, 3]
    run = await retry(storage, RUN, Calls(), progress="quiet")
    assert (run.status, run.attempts, run.cost) == ("completed", 15, 12)
    run = await retry(storage, RUN, Calls(), progress="quiet")
    assert (run.status, run.attempts) == ("completed", 15)


async def test_records_are_replaced_and_those_left_over_cancelled(storage: Storage) -> None:
    def outputs(count: int) -> Any:
        async def answer(n: int) -> list[dict[str, Any]]:
            return [{"n": n, "version": count, "number": number} for number in range(count)]

        return answer

    again = Where(statuses=["completed"])
    await start(storage, outputs(3), numbers(2))
    run = await retry(storage, RUN, outputs(1), where=again, progress="quiet")
    assert run.records == {"completed": 2, "cancelled": 4}
    assert [one["version"] for one in await data(storage)] == [1, 1]
    assert [one["version"] for one in await data(storage, "cancelled")] == [3] * 4  # it was paid for
    run = await retry(storage, RUN, outputs(2), where=again, progress="quiet")
    assert run.records == {"completed": 4, "cancelled": 2}
    job = (await storage.list_execution_jobs(RUN))[0]
    assert (job.status, job.produced_outputs_count, job.completed_record_count) == ("completed", 2, 2)

    async def fails(n: int) -> dict[str, Any]:
        raise ValueError

    stands = (run.status, run.records)
    run = await retry(storage, RUN, fails, where=again, progress="quiet", retry=1)
    assert (run.status, run.records) == stands
    assert [one.status for one in await storage.ledger.list_attempts(job.job_id)][-1] == "failed"
    run = await retry(storage, RUN, fails, where=again, progress="quiet", retry=1, replace="always")
    assert (run.status, run.records) == ("failed", {"failed": 2, "cancelled": 4})


async def test_where_that_means_nothing(storage: Storage) -> None:
    await started(storage)
    for wrong in ({"statuses": []}, {"statuses": "failed"}, {"job_ids": "abc"}):
        with pytest.raises(InvalidInputError):
            Where(**wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidStatusError):
        await retry(storage, RUN, mixed, where=Where(statuses=["broken"]), progress="quiet")
    assert (await statuses(storage))[0] == "completed_with_errors"


async def test_an_input_with_one_good_and_one_failed_output_runs_again(storage: Storage) -> None:
    """Without being asked for by its status; what is replaced can be looked at, and restored."""
    short = {"n": 1, "text": ""}

    async def two(n: int) -> list[dict[str, Any]]:
        return [{"n": n, "text": "fine"}, short]

    schema = {"type": "object", "properties": {"text": {"type": "string", "minLength": 1}}}
    run = await start(storage, two, numbers(2), output_schema=schema)
    assert (run.inputs, run.records) == ({"completed": 2}, {"completed": 2, "failed": 2})
    short["text"] = "long"
    run = await retry(storage, RUN, two, progress="quiet")
    assert run.records == {"completed": 4}
    job = (await storage.list_execution_jobs(RUN))[0]
    uid = f"{job.job_id}-1"
    versions = await storage.ledger.list_versions(uid)
    assert [(one.number, one.is_current, one.status) for one in versions] == [
        (1, False, "failed"),
        (2, True, "completed"),
    ]
    assert await storage.ledger.get_version_data(uid, 1) == {"n": 1, "text": ""}
    assert (await retry(storage, RUN, two, progress="quiet")).attempts == run.attempts


async def test_a_retry_that_fails_says_that_the_earlier_outcomes_stand(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answer(n: int, context: Context) -> dict[str, Any]:
        if context.attempt > 1 and n < 2:
            raise OverloadedError
        return {"n": n}

    run = await start(storage, answer, numbers(3))
    assert run.kept_before == 0
    run = await retry(storage, RUN, answer, where=Where(statuses=["completed"]), retry=NEVER, progress="lines")
    assert (run.status, run.records, run.kept_before) == ("completed", {"completed": 3}, 2)
    assert run.to_json()["kept_before"] == 2
    told = "run 'run-1': 2 inputs failed again; what there was of them before stands"
    assert capsys.readouterr().err.splitlines()[-1].endswith(told)


async def test_a_call_of_a_run_that_has_ended_says_how_its_failures_run_again(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fails(n: int) -> dict[str, int]:
        if n == 1:
            raise ValueError
        return {"n": n}

    await start(storage, fails, numbers(3), retry=1)
    capsys.readouterr()
    mended = Calls()
    run = await start(storage, mended, numbers(3), progress="lines")
    assert (run.status, mended.made) == ("completed_with_errors", [])
    told = capsys.readouterr().err
    assert f"run '{RUN}' has ended; 1 of its inputs failed" in told
    assert f"retry(storage, '{RUN}'" in told
    await retry(storage, RUN, mended, progress="quiet")
    await start(storage, mended, numbers(3), progress="lines")
    assert "failed" not in capsys.readouterr().err
