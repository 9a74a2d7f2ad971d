"""Named queries, read from ``.sql`` files: the one place where their placeholders are translated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*\n?", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")
_EACH_STATUS = "-- each status\n"
_MERGED = "-- merged\n"
_EACH_ROW = "-- each row\n"
_END = "-- end\n"


class Queries:
    """The queries of one engine, as attributes would be: ``queries["get_record"]`` is text to execute.

    Parameters are given in the order in which they stand in the text.

    Args:
        engine: the directory below ``sql/``, such as ``"sqlite"``.
        names: the files in it.
    """

    def __init__(self, engine: str, *names: str) -> None:
        self._plain: dict[str, str] = {}
        self._merged: dict[str, tuple[str, str]] = {}
        self._repeated: dict[str, tuple[str, str, str]] = {}
        self._made: dict[tuple[str, int], str] = {}
        self._parameters: dict[str, tuple[str, ...]] = {}
        for name, text in (query for file in names for query in _named(engine, file)):
            self._parameters[name] = tuple(_PARAMETER.findall(_COMMENT.sub("", text)))
            if _EACH_STATUS in text:
                branch, merge = text.partition(_EACH_STATUS)[2].split(_MERGED)
                self._merged[name] = (_translated(branch), _translated(merge))
            elif _EACH_ROW in text:
                head, _, rest = text.partition(_EACH_ROW)
                row, _, tail = rest.partition(_END)
                self._repeated[name] = (_translated(head), _translated(row), _translated(tail))
                self._plain[name] = self.repeated(name, 1)
            else:
                self._plain[name] = _translated(text)

    def __getitem__(self, name: str) -> str:
        """Return the text of a query."""
        return self._plain[name]

    def merged(self, name: str, statuses: int) -> str:
        """Return the text of a list over so many statuses.

        Each status is a range of one index, in order; merging them needs no sort, which ``status IN (...)`` would.
        The parameters are those of each status in turn, then those of the merge.
        """
        branch, merge = self._merged[name]
        return " UNION ALL ".join([branch] * statuses) + " " + merge

    def repeated(self, name: str, rows: int) -> str:
        """Return the text of a query over so many rows, whose parameters follow each other."""
        text = self._made.get((name, rows))
        if text is None:
            head, row, tail = self._repeated[name]
            text = self._made[name, rows] = f"{head} {', '.join([row] * rows)} {tail}"
        return text

    def parameters(self, name: str) -> tuple[str, ...]:
        """Return the names of a query's parameters, in order."""
        return self._parameters[name]

    def names(self) -> list[str]:
        """Return the names of all queries."""
        return [*self._plain, *self._merged]


@cache
def sqlite_queries() -> Queries:
    """Return SQLite's queries, read once a process."""
    return Queries("sqlite", "queries.sql", "runs.sql")


@cache
def starfish_queries() -> Queries:
    """Return the statements that migrate a store of Starfish, in their order, read once a process."""
    return Queries("sqlite", "starfish.sql")


def _named(engine: str, file: str) -> Iterator[tuple[str, str]]:
    text = files("starfish_storage.metadata").joinpath("sql", engine, file).read_text("utf-8")
    parts = _NAME.split(text)
    return zip(parts[1::2], parts[2::2], strict=True)


def _translated(text: str) -> str:
    return " ".join(_PARAMETER.sub("?", _COMMENT.sub("", text)).split())
