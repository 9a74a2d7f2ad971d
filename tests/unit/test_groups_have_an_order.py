"""Groups that queries return come in the same order from both engines, at every call."""

from __future__ import annotations

import re

import pytest

from starfish_storage.metadata.queries import Queries, postgres_queries, sqlite_queries

# One row for each id that was asked for, which are told apart by the id; or counts that Python puts in order.
READ_BY_KEY = frozenset(
    {
        "get_run", "list_run_states", "account_for_inputs", "get_last_replies", "measure_packs",
        "count_records", "count_attempts_over_time",
    }
)  # fmt: skip
INSIDE = re.compile(r"\([^()]*\)")


def outermost(text: str) -> str:
    """Return a query without what stands in brackets: subqueries, whose order nobody sees."""
    while (shorter := INSIDE.sub("", text)) != text:
        text = shorter
    return text


def groups_without_order(queries: Queries) -> set[str]:
    found: set[str] = set()
    for name in queries.names():
        try:
            text = outermost(queries[name])
        except KeyError:  # a list over statuses, which has an order
            continue
        if text.startswith(("SELECT", "WITH")) and "GROUP BY" in text and "ORDER BY" not in text:
            found.add(name)
    return found


@pytest.mark.parametrize("queries", [sqlite_queries(), postgres_queries()], ids=["sqlite", "postgres"])
def test_groups_are_ordered(queries: Queries) -> None:
    """PostgreSQL returns groups as its hash table has them, which nobody should see in what a command prints."""
    assert groups_without_order(queries) <= READ_BY_KEY


def test_every_exception_is_one() -> None:
    assert groups_without_order(sqlite_queries()) | groups_without_order(postgres_queries()) == READ_BY_KEY
