"""Options: checked, stored with the run, and found again."""

from __future__ import annotations

import math
from typing import Any

import pytest

from generation.runs import RUN, Calls, start
from starfish_storage import InvalidInputError
from starfish_storage.codec import decode, encode
from starfish_storage.generation import Retry
from starfish_storage.generation.options import Options
from starfish_storage.interface import Storage


def worth(error: BaseException) -> bool:
    return isinstance(error, KeyError)


def key(output: dict[str, Any]) -> Any:
    return output["n"]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"max_concurrency": value} for value in (0, -1, 1.5, True, "10")),
        *({"max_failures": value} for value in (0, -1, 1.5, True, "10", float("nan"))),
        *({name: value} for name in ("rpm", "tpm") for value in (0, 0.5, True, "10", float("inf"))),
        {"longest_limit_wait": -1},
        *({"timeout": value} for value in (-1, float("inf"), float("nan"), "1", True)),
        *({"max_cost": value} for value in (-0.1, float("nan"), "1")),
        *({"grace": value} for value in (-1, "1")),
        *({"lease": value} for value in (0.5, "60")),
        *({"retry": value} for value in (0, -1, 1.5, True, "3")),
        *({"accept": 5}, {"unique_by": 5}, {"unique_by": []}, {"output_schema": 5}, {"on_bad_input": "ignore"}),
        *({name: value} for name in ("reuse", "replay", "reask") for value in ("all of it", 1, ["run"], True)),
        *({"progress": "loud"}, {"master_job_id": "../up"}, {"master_job_id": ""}, {"project": ""}),
        *({"config": {"a": {1}}},),
    ],
    ids=str,
)
async def test_wrong_options_start_nothing(storage: Storage, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        await start(storage, Calls(), **wrong)
    assert await storage.ledger.get_run(RUN) is None


async def test_a_misspelt_option_names_the_right_one(storage: Storage) -> None:
    with pytest.raises(TypeError, match="'max_concurency' is not an option of a run; did you mean 'max_concurrency'"):
        await start(storage, Calls(), max_concurency=3)


async def test_what_is_not_callable(storage: Storage) -> None:
    with pytest.raises(InvalidInputError, match="function must be callable"):
        await start(storage, "module:function")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("unique_by", [None, "n", ["n", "m"], key])
@pytest.mark.parametrize("accept", [None, worth])
def test_what_is_stored_reads_back(unique_by: Any, accept: Any) -> None:
    retry = Retry(attempts=7, first_wait=0.5, longest_wait=9, jitter=0.25, longest_retry_after=1, worth_retrying=worth)
    options = Options(
        max_concurrency=3,
        retry=retry,
        timeout=1.5,
        accept=accept,
        unique_by=unique_by,
        max_cost=2,
        on_bad_input="skip",
        grace=0,
        lease=5,
        max_failures=math.inf,
        rpm=60,
        tpm=90_000,
        longest_limit_wait=7,
        reuse="store",
        replay="only",
    )
    stored = decode(encode(options.to_json(), "options"))
    assert Options.from_json(stored, {}) == options
    assert Options.from_json({}, {}) == Options()


def test_a_resume_takes_back_a_replay() -> None:
    stored = Options(reuse="project", replay="only").to_json()
    assert Options.from_json(stored, {"replay": None}).replay == "only"
    changed = Options.from_json(stored, {"replay": "off"})
    assert (changed.reuse, changed.replay) == ("project", "off")


def test_what_is_given_now_comes_before_what_is_stored() -> None:
    stored = Options(max_concurrency=3, max_cost=2, retry=Retry(attempts=7, first_wait=0.5, jitter=0)).to_json()
    merged = Options.from_json(stored, {"max_concurrency": 5, "max_cost": None, "retry": 2, "progress": "quiet"})
    assert (merged.max_concurrency, merged.max_cost) == (5, 2)
    assert merged.retry == Retry(attempts=2, first_wait=0.5, jitter=0)
    assert Options.from_json(stored, {"retry": Retry()}).retry == Retry()


def test_functions_that_are_not_found_again() -> None:
    for name, value in (("accept", lambda output: True), ("unique_by", lambda output: 1)):
        stored = Options(**{name: value}).to_json()  # pyright: ignore[reportArgumentType]
        with pytest.raises(InvalidInputError, match=f"pass {name}= again"):
            Options.from_json(stored, {})
        assert getattr(Options.from_json(stored, {name: key}), name) is key
    stored = Options(retry=Retry(worth_retrying=lambda error: True)).to_json()
    with pytest.raises(InvalidInputError, match="pass retry= again"):
        Options.from_json(stored, {"retry": 5})
    assert Options.from_json(stored, {"retry": Retry(5)}).retry == Retry(5)
