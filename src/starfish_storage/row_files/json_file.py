"""Rows of JSON files: one array, one object of columns, or objects that follow each other."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.json_cursor import JsonCursor
from starfish_storage.row_files.json_lines import JsonLinesTable, kind_of
from starfish_storage.row_files.rows import BadRow, GoodRow
from starfish_storage.wording import number_of

_MOST_COLUMNS = 500  # of one object: each is read by a cursor of its own
_COLUMN_BLOCK = 2**16
_LONGEST_FIRST_LINE = 2**20
_OF_PANDAS = ({"columns": "[", "index": "[", "data": "["}, {"schema": "{", "data": "["})  # orient="split", "table"


@dataclass(frozen=True, slots=True)
class _Member:
    """A key of an object that may be a column: where its value begins, and what it is.

    A column is a list, or an object with the same keys as that of the others, which pandas calls its index.
    """

    name: str
    offset: int
    sign: str
    count: int
    is_indexed: bool
    has_objects: bool


@dataclass(frozen=True, slots=True)
class _Layout:
    kind: Literal["array", "lines", "objects", "object", "columns", "index"]
    columns: tuple[_Member, ...] = ()


class JsonTable(JsonLinesTable):
    """The rows of a JSON file: the items of its one array, the rows of its one object of columns, or its objects.

    A text in an array is the row ``{"text": ...}``. Objects may follow each other, one a line or written over several.

    Args:
        file: the file.
    """

    form = "json"

    def notes(self) -> list[str]:
        """See `Table.notes`."""
        found = {
            "columns": "one object of columns",
            "index": "one object of rows",
            "objects": "one object after another",
            "object": "one object, which is a row",
            "lines": "one object a line",
        }
        kind = self._layout.kind
        return [*([found[kind]] if kind in found else []), *super().notes()]

    def rows(self) -> Iterator[GoodRow | BadRow]:
        """See `Table.rows`."""
        layout = self._layout
        if layout.kind == "lines":
            yield from super().rows()
        elif layout.kind == "columns":
            yield from self._of_columns(layout.columns)
        else:
            yield from self._of_values(layout.kind)

    def _of_values(self, kind: str) -> Iterator[GoodRow | BadRow]:
        """Yield the rows of an array, of an object that numbers them, or of objects that follow each other."""
        with self._cursor() as cursor:
            values = {
                "array": lambda: cursor.items("item"),
                "index": lambda: (value for _, value in _entries(cursor)),
                "objects": lambda: cursor.values("object"),
                "object": lambda: cursor.values("object"),
            }[kind]()
            for number, value in enumerate(values, start=1):
                place = f"row {number}" if kind == "index" else cursor.what
                yield _row(f"{place} of {self._file.shown}", value, has_constant=cursor.had_constant())
            if cursor.sign():
                raise InvalidInputError(f"{self._file.shown} goes on after the end of its JSON array: write it again.")

    def _of_columns(self, columns: Sequence[_Member]) -> Iterator[GoodRow | BadRow]:
        """Yield the rows of columns, each of which is read by a cursor of its own."""
        with ExitStack() as stack:
            cursors: list[JsonCursor] = []
            for column in columns:
                content = stack.enter_context(self._file.text(_COLUMN_BLOCK))
                cursor = JsonCursor(content, self._file.shown, column.offset, _COLUMN_BLOCK)
                cursor.what = f"column {shorten(column.name)}"
                cursors.append(cursor)
            names = [column.name for column in columns]
            for number, values in enumerate(zip(*map(_entries, cursors), strict=True), start=1):
                place = f"row {number} of {self._file.shown}"
                if len({key for key, _ in values}) > 1:
                    raise InvalidInputError(f"the columns differ in the key of {place}: write the rows as JSON Lines.")
                data = {name: value for name, (_, value) in zip(names, values, strict=True)}
                constants = [cursor.had_constant() for cursor in cursors]
                yield _row(place, data, has_constant=any(constants))

    @contextmanager
    def _cursor(self) -> Generator[JsonCursor]:
        with self._file.text() as content:
            yield JsonCursor(content, self._file.shown)

    @cached_property
    def _layout(self) -> _Layout:
        with self._cursor() as cursor:
            sign = cursor.sign()
        if sign == "[":
            return _Layout("array")
        if sign not in ("{", ""):
            raise InvalidInputError(
                f"{self._file.shown} holds neither a JSON array nor JSON objects: write it as one of these."
            )
        if not sign or self._has_an_object_a_line():
            return _Layout("lines")
        members: list[_Member] = []
        is_index = True
        with self._cursor() as cursor:
            cursor.what = "object 1"
            for number, key in enumerate(cursor.object_keys()):
                is_index = is_index and key == str(number) and cursor.sign() == "{"
                member = _member(cursor, key)
                if number <= _MOST_COLUMNS:
                    members.append(member)
            if cursor.sign():
                return _Layout("objects")
        return self._layout_of_one_object(members, is_index=is_index and bool(members))

    def _has_an_object_a_line(self) -> bool:
        """Return whether the first line is an object, and another one follows.

        A long first line is not looked at, as it may be the whole file: then the objects are read one after another.
        """
        with self._file.text() as content:
            lines = (line for line in iter(lambda: content.readline(_LONGEST_FIRST_LINE), b"") if line.strip())
            first = next(lines, b"")
            try:
                return isinstance(decode(first.rstrip() + b"\n"), dict) and next(lines, None) is not None
            except (ValueError, RecursionError):
                return False

    def _layout_of_one_object(self, members: Sequence[_Member], *, is_index: bool) -> _Layout:
        shown = self._file.shown
        signs = {member.sign for member in members}
        counts = {member.name: member.count for member in members}
        if {member.name: member.sign for member in members} in _OF_PANDAS:
            raise InvalidInputError(
                f"{shown} is a data frame in a layout of pandas whose rows have no names: write it with "
                "orient='records', or write [ and ] around the object if it is a row."
            )
        if signs == {"["}:
            if len(set(counts.values())) > 1:
                (one, few), (other, many) = min(counts.items(), key=_of_count), max(counts.items(), key=_of_count)
                raise InvalidInputError(
                    f"the lists in the one object of {shown} are no columns, as {shorten(one)} has "
                    f"{number_of(few, 'item')} and {shorten(other)} {many:,}: make them equally long, or write [ and ] "
                    "around the object if it is a row."
                )
            if len(members) == 1 and members[0].has_objects:
                raise InvalidInputError(
                    f"{shown} is one object with one list of objects, {shorten(members[0].name)}: write the list alone "
                    "if its items are the rows, or [ and ] around the object if that is a row."
                )
        elif signs != {"{"} or len(set(counts.values())) > 1 or not all(member.is_indexed for member in members):
            return _Layout("index" if is_index else "object")
        if len(members) > _MOST_COLUMNS or len(counts) < len(members):
            what = "two columns of one name" if len(counts) < len(members) else f"more than {_MOST_COLUMNS} columns"
            raise InvalidInputError(f"{shown} has {what}: write its rows as JSON Lines.")
        return _Layout("columns", tuple(members))


JSON = FileForm(name="json", title="JSON", endings=(".json",), table=JsonTable)


def _of_count(entry: tuple[str, int]) -> int:
    return entry[1]


def _member(cursor: JsonCursor, name: str) -> _Member:
    """Return what is under a key of the object that is being read, whose value is passed item by item."""
    sign, offset = cursor.sign(), cursor.offset
    count, first, has_objects = 0, None, False
    if sign not in ("[", "{"):
        cursor.value()
        return _Member(name, offset, sign, 0, is_indexed=False, has_objects=False)
    for key, value in _entries(cursor):
        first = key if count == 0 else first
        has_objects = has_objects or isinstance(value, dict)
        count += 1
    return _Member(name, offset, sign, count, first == "0", has_objects)


def _entries(cursor: JsonCursor) -> Iterator[tuple[str | None, object]]:
    """Yield the keys and values of an object, or the items of a list, which have no keys."""
    if cursor.sign() == "[":
        yield from ((None, item) for item in cursor.items())
        return
    for key in cursor.object_keys():
        yield key, cursor.value()


def _row(place: str, value: object, *, has_constant: bool) -> GoodRow | BadRow:
    if has_constant:
        return BadRow(f"{place} is not JSON: it contains NaN or an infinity")
    if isinstance(value, str):
        return GoodRow(place, {"text": value})
    if not isinstance(value, dict):
        return BadRow(f"{place} is not a JSON object, but {kind_of(value)}")
    return GoodRow(place, cast("dict[str, Any]", value))
