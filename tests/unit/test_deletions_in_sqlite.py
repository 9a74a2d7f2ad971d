"""What a deletion has left in SQLite's log is copied between groups, and not at the end of somebody's commit."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.sqlite.deletions import Deletions

ROWS = 1000


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "rows.db"
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY, text TEXT)")
    connection.executemany("INSERT INTO numbers VALUES (?, ?)", [(number, "x" * 200) for number in range(ROWS)])
    connection.close()
    return path


def delete(connection: apsw.Connection, rows: int) -> None:
    connection.execute("DELETE FROM numbers WHERE number IN (SELECT number FROM numbers LIMIT ?)", (rows,))


def test_it_is_copied_while_another_process_writes(database: Path) -> None:
    connection, other = apsw.Connection(str(database)), apsw.Connection(str(database))
    deletions, operation = Deletions(connection), WriteOperation(lambda rows: None, removals=(0, 0))
    automatic = connection.pragma("wal_autocheckpoint")
    with deletions.of([operation]):
        assert connection.pragma("wal_autocheckpoint") == 0
        delete(connection, ROWS // 2)
    assert connection.pragma("wal_autocheckpoint") == automatic
    assert operation.took > 0
    before = database.read_bytes()
    other.execute("BEGIN IMMEDIATE")
    deletions.copy_if_due()
    assert database.read_bytes() != before


def test_few_rows_wait_for_more(database: Path) -> None:
    connection = apsw.Connection(str(database))
    deletions, operation = Deletions(connection), WriteOperation(lambda rows: None, removals=(0, 0))
    before = database.read_bytes()
    for copied in (False, False, True):
        with deletions.of([operation]):
            delete(connection, 100)
        deletions.copy_if_due()
        assert (database.read_bytes() != before) == copied


def test_a_group_that_deletes_nothing_is_left_alone(database: Path) -> None:
    connection = apsw.Connection(str(database))
    deletions, operation = Deletions(connection), WriteOperation(lambda rows: None)
    automatic, before = connection.pragma("wal_autocheckpoint"), database.read_bytes()
    with deletions.of([operation]):
        assert connection.pragma("wal_autocheckpoint") == automatic
        delete(connection, ROWS // 2)
    deletions.copy_if_due()
    assert operation.took == 0
    assert database.read_bytes() == before


def test_a_deletion_that_fails_leaves_the_connection_as_it_was(database: Path) -> None:
    connection = apsw.Connection(str(database))
    automatic = connection.pragma("wal_autocheckpoint")
    with pytest.raises(RuntimeError), Deletions(connection).of([WriteOperation(lambda rows: None, removals=(0, 0))]):
        raise RuntimeError
    assert connection.pragma("wal_autocheckpoint") == automatic
