"""What a run does when it is called again with something changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from generation.runs import RUN, data, start, statuses
from starfish_storage import resume, retry
from starfish_storage.errors import InvalidInputError, RunChangedError, RunIncompleteError
from starfish_storage.generation import Run
from starfish_storage.interface import Storage


class Asked:
    """A function that notes what it was asked for."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, n: int) -> dict[str, Any]:
        self.made.append(n)
        return {"n": n}

    def taken(self) -> list[int]:
        """Return what was asked for since the last call of this."""
        made, self.made = sorted(self.made), []
        return made


def given(*values: int) -> list[dict[str, Any]]:
    return [{"n": value} for value in values]


async def finished(storage: Storage, asked: Asked, *values: int, **options: Any) -> Run:
    run = await start(storage, asked, given(*values), **options)
    assert run.status == "completed"
    assert asked.taken() == sorted(values)
    return run


@pytest.mark.filterwarnings("ignore::starfish_storage.redaction.SecretRedactedWarning")
async def test_the_same_call_again_asks_for_nothing(storage: Storage) -> None:
    asked = Asked()
    run = await finished(storage, asked, 1, 2, 3, config={"model": "m", "api_key": "sk-1234567890abcdef1234"})
    segments = await storage.ledger.list_segments(RUN)
    for again in (given(1, 2, 3), iter(given(1, 2, 3)), []):
        same = await start(storage, asked, again, config={"api_key": "sk-1234567890abcdef1234", "model": "m"})
        assert (same.records, same.done_before) == (run.records, 3)
    assert await start(storage, asked, given(1, 2, 3))  # without a configuration: that of the run
    assert asked.taken() == []
    assert await storage.ledger.list_segments(RUN) == segments


@pytest.mark.parametrize("as_generator", [False, True])
async def test_more_inputs_are_done_also_after_the_end(storage: Storage, as_generator: bool) -> None:
    asked = Asked()
    await finished(storage, asked, 1, 2)
    for count in (3, 6):
        longer: Any = given(*range(1, count + 1))
        run = await start(storage, asked, iter(longer) if as_generator else longer)
        assert (run.status, run.inputs) == ("completed", {"completed": count})
        job = await storage.get_master_job(RUN)
        assert job is not None
        assert (job.status, job.target_record_count) == ("completed", count)
    assert asked.taken() == [3, 4, 5, 6]
    with pytest.raises(RunChangedError, match="6 inputs are stored, and 2 were given"):
        await start(storage, asked, given(1, 2))


async def test_a_run_that_was_cut_off_while_it_got_more_inputs_needs_them_again(storage: Storage) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from given(1, 2, 3)
        raise SystemExit

    asked = Asked()
    await finished(storage, asked, 1, 2)
    with pytest.raises(SystemExit):
        await start(storage, asked, broken())
    with pytest.raises(RunIncompleteError):
        await resume(storage, RUN, asked, progress="quiet")
    run = await start(storage, asked, given(1, 2, 3, 4))
    assert (run.status, asked.taken()) == ("completed", [3, 4])


@pytest.mark.filterwarnings("ignore::starfish_storage.redaction.SecretRedactedWarning")
async def test_a_changed_configuration(storage: Storage) -> None:
    asked = Asked()
    await finished(storage, asked, 1, 2, config={"model": "a", "t": 0.2, "token": "sk-1234567890abcdef1234"})
    before = await statuses(storage), await storage.ledger.list_segments(RUN)
    changed = {"model": "b", "t": 0.2, "token": "sk-1234567890abcdef1234"}
    for way in ("refuse", "match", None):
        with pytest.raises(RunChangedError, match=r'config\.model: "a" -> "b"') as caught:
            await start(storage, asked, given(1, 2), config=changed, on_change=way)
        assert (caught.value.id, caught.value.changed, len(caught.value.differences)) == (RUN, "configuration", 1)
        assert "sk-1" not in str(caught.value)
    assert (await statuses(storage), await storage.ledger.list_segments(RUN)) == before
    for other, more in ((given(1, 3), 1), (iter(given(1, 3)), 0), (given(1, 2, 3), 0), (["bad"], 0)):
        with pytest.raises(RunChangedError) as caught:
            await start(storage, asked, other, config=changed)
        assert caught.value.changed == ("configuration and inputs" if more else "configuration")
        assert caught.value.differences == (
            *["input 1 is not the same: 'n' differs"][:more],
            'config.model: "a" -> "b"',
        )
    assert (await statuses(storage), await storage.ledger.list_segments(RUN)) == before
    run = await start(storage, asked, given(1, 2, 3), config=changed, on_change="continue")
    assert (run.status, asked.taken()) == ("completed", [3])
    last = (await storage.ledger.list_segments(RUN))[-1].identity
    assert last["config"]["model"] == "b"
    assert last["change"] == {"on_change": "continue", "config": ['config.model: "a" -> "b"']}
    await start(storage, asked, given(1, 2, 3, 4), config=changed)  # is that of the run now
    assert asked.taken() == [4]
    with pytest.raises(InvalidInputError, match="on_change must be one of"):
        await start(storage, asked, on_change="ignore")


@pytest.mark.parametrize(
    ("way", "values", "new", "counts"),
    [
        ("match", (0, 1, 2, 3), [0], {"completed": 4}),  # inserted
        ("match", (1, 3), [], {"completed": 2, "cancelled": 1}),  # removed
        ("match", (1, 9, 3), [9], {"completed": 3, "cancelled": 1}),  # changed
        ("match", (3, 1, 2), [], {"completed": 3}),  # reordered
        ("match", (1, 1, 2, 3, 3), [1, 3], {"completed": 5}),  # each equal one once
        ("continue", (0, 3), [0], {"completed": 4}),
        ("continue", (2, 1), [], {"completed": 3}),
    ],
)
@pytest.mark.parametrize("as_generator", [False, True])
async def test_other_inputs(
    storage: Storage, way: str, values: tuple[int, ...], new: list[int], counts: dict[str, int], as_generator: bool
) -> None:
    asked = Asked()
    await finished(storage, asked, 1, 2, 3)
    inputs: Any = iter(given(*values)) if as_generator else given(*values)
    run = await start(storage, asked, inputs, on_change=way)
    assert (run.status, run.inputs, asked.taken()) == ("completed", counts, new)
    done = sorted(values) if way == "match" else sorted({1, 2, 3, *values})
    assert [one["n"] for one in await data(storage)] == done
    again = await start(storage, asked, given(*values), on_change=way)
    assert (again.inputs, asked.taken()) == (counts, [])
    if "cancelled" in counts or way == "continue":
        assert again.done_before == len(done)
    if counts != {"completed": 3}:  # the list of the run now, in any order; another one is refused
        same = given(*reversed(done))
        assert (await start(storage, asked, same)).inputs == counts
        with pytest.raises(RunChangedError):
            await start(storage, asked, [*same[1:], *given(77)])
        assert asked.taken() == []
    # What is gone comes back as it was, and nothing is paid for.
    back = await start(storage, asked, given(1, 2, 3), on_change="match")
    assert (back.inputs["completed"], asked.taken()) == (3, [])
    assert [one["n"] for one in await data(storage)] == [1, 2, 3]


async def test_pending_inputs_that_are_gone_are_not_asked_for(storage: Storage) -> None:
    asked = Asked()
    await start(storage, asked, given(1, 2, 3, 4), max_cost=0)
    run = await start(storage, asked, given(5, 4, 2), on_change="match", max_cost=9)
    assert (run.status, run.inputs, asked.taken()) == ("completed", {"completed": 3, "cancelled": 2}, [2, 4, 5])
    run = await start(storage, asked, given(1, 2, 3, 4, 5), on_change="match", max_cost=9)
    assert (run.inputs, asked.taken()) == ({"completed": 5}, [1, 3])


async def test_a_finished_run_with_inputs_that_were_opened_again_is_not_over(storage: Storage) -> None:
    """As a kill leaves it between the change of its inputs and that of its status."""
    asked = Asked()
    await finished(storage, asked, 1, 2)
    for call in (
        lambda: start(storage, asked, given(1, 2)),
        lambda: resume(storage, RUN, asked, progress="quiet"),
    ):
        await storage.ledger.reset_inputs(RUN, ["completed"])
        run = await call()
        assert (run.status, run.inputs, asked.taken()) == ("completed", {"completed": 2}, [1, 2])


async def test_a_fork_takes_over_what_is_the_same(storage: Storage) -> None:
    asked = Asked()
    first = await finished(storage, asked, 1, 2, 3, config={"model": "a"})
    run = await start(storage, asked, given(1, 9, 3, 4), config={"model": "a"}, on_change="fork")
    assert run.master_job_id.startswith(f"{RUN}-fork-")
    assert (run.status, run.inputs, asked.taken()) == ("completed", {"completed": 4}, [4, 9])
    again = await start(storage, asked, given(1, 9, 3, 4), config={"model": "a"}, on_change="fork")
    assert (again.master_job_id, again.records, asked.taken()) == (run.master_job_id, run.records, [])
    assert await statuses(storage) == ("completed", {"completed": 3})
    assert (await start(storage, asked, given(1, 2, 3))).records == first.records
    records = await storage.get_records_for_master_job(run.master_job_id)
    found = await storage.get_records_data([str(one.output_ref) for one in records])
    assert sorted(one["n"] for one in found) == [1, 3, 4, 9]
    other = await start(storage, asked, given(1, 2), config={"model": "b"}, on_change="fork")
    assert other.master_job_id not in (RUN, run.master_job_id)
    assert asked.taken() == [1, 2]
    with pytest.raises(InvalidInputError, match="call generate"):
        await retry(storage, RUN, asked, on_change="fork")
    more = await start(storage, asked, given(1, 9, 3, 4, 5), config={"model": "a"}, on_change="fork")
    assert (more.master_job_id, asked.taken()) == (run.master_job_id, [5])


async def test_changed_code_goes_on_with_a_warning_or_is_refused(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    def first(n: int) -> dict[str, Any]:
        return {"n": n}

    def second(n: int) -> dict[str, Any]:
        return {"n": n + 0}

    await start(storage, first, given(1, 2), max_cost=0)
    before = await storage.ledger.list_segments(RUN), await statuses(storage)
    for call in (
        lambda: start(storage, second, given(1, 2), strict_code=True),
        lambda: start(storage, second, given(2, 3), on_change="match", strict_code=True),
        lambda: resume(storage, RUN, second, strict_code=True, max_cost=9, progress="quiet"),
        lambda: retry(storage, RUN, second, strict_code=True, progress="quiet"),
    ):
        with pytest.raises(RunChangedError, match=r"in its code: function: .*first -> .*second.*strict_code=False"):
            await call()
    assert (await storage.ledger.list_segments(RUN), await statuses(storage)) == before
    assert not [one for one in caplog.records if "changed code" in one.getMessage()]
    run = await resume(storage, RUN, second, max_cost=9, progress="quiet")
    assert run.status == "completed"
    (told,) = [one.getMessage() for one in caplog.records if "changed code" in one.getMessage()]
    assert told.startswith(f"run '{RUN}' goes on with changed code: function: ")
    # With nothing to do, it is refused all the same, and otherwise not worth a word.
    assert await start(storage, second, given(1, 2), strict_code=True) == await start(storage, first, given(1, 2))
    with pytest.raises(RunChangedError, match="in its code"):
        await start(storage, first, given(1, 2), strict_code=True)
    assert len([one for one in caplog.records if "changed code" in one.getMessage()]) == 1


@pytest.mark.parametrize("progress", ["lines", "bar"])
async def test_the_warning_is_seen_where_no_logging_is_configured(
    storage: Storage, capsys: pytest.CaptureFixture[str], progress: str
) -> None:
    async def doubled(n: int) -> dict[str, Any]:
        return {"n": 2 * n}

    await start(storage, Asked(), given(1, 2), max_cost=0)
    await start(storage, doubled, given(1, 2), max_cost=9, progress=progress)
    assert capsys.readouterr().err.count(f"warning: run '{RUN}' goes on with changed code: function: ") == 1


async def test_a_fork_takes_over_what_the_same_configuration_made(storage: Storage) -> None:
    asked = Asked()
    await finished(storage, asked, 1, 2, config={"model": "a"})
    await start(storage, asked, given(1, 2, 3), config={"model": "b"}, on_change="continue")
    assert asked.taken() == [3]
    run = await start(storage, asked, given(1, 2, 3), config={"model": "a"}, on_change="fork")
    assert (run.inputs, asked.taken()) == ({"completed": 3}, [3])
    run = await start(storage, asked, given(4, 3, 2), config={"model": "b"}, on_change="fork")
    assert (run.inputs, asked.taken()) == ({"completed": 3}, [2, 4])
    about = await storage.get_request_config(storage.generate_request_config_path(run.master_job_id))
    assert (about["forked_from"], about["config"]) == (RUN, {"model": "b"})
    # Records of the first run, in both of its configurations; what a fork took over says nothing about its own list.
    about = [
        (one.number, one.identity.get("taken_from")) for one in await storage.ledger.list_segments(run.master_job_id)
    ]
    assert about == [(2, RUN), (3, None)]
    assert await start(storage, asked, given(4, 3, 2), master_job_id=run.master_job_id, config={"model": "b"})
    # A fork of a fork has all inputs too, also those that were compared with the first run.
    fork = await start(storage, asked, given(1, 2, 9), config={"model": "a"}, on_change="fork")
    asked.taken()
    options: dict[str, Any] = {"master_job_id": fork.master_job_id, "config": {"model": "c"}, "on_change": "continue"}
    await start(storage, asked, given(1, 2, 9, 8), **options)
    again = await start(storage, asked, given(1, 2, 9, 8), config={"model": "a"}, on_change="fork")
    assert again.master_job_id not in (RUN, fork.master_job_id)
    about = [one.identity.get("taken_from") for one in await storage.ledger.list_segments(again.master_job_id)]
    assert about == [RUN, fork.master_job_id, None]
    assert (again.inputs, asked.taken()) == ({"completed": 4}, [8, 8])
