"""Recorded functions as types: never run, only checked by pyright, as `typed` is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, assert_type

import pandas as pd

from starfish_storage import RunLedger, recorded
from starfish_storage.decorating import RecordedRow
from starfish_storage.generation import Run
from starfish_storage.runs import ClaimedInput


@recorded("store")
def recorded_plain(question: str, temperature: float = 0.5) -> dict[str, str]:
    return {"answer": question}


@recorded("store", config={"model": "small"}, ignore=["client"])
async def recorded_later(client: object, question: str) -> str:
    return question


@recorded("store")
async def recorded_items(number: int) -> AsyncIterator[int]:
    yield number


class WithRecordedMethod:
    @recorded("store", instance=lambda self: None)
    def ask(self, question: str) -> int:
        return 1


async def recorded_functions() -> None:
    assert_type(recorded_plain("Paris", temperature=0.1), dict[str, str])
    assert_type(await recorded_later(None, "Paris"), str)
    assert_type([one async for one in recorded_items(3)], list[int])
    assert_type(WithRecordedMethod().ask("Paris"), int)
    assert_type(recorded_plain.run(["Paris"], max_concurrency=2), Run)
    assert_type(await recorded_later.run([{"question": "Paris"}]), Run)
    assert_type(recorded_plain.records(), list[RecordedRow])
    assert_type(await recorded_later.records(), list[RecordedRow])
    recorded_plain(1)  # pyright: ignore[reportArgumentType] (that is the point)


def a_run(run: Run) -> None:
    assert_type(run.sample(5, seed=1), list[dict[str, Any]])
    assert_type(run.to_pandas(with_input=True), pd.DataFrame)


async def one_input(ledger: RunLedger, now: datetime) -> None:
    assert_type(await ledger.claim_input("run-1", "j1", "w1", now), ClaimedInput | None)
