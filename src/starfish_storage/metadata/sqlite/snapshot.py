"""A copy of a store's database of one moment, prepared under a name of its own before it becomes a database."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import apsw

from starfish_storage.errors import StorageIOError, StoreOpenError, StoreVersionError
from starfish_storage.files.descriptors import NO_LINK, NO_LINK_NO_WAIT
from starfish_storage.files.permissions import create_private_file
from starfish_storage.interface import DataHandler, RowLogHandler
from starfish_storage.keys import DATABASE_FILE, PackPlace, place_in_pack
from starfish_storage.metadata.migrations import latest_version
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row import only_values
from starfish_storage.metadata.sqlite.checkpoint import Checkpoint
from starfish_storage.metadata.sqlite.connection import DATA_ELSEWHERE, open_for_writing
from starfish_storage.metadata.sqlite.driver import Connection, Row
from starfish_storage.metadata.sqlite.errors import translate
from starfish_storage.metadata.sqlite.inspection import Inspection
from starfish_storage.metadata.sqlite.locks import WriterLock

SNAPSHOT_FILE = f"{DATABASE_FILE}.new"

_PIECE = 1 << 20
_SUFFIXES = ("", "-wal", "-shm", "-journal")

Given = ParamSpec("Given")
Result = TypeVar("Result")


def _translated(
    method: Callable[Concatenate[Snapshot, Given], Result],
) -> Callable[Concatenate[Snapshot, Given], Result]:
    """Turn SQLite's errors into ours."""

    @wraps(method)
    def wrapped(self: Snapshot, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            return method(self, *args, **kwargs)
        except (apsw.Error, UnicodeDecodeError) as error:
            raise translate(error, self.path) from error

    return wrapped


class PackedReference(NamedTuple):
    """Data in a pack that a record refers to.

    Attributes:
        place: where it lies.
        sha256: what is to be there, in hex; None if that is not known.
    """

    place: PackPlace
    sha256: str | None


def packed_reference(row: Row) -> PackedReference:
    """Return a row of `every_packed_reference`, named."""
    pack, start, length, sha256 = row
    return PackedReference(PackPlace(pack, start, length), sha256)


class Snapshot:
    """The copy, while it is prepared. For one thread.

    Args:
        directory: absolute path of the directory it is made in; what an earlier one left there is removed.
    """

    def __init__(self, directory: str) -> None:
        self.path = f"{os.path.realpath(directory)}/{SNAPSHOT_FILE}"
        self._queries = sqlite_queries()
        self._connection: Connection | None = None
        self.remove()

    @_translated
    def take(self, inspection: Inspection) -> None:
        """Copy the database of a store as it is now, in place of an earlier copy."""
        self.remove()
        os.close(create_private_file(self.path, os.O_RDWR | NO_LINK))
        target: Any = apsw.Connection(self.path, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW)
        try:
            inspection.copy_to(target)
        finally:
            target.close()
        self._prepare()

    @_translated
    def adopt(self, path: str) -> None:
        """Copy a database that nobody has open, with its log; it is neither changed nor locked.

        Raises:
            StoreOpenError: it has another version than this release writes.
        """
        self.remove()
        for suffix in ("", "-wal"):
            if os.path.lexists(path + suffix):
                _copy(path + suffix, self.path + suffix)
        self._prepare()
        version = self._open().pragma("user_version")
        if version != latest_version():
            raise StoreVersionError(path, f"it is of format {version}; open it once with this release")

    @_translated
    def integrity(self) -> list[str]:
        """Return what SQLite's own checks find; nothing if the database is sound."""
        found = [text for (text,) in self._execute("check_integrity") if text != "ok"]
        return found + [f"a row of {table} has no parent" for table, _, _ in self._execute("check_foreign_keys")]

    def data_references(self) -> Iterator[tuple[str, str | None]]:
        """Return what records refer to in files of their own: keys, and the digests of what is to be there."""
        return ((key, digest) for key, digest in self._rows("every_file_reference"))

    def packed_references(self) -> Iterator[PackedReference]:
        """Return what records refer to in packs, in the order in which it lies there."""
        return map(packed_reference, self._rows("every_packed_reference"))

    @_translated
    def packs(self) -> dict[str, int]:
        """Return how much of each pack is committed, in bytes."""
        return dict(self._execute("list_packs"))

    def request_config_references(self) -> Iterator[str]:
        """Return the keys of request configurations that master jobs refer to."""
        return (key for (key,) in self._rows("every_request_config_reference"))

    @_translated
    def journal(self) -> dict[str, int | None]:
        """Return, of every key in the journal, the number of its newest entry; None if that removes the data."""
        return {key: None if removes else number for number, key, removes in self._execute("list_journal")}

    @_translated
    def payload(self, number: int) -> bytes:
        """Return what an entry of the journal puts in place."""
        (payload,) = only_values(self._execute("get_journal_payload", (number,)))
        return payload

    def journaled(self, place: PackPlace) -> bytes | None:
        """Return what the journal has of a place in a pack, if it has it."""
        for key, number in self.journal().items():
            found = place_in_pack(key)
            if number is not None and found is not None and found.holds(place):
                return self.payload(number)[place.start - found.start : place.end - found.start]
        return None

    @_translated
    def journal_data(self, key: str, payload: bytes) -> None:
        """Add an entry to the journal: whoever opens the database puts it in place."""
        self._execute("journal_data", (key, payload))

    @_translated
    def complete(self, *, data_elsewhere: bool) -> None:
        """Commit what was added and close: the file can be renamed, nothing is left beside it."""
        self._execute("save_setting", (DATA_ELSEWHERE, "yes" if data_elsewhere else "no"))
        self._execute("commit")
        connection = self._open()
        connection.pragma("journal_mode", "delete")
        connection.close()
        self._connection = None

    def remove(self) -> None:
        """Close and remove it. Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for suffix in _SUFFIXES:
            try:
                os.unlink(self.path + suffix)
            except FileNotFoundError:
                pass

    def _prepare(self) -> None:
        self._connection = open_for_writing(self.path, "power")
        self._execute("begin")

    def _open(self) -> Connection:
        assert self._connection is not None, "used before it was taken"
        return self._connection

    def _execute(self, name: str, parameters: Row = ()) -> list[Row]:
        return self._open().execute(self._queries[name], parameters).fetchall()

    def _rows(self, name: str) -> Iterator[Row]:
        try:
            yield from self._open().execute(self._queries[name])
        except (apsw.Error, UnicodeDecodeError) as error:
            raise translate(error, self.path) from error


def _copy(path: str, target: str) -> None:
    """Copy a file that is not a link, for its owner only."""
    try:
        with (
            os.fdopen(os.open(path, os.O_RDONLY | NO_LINK_NO_WAIT), "rb") as original,
            os.fdopen(create_private_file(target, os.O_WRONLY | NO_LINK), "wb") as copy,
        ):
            shutil.copyfileobj(original, copy, _PIECE)
    except OSError as error:
        raise StorageIOError(path, error.errno, f"it cannot be copied: {error.strerror}") from error


def settle(root: str, data: DataHandler, row_log: RowLogHandler, lock: WriterLock) -> None:
    """Put in place what the journal of a store that nobody else has open still holds, and empty it.

    Afterwards there is nothing beside its database, which can be replaced by another.
    """
    with _opened(f"{os.path.realpath(root)}/{DATABASE_FILE}") as (connection, path):
        Checkpoint(connection, sqlite_queries(), data, row_log, lock, path).replay()


def finish(root: str, put: Callable[[str, bytes | None], None], sync: Callable[[list[str]], None]) -> None:
    """Put in place what the journal of a store that nobody else has open holds, and empty it.

    Args:
        root: absolute path of the directory of the database.
        put: puts data in place under a key; None removes it.
        sync: makes what is under these keys safe.
    """
    queries = sqlite_queries()
    with _opened(f"{os.path.realpath(root)}/{DATABASE_FILE}") as (connection, _):
        last = {key: (number, removes) for number, key, removes in connection.execute(queries["list_journal"])}
        for key, (number, removes) in last.items():
            [(payload,)] = connection.execute(queries["get_journal_payload"], (number,)).fetchall()
            put(key, None if removes else payload)
        sync(list(last))
        until = max((number for number, _ in last.values()), default=0)
        connection.execute(queries["empty_journal"], (until,)).fetchall()


class EarlierBackup:
    """What the rows of a backup tell that nobody else has open.

    Args:
        root: absolute path of the directory of the database, if there is one.
    """

    def __init__(self, root: str | None) -> None:
        self._inspection: Inspection | None = None
        if root is not None:
            try:
                self._inspection = Inspection(root)
            except StoreVersionError:
                pass  # of a release that kept no digests: its data is read

    def of(self, key: str) -> list[str]:
        """Return the digests that rows have of what is under a key."""
        if self._inspection is None:
            return []
        return [digest for digest in self._inspection.digests_of(key) if digest is not None]

    def packs(self) -> dict[str, int]:
        """Return how much of each pack is committed, in bytes."""
        return {} if self._inspection is None else dict(self._inspection.rows("list_packs"))

    def packed_references(self) -> Iterator[PackedReference]:
        """Return what records refer to in packs, in the order in which it lies there."""
        return (
            iter(())
            if self._inspection is None
            else map(packed_reference, self._inspection.rows("every_packed_reference"))
        )

    def close(self) -> None:
        """Close the database. Idempotent."""
        if self._inspection is not None:
            self._inspection.close()
            self._inspection = None


@contextmanager
def _opened(path: str) -> Generator[tuple[Connection, str]]:
    if not os.path.lexists(path):
        raise StoreOpenError(path, "it is missing")
    try:
        connection = open_for_writing(path, "power")
        try:
            yield connection, path
            connection.pragma("journal_mode", "delete")
        finally:
            connection.close()
    except apsw.Error as error:
        raise translate(error, path) from error
