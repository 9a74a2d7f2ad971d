"""Record data of the shape and size of real generation runs: the same for every contestant and every run.

Modelled on grade-school problems with model solutions: about 1.5 KB of JSON. Standard library only.
"""

from __future__ import annotations

import random
from typing import Any, Literal

_SEED = 1319
_WORDS = (  # noqa: SIM905 (a list literal would take a line a word)
    "the a of and to in is each for how many much she he they has have buys sells gives takes makes day week month "
    "hour minutes total more less than half twice three dozen eggs apples pencils books dollars cents miles pounds "
    "school farm store market garden car train class students friends brother sister mother Natalia\u2019s Weng Betty "
    "Mark James Carlos remaining spends earns saves left after before every pays cost price number answer so then "
    "first second per if would will need needs bought sold gave took made same only also their there were was"
).split()


def make_payloads(count: int) -> list[dict[str, Any]]:
    """Return so many objects, always the same ones."""
    chance = random.Random(_SEED)
    return [_payload(chance) for _ in range(count)]


def status_of(payload: dict[str, Any]) -> Literal["completed", "filtered"]:
    """Return the status of a record with this data: what was answered wrongly is filtered."""
    return "completed" if payload["is_correct"] else "filtered"


def _payload(chance: random.Random) -> dict[str, Any]:
    return {
        "question": _sentences(chance, 240) + "?",
        "answer": _steps(chance, 450),
        "solution": _steps(chance, 700),
        "is_correct": chance.random() < 0.8,
    }


def _sentences(chance: random.Random, length: int) -> str:
    words: list[str] = []
    size = 0
    wanted = chance.gauss(length, length / 5)
    while size < wanted:
        word = str(chance.randrange(2, 500)) if chance.random() < 0.1 else chance.choice(_WORDS)
        words.append(word)
        size += len(word) + 1
    return " ".join(words).capitalize()


def _steps(chance: random.Random, length: int) -> str:
    steps: list[str] = []
    for _ in range(max(1, length // 110)):
        left, right = chance.randrange(2, 200), chance.randrange(2, 200)
        steps.append(f"{_sentences(chance, 80)} {left} * {right} = <<{left}*{right}={left * right}>>{left * right}.")
    return "\n".join([*steps, f"A: {chance.randrange(1, 5000)}"])
