"""Checking a file of conversations before something is trained on it. It is read row by row, and nothing is stored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, NamedTuple, cast

from starfish_storage.conversations.shapes import RowShape, conversation_shapes, count_unlike, most_like, shape_named
from starfish_storage.errors import InvalidInputError
from starfish_storage.row_files.dataset_files import splits_of
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.forms import form_named, form_of
from starfish_storage.row_files.many_files import folder_at, table_of
from starfish_storage.row_files.packed import is_packed
from starfish_storage.row_files.rows import BadRow, GoodRow, Table
from starfish_storage.row_files.source_file import SourceFile, shown

_LOOKED_AT = 100  # rows, by which the shape is recognised
_BETWEEN = 1000  # rows, after which progress is told
_WITH_ABSENT_KEYS = frozenset({"jsonl", "json"})
"""The forms of files whose rows need not have the same keys; those of tables hold null where a row lacks one."""

OnRows = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class PlacedFault:
    """A fault of a row of a file.

    Attributes:
        place: where the row stands, such as ``line 3 of 'train.jsonl'``.
        path: where in the row, such as ``messages[3].tool_calls[0]``; empty for the row as a whole.
        reason: what is wrong.
    """

    place: str
    path: str
    reason: str


@dataclass(slots=True)
class CheckReport:
    """What came of checking a file.

    Attributes:
        path: of the file.
        form: the shape that its rows were held to.
        rows: how many it has.
        faulty_rows: how many of these have faults, or cannot be read.
        faults: how many faults there are.
        first_faults: the first of them.
        unlike: of the rows by which the shape was recognised, how many do not have it, by keys and types; 0 if it was
            given.
    """

    path: str
    form: str
    rows: int = 0
    faulty_rows: int = 0
    faults: int = 0
    first_faults: list[PlacedFault] = field(default_factory=list[PlacedFault])
    unlike: int = 0


class _Reading(NamedTuple):
    """The rows of a file as they are read, the shape that they are held to, and how many do not look like it."""

    shape: RowShape
    unlike: int
    rows: Iterator[GoodRow | BadRow]


def check_file(
    path: str | os.PathLike[str],
    shape: str | None = None,
    form: str | None = None,
    *,
    most_faults: int | None = 1000,
    progress: OnRows | None = None,
) -> CheckReport:
    """Check every row of a file, or of all splits of a dataset, against a shape in which conversations are trained on.

    Args:
        path: the file, or the directory, zip or tar file of a dataset.
        shape: the name of the shape, such as ``"openai"``; None for the one that most of the first rows look like.
        form: of a file, such as ``"jsonl"``; None to go by the ending of its name.
        most_faults: how many faults the report keeps; None for all. All are counted.
        progress: called now and then with how many rows were checked.

    Raises:
        InvalidInputError: the file cannot be read or holds no rows, or its shape is unknown or none of the
            first rows looks like one.
    """
    given = os.fspath(path)
    wanted = None if shape is None else shape_named(shape)
    with ExitStack() as stack:
        reading = _reading(given, form, wanted, stack)
        report = CheckReport(given, reading.shape.name, unlike=0 if wanted else reading.unlike)
        for row in reading.rows:
            _add(report, reading.shape, row, most_faults)
            if progress is not None and report.rows % _BETWEEN == 0:
                progress(report.rows)
    return report


def _add(report: CheckReport, shape: RowShape, row: GoodRow | BadRow, most: int | None) -> None:
    if isinstance(row, BadRow):
        faults = [PlacedFault("", "", row.reason)]
    else:
        faults = [PlacedFault(row.place, one.path, one.reason) for one in shape.check(row.data)]
    report.rows += 1
    report.faulty_rows += bool(faults)
    report.faults += len(faults)
    left = len(faults) if most is None else most - len(report.first_faults)
    report.first_faults += faults[: max(left, 0)]


def _reading(path: str, form: str | None, wanted: RowShape | None, stack: ExitStack) -> _Reading:
    """Return the shape that rows are held to, and the rows.

    Cells of CSV hold JSON text where a column is a list; whether they do follows from which reading has more rows of a
    shape.
    """
    begun: list[GoodRow | BadRow] = []
    found: list[_Reading] = []
    for json_cells in (False, True):
        rows = _rows(path, form, stack, json_cells=json_cells)
        begun = list(islice(rows, _LOOKED_AT))
        good = [row.data for row in begun if isinstance(row, GoodRow)]
        name = wanted.name if wanted else most_like(good)
        if name is not None:
            found.append(_Reading(shape_named(name), count_unlike(name, good), chain(begun, rows)))
            if not found[-1].unlike:
                break
    if found and begun:
        return min(reversed(found), key=lambda one: one.unlike)
    if not begun:
        raise InvalidInputError(f"{shown(path)} holds no rows: there is nothing to check.")
    known = ", ".join(shape.name for shape in conversation_shapes())
    raise InvalidInputError(
        f"the first rows of {shown(path)} look like none of the shapes that are known: give shape= (--form), one of "
        f"{known}."
    )


def _rows(path: str, form: str | None, stack: ExitStack, *, json_cells: bool) -> Iterator[GoodRow | BadRow]:
    """Read a file, or the splits of a dataset one after the other."""
    options = {"delimiter": None, "json_cells": json_cells}
    tables: list[tuple[FileForm, Table]] = []
    if form is None and (os.path.isdir(path) or is_packed(path)):
        folder = folder_at(path, stack)
        tables += [(split.form, table_of(folder, split, stack, options)) for split in splits_of(folder)]
    else:
        kind = form_of(path) if form is None else form_named(form)
        own = {option.name: options.get(option.name) for option in kind.options}
        tables.append((kind, kind.table(stack.enter_context(SourceFile(path)), **own)))
    for kind, table in tables:
        for row in table.rows():
            if isinstance(row, BadRow) or kind.name in _WITH_ABSENT_KEYS:
                yield row
            else:
                yield GoodRow(row.place, _without_nulls(row.data))


def _without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without the keys that are null, at any depth."""
    return {key: _kept(value) for key, value in row.items() if value is not None}


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return _without_nulls(cast("dict[str, Any]", value))
    return [_kept(one) for one in cast("list[Any]", value)] if isinstance(value, list) else value
