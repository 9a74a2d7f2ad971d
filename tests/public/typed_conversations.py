"""The public API of conversations as types: never run, only checked by pyright, as `public.typed` is."""

from __future__ import annotations

from typing import Any, assert_type

from starfish_storage.conversations import (
    Conversation,
    Fault,
    PreferencePair,
    RowShape,
    pair_of,
    read_conversation,
    recognise,
    shape_named,
)
from starfish_storage.imports import PlacedFault, check_file


def conversations(row: dict[str, Any]) -> None:
    """Shapes of conversations, and their checks."""
    shape = shape_named("openai")
    assert_type(shape, RowShape)
    assert_type(shape.check(row), list[Fault])
    assert_type(recognise([row]), str | None)
    assert_type(read_conversation([row]), Conversation)
    assert_type(pair_of(Conversation([row]), Conversation([])), PreferencePair)
    report = check_file("train.jsonl", "openai", most_faults=None, progress=print)
    assert_type((report.faults, report.first_faults), tuple[int, list[PlacedFault]])
