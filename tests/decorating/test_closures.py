"""Recorded closures: each has the results of the values that it is closed over."""

from __future__ import annotations

import threading
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from starfish_storage import recorded
from starfish_storage.generation.code_identity import code_identity


class City(BaseModel):
    name: str


@dataclass
class Model:
    name: str


def made(factor: Any, store: str = "", *, calls: int = 0) -> Any:
    def scaled(number: int) -> str:
        nonlocal calls
        calls += 1  # what is counted is no value that results depend on
        return f"{number} {factor}"

    @recorded(store)
    def counted(number: int) -> str:
        return f"{scaled(number)} {calls}"

    return counted


def test_closures_over_different_values_have_different_results(store: str) -> None:
    for factor in (2, 5, 2, 5):
        assert made(factor, store)(3) == f"3 {factor} 1"
    assert made(2, store, calls=7)(3) == "3 2 1"


def test_plain_values_are_told_apart_and_others_by_their_class() -> None:
    def identity(value: object) -> str:
        return code_identity(made(value).__wrapped__, with_closures=True)

    itself: list[object] = []
    itself.append(itself)
    values: list[object] = [2, 2.0, True, None, "2", b"2", [2], (2,), [3], {2: 3}, {2: {3}}, {2: {5}}, {3, 2}]
    values += [timedelta(2), Path("2"), Model("a"), Model("b"), City(name="a"), City(name="b"), [Model], itself]
    values += [10**5000, 10**5001]
    assert len({identity(value) for value in values}) == len(values)
    for value in values:
        assert identity(value) == identity(deepcopy(value))
    assert identity([threading.Lock()]) == identity([threading.Lock()])
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert identity(deep) != identity([])
