"""Looking into a store's directory from behind, to see that nothing was written."""

from __future__ import annotations

from pathlib import Path

import apsw

from starfish_storage.keys import CONFIG_DIRECTORY, DATA_DIRECTORY

# What is in these changes when a checkpoint happens to run, and says nothing about what was written.
_OWN_HOUSEKEEPING = frozenset({"data_journal", "sqlite_sequence"})
_LOG = ("metadata.db-wal", "metadata.db-shm")


def files_of(root: Path) -> dict[str, int]:
    """Return the size of every file below a directory, except SQLite's log."""
    return {
        str(path.relative_to(root)): path.stat().st_size
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in _LOG
    }


def bytes_of(root: Path) -> dict[str, bytes | None]:
    """Return the content of everything below a directory; None for directories."""
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


def rows_of(root: Path) -> dict[str, list[object]]:
    """Return the rows of every table, read through a connection of its own."""
    # Through apsw: closing a connection of the standard library's would drop the locks of this process.
    connection = apsw.Connection(str(root / "metadata.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {
            table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in tables
            if table not in _OWN_HOUSEKEEPING
        }
    finally:
        connection.close()


def everything_in(root: Path) -> tuple[dict[str, int], dict[str, list[object]]]:
    """Return what must not change when a call is refused: files and rows."""
    return files_of(root), rows_of(root)


def data_of(root: Path) -> dict[str, bytes]:
    """Return the content of all data files and request configurations."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for kind in (DATA_DIRECTORY, CONFIG_DIRECTORY)
        for path in (root / kind).rglob("*")
        if path.is_file()
    }
