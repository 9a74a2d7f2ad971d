"""The outputs of runs as texts side by side, field by field, with the words marked in which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from starfish_storage.codec import readable_text
from starfish_storage.conversations.parts import conversation_of
from starfish_storage.models import Record
from starfish_storage.viewer.comparing import ComparedOutcome, ComparedRow
from starfish_storage.viewer.json_tree import Room
from starfish_storage.viewer.word_diff import Effort, Span, differing

_MOST_OUTPUTS = 5
_MOST_FIELDS = 30
_LONGEST = 3000  # characters of a field that are shown and compared
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class ComparedField:
    """A field of an output.

    Attributes:
        name: of the field.
        spans: its text, in stretches that the other run has too, and that it does not.
        left_out: how many characters are not shown.
        is_alike: whether the other run has the same there.
        differs_later: whether only what is not shown differs.
    """

    name: str
    spans: Sequence[Span]
    left_out: int
    is_alike: bool
    differs_later: bool


@dataclass(frozen=True, slots=True)
class ComparedOutput:
    """An output of an input.

    Attributes:
        record: its record.
        fields: of its data, as far as they are shown.
        left_out: how many fields are not shown.
    """

    record: Record
    fields: Sequence[ComparedField]
    left_out: int


@dataclass(frozen=True, slots=True)
class ComparedCell:
    """What a run has made of an input, as it is shown.

    Attributes:
        outcome: what it has made.
        outputs: as far as they are shown.
        left_out: how many outputs are not shown.
    """

    outcome: ComparedOutcome
    outputs: Sequence[ComparedOutput]
    left_out: int


_Texts = Sequence[Mapping[str, str]]
_NOTHING: Mapping[str, str] = {}


def cells_of(row: ComparedRow, room: Room, effort: Effort) -> list[ComparedCell | None]:
    """Return the cells of a row: each run compared with the first that has outputs, and that one with the second."""
    texts = {place: _texts_of(one) for place, one in enumerate(row.outcomes) if one is not None}
    with_outputs = [place for place, found in texts.items() if any(found)]
    base = with_outputs[0] if with_outputs else None
    second = with_outputs[1] if len(with_outputs) > 1 else None
    return [
        None
        if outcome is None
        else _cell(outcome, texts[place], texts.get(second if place == base else base), room, effort)  # type: ignore[arg-type]
        for place, outcome in enumerate(row.outcomes)
    ]


def _texts_of(outcome: ComparedOutcome) -> _Texts:
    return [
        {name: _text(value) for name, value in islice((data or {}).items(), _MOST_FIELDS)}
        for data in islice(outcome.data, _MOST_OUTPUTS)
    ]


def _text(value: Any) -> str:
    """Return a value as people read it: a conversation as who says what, and the rest as it is."""
    if isinstance(value, str):
        return value
    messages = conversation_of(value)
    if messages is None:
        return readable_text(value, 2 if isinstance(value, dict | list) else None)
    return "\n\n".join(f"{one.role}: {' '.join(part.text for part in one.parts)}" for one in messages)


def _cell(outcome: ComparedOutcome, texts: _Texts, others: _Texts | None, room: Room, effort: Effort) -> ComparedCell:
    outputs: list[ComparedOutput] = []
    for place, (record, fields) in enumerate(zip(outcome.records, texts, strict=False)):
        other = None if others is None else next(islice(others, place, None), _NOTHING)
        shown = [_field(name, text, other, room, effort) for name, text in fields.items()]
        outputs.append(ComparedOutput(record, shown, len(outcome.data[place] or ()) - len(shown)))
    return ComparedCell(outcome, outputs, len(outcome.records) - len(outputs))


def _field(name: str, text: str, other: Mapping[str, str] | None, room: Room, effort: Effort) -> ComparedField:
    shown = room.take(text, _LONGEST)
    left_out = len(text) - len(shown)
    if other is None:
        spans = [Span(shown, differs=False)]
    elif name not in other:
        spans = [Span(shown, differs=True)]
    else:
        spans, _ = differing(shown, other[name][:_LONGEST], effort)
    found = None if other is None else other.get(name)
    differs_later = found is not None and found != text and not any(one.differs for one in spans)
    return ComparedField(name[:_LONGEST_NAME], spans, left_out, found == text, differs_later)
