"""Named queries, read from ``.sql`` files: the one place where their placeholders are translated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

from starfish_storage.metadata.columns import listed

SQL_FILES = Path(__file__).parent / "sql"
"""By its path: `importlib.resources` would also read it from a zip file, and takes longer to import than to read."""

_NAME = re.compile(r"^-- (?:name|fragment): (\w+)\n", re.MULTILINE)
_FRAGMENT = re.compile(r"\{([a-z]\w*)(?: (\w+))?\}")
_COMMENT = re.compile(r"^[^\S\n]*--.*\n?", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")
_EACH_STATUS = "-- each status\n"
_MERGED = "-- merged\n"
_EACH_ROW = "-- each row\n"
_END = "-- end\n"


class Queries:
    """The queries of one engine, as attributes would be: ``queries["get_record"]`` is text to execute.

    Parameters are given in the order in which they stand in the text.

    Args:
        engine: ``"sqlite"``, whose placeholders are ``?``, or ``"postgres"``, whose are ``$1``, ``$2``, ...
        paths: the files below ``sql/``, such as ``"common/queries.sql"``; a name stands in one of them only.
            ``{has_own_data own}`` means that fragment of the engine's ``keys.sql``, of the row ``own``; ``{locked}``
            one of ``clauses.sql``; ``{record.columns}`` a list of columns, see `metadata.columns`.
    """

    def __init__(self, engine: str, *paths: str) -> None:
        self._numbered = engine == "postgres"
        fragments = ("common/clauses.sql", f"{engine}/clauses.sql", f"{engine}/keys.sql")
        self._fragments = {name: _COMMENT.sub("", text).strip() for path in fragments for name, text in _named(path)}
        # Written out when they are first asked for: a command that lists runs needs ten of three hundred. Two threads
        # that ask at once make the same text twice.
        self._given = {name: text for path in paths for name, text in _named(path)}
        self._plain: dict[str, str] = {}
        self._made: dict[tuple[str, int], str] = {}
        self._parameters: dict[str, tuple[str, ...]] = {}

    def __getitem__(self, name: str) -> str:
        """Return the text of a query; a list over statuses has none of its own, see `merged`."""
        text = self._plain.get(name)
        if text is None:
            text = self.expanded(self._given[name])
            if _EACH_STATUS in text:
                raise KeyError(name)
            text = self._plain[name] = self.repeated(name, 1) if _EACH_ROW in text else self._translated(text)
        return text

    def merged(self, name: str, statuses: int) -> str:
        """Return the text of a list over so many statuses.

        Each status is a range of one index, in order; merging them needs no sort, which ``status IN (...)`` would.
        The parameters are those of each status in turn, then those of the merge.
        """
        text = self._made.get((name, statuses))
        if text is None:
            branch, merge = self.expanded(self._given[name]).partition(_EACH_STATUS)[2].split(_MERGED)
            if self._numbered and statuses > 1:  # PostgreSQL merges branches that are ordered; others it sorts
                branch = f"({branch} {merge.partition('LIMIT')[0]} {_limit_of_branch(branch, merge, statuses)})"
            assembled = " UNION ALL ".join([branch] * statuses) + " " + merge
            text = self._made[name, statuses] = self._translated(assembled)
        return text

    def repeated(self, name: str, rows: int) -> str:
        """Return the text of a query over so many rows, whose parameters follow each other."""
        text = self._made.get((name, rows))
        if text is None:
            head, _, rest = self.expanded(self._given[name]).partition(_EACH_ROW)
            row, _, tail = rest.partition(_END)
            text = self._made[name, rows] = self._translated(f"{head} {', '.join([row] * rows)} {tail}")
        return text

    def expanded(self, text: str) -> str:
        """Return SQL with its fragments and its lists of columns written out."""
        return listed(_FRAGMENT.sub(lambda found: self._fragments[found[1]].replace("{row}", found[2] or ""), text))

    def parameters(self, name: str) -> tuple[str, ...]:
        """Return the names of a query's parameters, in order."""
        found = self._parameters.get(name)
        if found is None:
            text = _COMMENT.sub("", self.expanded(self._given[name]))
            found = self._parameters[name] = tuple(_PARAMETER.findall(text))
        return found

    def names(self) -> list[str]:
        """Return the names of all queries."""
        return list(self._given)

    def _translated(self, text: str) -> str:
        numbers = count(1)

        def placeholder(_: re.Match[str]) -> str:
            return f"${next(numbers)}" if self._numbered else "?"

        return " ".join(_PARAMETER.sub(placeholder, _COMMENT.sub("", text)).split())


@cache
def sqlite_queries() -> Queries:
    """Return SQLite's queries, read once a process."""
    paths = (
        "common/queries.sql",
        "common/runs.sql",
        "common/progress.sql",
        "common/transfer.sql",
        "common/annotations.sql",
        "common/changes.sql",
        "common/limits.sql",
        "common/actions.sql",
        "sqlite/queries.sql",
        "sqlite/changes.sql",
        "sqlite/runs.sql",
    )
    return Queries("sqlite", *paths)


@cache
def starfish_queries() -> Queries:
    """Return the statements that migrate a store of Starfish, in their order, read once a process."""
    return Queries("sqlite", "sqlite/starfish.sql")


@cache
def starfish_repair_queries() -> Queries:
    """Return the queries that find what is repaired in a store of Starfish, by kind, read once a process."""
    return Queries("sqlite", "sqlite/starfish_repairs.sql")


@cache
def starfish_upgrade_queries() -> Queries:
    """Return what an upgrade asks and notes beside migrating a store of Starfish, read once a process."""
    return Queries("sqlite", "sqlite/starfish_upgrade.sql")


@cache
def llm_queries() -> Queries:
    """Return the queries over the logs of `llm`, read once a process."""
    return Queries("sqlite", "sqlite/llm.sql")


@cache
def postgres_queries() -> Queries:
    """Return PostgreSQL's queries, read once a process."""
    paths = (
        "common/queries.sql",
        "common/runs.sql",
        "common/progress.sql",
        "common/transfer.sql",
        "common/annotations.sql",
        "common/changes.sql",
        "common/limits.sql",
        "common/actions.sql",
        "postgres/queries.sql",
        "postgres/changes.sql",
        "postgres/runs.sql",
        "postgres/maintenance.sql",
    )
    return Queries("postgres", *paths)


def _named(path: str) -> Iterator[tuple[str, str]]:
    parts = _NAME.split((SQL_FILES / path).read_text("utf-8"))
    return zip(parts[1::2], parts[2::2], strict=True)


def _limit_of_branch(branch: str, merge: str, statuses: int) -> str:
    """Return the limit of each status, which needs no more than what is merged; by the numbers of its parameters.

    Without it, PostgreSQL plans each branch for all of its rows: of ten million records, it read and sorted the whole
    table for each status and page.
    """
    if "LIMIT" not in merge:
        return ""
    limit = statuses * len(_PARAMETER.findall(_COMMENT.sub("", branch))) + 1
    if "OFFSET" not in merge:
        return f"LIMIT ${limit}::bigint"
    # Without a limit it is the largest there is, to which nothing can be added.
    return f"LIMIT least(${limit}::bigint + ${limit + 1}::numeric, {2**63 - 1})::bigint"
