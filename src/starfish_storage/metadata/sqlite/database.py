"""The life of an open database: from setup to close, and what a fork does to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

import apsw

from starfish_storage.errors import StorageError, StoreOpenError
from starfish_storage.files.spare_descriptors import SPARES
from starfish_storage.interface import DataHandler
from starfish_storage.keys import DATABASE_FILE
from starfish_storage.metadata.lifecycle import Lifecycle, opened_read_only
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.row_writer import portions
from starfish_storage.metadata.sqlite.commit import GroupCommit
from starfish_storage.metadata.sqlite.copied_readers import CopiedReaders
from starfish_storage.metadata.sqlite.errors import translate
from starfish_storage.metadata.sqlite.readers import Readers
from starfish_storage.metadata.sqlite.signals import CountedChanges
from starfish_storage.metadata.sqlite.starfish_copy import MigratedCopy, copy_if_older_untouched, copy_if_starfish
from starfish_storage.metadata.sqlite.untouched import UntouchedReaders, keeps_from_writing, refusal_of_writing
from starfish_storage.metadata.writer import Writer
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.times import utc_now

logger = get_logger(__name__)

Result = TypeVar("Result")

_READS_IN_A_ROW = 50
_LOOKED_UP_TOGETHER = 64


class Session(Lifecycle):
    """Opens the writer and the readers, and refuses use before, after, and in a forked child.

    A store of Starfish 0.1.x has readers only, of a copy, until the first write opens its writer, which migrates it.
    A store where nothing can be written has readers only, until a write finds that it can be.

    Args:
        root: absolute path of the directory of the database.
        open_commit: makes the group commit for the real path of that directory, in the writer's thread.
        data: where the data lies.
        vfs: name of the SQLite file layer.
        data_elsewhere: the data lies in another directory than the database.
        read_only: write nothing, whether it could be or not.
    """

    def __init__(
        self,
        root: str,
        open_commit: Callable[[str], GroupCommit],
        data: DataHandler,
        vfs: str | None,
        *,
        data_elsewhere: bool = False,
        read_only: bool = False,
    ) -> None:
        super().__init__()
        self.overwrites_data = True
        self._root = root
        self.place = f"{root}/{DATABASE_FILE}"
        self.queries = sqlite_queries()
        self._reads = 0
        self._open_commit = open_commit
        self._data = data
        self._vfs = vfs
        self._data_elsewhere = data_elsewhere
        self._read_only = read_only
        self._writer: Writer | None = None
        self._readers: Readers | None = None
        self._former_readers: list[Readers] = []
        self._commit: GroupCommit | None = None

    async def open(self) -> None:
        """Open what is not open, and the writer again if it has given up. Idempotent."""
        if self._forked:
            raise self._refusal()
        await asyncio.to_thread(self._open)

    async def close(self) -> None:
        """Finish what was accepted and close. Idempotent; does nothing in a forked child."""
        if not self._forked:
            await asyncio.to_thread(self._close)

    async def now(self) -> datetime:
        """See `Database.now`: this machine's."""
        return utc_now()

    async def write(self, operation: WriteOperation) -> None:
        """Hand an operation to the writer and wait until it is durable."""
        if self._writer is None and self._readers is not None:
            await asyncio.to_thread(self._begin_writing)
        if self._writer is None:
            raise self._refusal()
        await self._writer.run(operation)

    @property
    def only_reads(self) -> bool:
        """Whether nobody here puts in place what a killed writer has left in the journal."""
        return self._writer is None

    def check_open(self) -> None:
        """See `Database.check_open`."""
        self.readers()

    def readers(self) -> Readers:
        """Return the readers of the open database."""
        if self._readers is None:
            raise self._refusal()
        return self._readers

    def expect_worker(self) -> None:
        """See `Database.expect_worker`. There is nothing to do."""

    async def renew_lease(self, worker_id: str, master_job_id: str, seconds: float) -> Row | None:  # noqa: ARG002
        """See `Database.renew_lease`. One process at a time writes, whatever it writes."""
        return None

    def signals_of_inputs(self, master_job_id: str) -> CountedChanges:  # noqa: ARG002 (of which run is not known)
        """See `Database.signals_of_inputs`."""
        return CountedChanges(lambda: self.readers().changes())

    async def first(self, query: str, parameters: Row) -> Row | None:
        """See `Database.first`. Done on the spot."""
        self._reads += 1  # as in `_give_way`
        if self._reads % _READS_IN_A_ROW == 0:
            await asyncio.sleep(0)
        return self.readers().first(query, parameters)

    async def all_at_once(self, query: str, parameters: Row) -> list[Row]:
        """See `Database.all_at_once`. Done on the spot, as single rows are."""
        await self._give_way()
        return self.readers().all_at_once(query, parameters)

    async def all(self, query: str, parameters: Row, convert: Callable[[list[Row]], Result]) -> Result:
        """See `Database.all`. Done in the readers' pool."""
        return await self.readers().all(query, parameters, convert)

    async def all_of(self, name: str, keys: Sequence[str]) -> list[Row]:
        """See `Database.all_of`. Done in the readers' pool."""
        readers = self.readers()

        def found() -> list[Row]:
            parts = portions(keys, _LOOKED_UP_TOGETHER)
            return [
                row
                for part in parts
                for row in readers.all_at_once(self.queries.repeated(name, len(part)), tuple(part))
            ]

        return await readers.in_pool(found)

    async def _give_way(self) -> None:
        """Let other tasks run now and then: reading on the spot never waits, and a loop of it would starve them."""
        self._reads += 1
        if self._reads % _READS_IN_A_ROW == 0:
            await asyncio.sleep(0)

    def _open(self) -> None:
        with self._opening:
            if self._readers is not None:
                self._let_writer_go_if_broken()
                return
            # The real path: SQLite is told to follow no link, and would refuse a root that is reached through one.
            root = os.path.realpath(self._root)
            path = f"{root}/{DATABASE_FILE}"
            copy = None if self._read_only else copy_if_starfish(path, self._data)
            if copy is not None:
                self._readers = self._readers_of(copy, path)
            elif self._read_only or not self._can_be_written(root):
                self._open_for_reading(path)

    def _let_writer_go_if_broken(self) -> None:
        """Close a writer that has given up: the next write opens another, which puts right what this one left."""
        if self._writer is not None and self._commit is not None and self._commit.broken is not None:
            writer, self._writer = self._writer, None
            writer.stop()

    def _can_be_written(self, root: str) -> bool:
        """Open the store for writing; return False if it lies where nothing can be written, but can be read."""
        try:
            self._start(root)
        except StorageError as error:
            if not keeps_from_writing(error, root) or not _is_filled(f"{root}/{DATABASE_FILE}"):
                raise
            logger.info("the store at %r is opened for reading only: %s", self._root, error)
            return False
        return True

    def _open_for_reading(self, path: str) -> None:
        if not _is_filled(path):
            raise StoreOpenError(self._root, "it contains no store to read; give the directory of a store")
        try:
            copy = copy_if_older_untouched(path, self._data, data_elsewhere=self._data_elsewhere)
        except apsw.Error as error:
            raise translate(error, path) from error
        self._data.prepare_reading()
        self._readers = UntouchedReaders(path) if copy is None else self._readers_of(copy, path)

    def _readers_of(self, copy: MigratedCopy, path: str) -> Readers:
        copy_anew = partial(
            copy_if_older_untouched, path, self._data, data_elsewhere=self._data_elsewhere, has_changed=True
        )
        return CopiedReaders(path, copy, copy_anew)

    def _start(self, root: str) -> None:
        writer = Writer(partial(self._open_commit_in, root))
        writer.start()
        self._readers = Readers(f"{root}/{DATABASE_FILE}", self._vfs)
        self._writer = writer
        SPARES.hold()

    def _begin_writing(self) -> None:
        """Open the writer. The readers before it are kept until `close`: somebody may be using them."""
        with self._opening:
            former = self._readers
            if self._writer is not None or former is None:
                return
            if self._read_only:
                raise opened_read_only(self._root)
            try:
                self._start(os.path.realpath(self._root))
            except StorageError as error:
                raise refusal_of_writing(error, self._root) from error
            self._former_readers.append(former)

    def _open_commit_in(self, root: str) -> GroupCommit:
        self._commit = self._open_commit(root)
        return self._commit

    def _close(self) -> None:
        with self._opening:
            writer, self._writer = self._writer, None
            readers, self._readers = self._readers, None
            former, self._former_readers = self._former_readers, []
            self._was_open = self._was_open or readers is not None
            if readers is not None:
                readers.close()  # before the writer: the last connection to close tidies up the log
            for one in former:
                one.close()
            if writer is not None:
                SPARES.let_go()
                writer.stop()

    def _let_go(self) -> object:
        """See `Lifecycle`. A connection that is closed tidies up files that the parent has open."""
        kept = (self._commit, self._readers, self._former_readers)
        writer, self._writer, self._readers = self._writer, None, None
        self._former_readers = []
        if writer is not None:
            writer.abandon()
        if self._commit is not None:
            self._commit.leave_to_parent()
        return kept


def _is_filled(path: str) -> bool:
    try:
        return os.path.getsize(path) > 0
    except OSError:
        return False
