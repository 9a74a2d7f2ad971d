"""The life of a store in PostgreSQL: from setup to close, and what a fork does to it."""

from __future__ import annotations

import asyncio
import atexit
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from typing import TypeVar

from starfish_storage.files.spare_descriptors import SPARES
from starfish_storage.interface import AskedLayout, DataHandler
from starfish_storage.metadata.lifecycle import Lifecycle, opened_read_only
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.commit import PostgresCommit
from starfish_storage.metadata.postgres.inspection import PostgresInspection
from starfish_storage.metadata.postgres.packed_puts import PackedPuts
from starfish_storage.metadata.postgres.puts import DataPuts
from starfish_storage.metadata.postgres.readers import PostgresReaders
from starfish_storage.metadata.postgres.standing import InputSignals, StandingConnection
from starfish_storage.metadata.queries import postgres_queries
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.writer import Writer

Result = TypeVar("Result")

_KEYS_AT_ONCE = 1000
_EXIT_SECONDS = 5.0  # a program that never closed its storage waits at most so long at its end


class PostgresDatabase(Lifecycle):
    """Opens the writer, the readers and what puts data, and refuses use before, after, and in a forked child.

    Args:
        address: where the store lies.
        data: where its data lies.
        patience: for how long a call waits for a server that does not answer, in seconds.
        read_only: write nothing: nothing is made, migrated or marked as this store's.
        layout: where new record data goes, in a new store; None: into files, or where an existing store puts it.
    """

    def __init__(
        self,
        address: PostgresAddress,
        data: DataHandler,
        patience: float,
        *,
        read_only: bool = False,
        layout: AskedLayout | None = None,
    ) -> None:
        super().__init__()
        self.overwrites_data = False
        self.place = address.uri
        self.queries = postgres_queries()
        self._address = address
        self._data = data
        self._patience = patience
        self._read_only = read_only
        self._layout: AskedLayout | None = layout
        self._abandoned = threading.Event()
        self._writer: Writer | None = None
        self._readers: PostgresReaders | None = None
        self._puts: DataPuts | PackedPuts | None = None
        self._standing: StandingConnection | None = None
        self._is_packed = False

    @property
    def is_packed(self) -> bool:
        """Whether record data goes into packs; known once it was opened, be it for reading."""
        return self._is_packed

    async def open(self) -> None:
        """See `Database.open`."""
        if self._forked:
            raise self._refusal()
        self._abandoned.clear()
        try:
            await asyncio.to_thread(self._open)
        except asyncio.CancelledError:
            self._abandoned.set()  # the thread would go on waiting for the server, and the event loop for the thread
            raise

    async def close(self) -> None:
        """See `Database.close`. Does nothing in a forked child."""
        if not self._forked:
            await asyncio.to_thread(self._close)

    def check_open(self) -> None:
        """See `Database.check_open`."""
        if self._readers is None:
            raise self._refusal()

    async def now(self) -> datetime:
        """See `Database.now`: the server's."""
        ((now,),) = await self._fetch(self.queries["get_now"], ())
        return now

    async def write(self, operation: WriteOperation) -> None:
        """See `Database.write`. Cancelling the wait abandons only the wait."""
        writer, puts = self._writer, self._puts
        if writer is None or puts is None:
            raise self._refusal() if self._readers is None else opened_read_only(self.place)
        if not operation.data:
            await writer.run(operation)
            return
        operation.future = asyncio.get_running_loop().create_future()
        puts.put(operation)
        await operation.future

    def expect_worker(self) -> None:
        """See `Database.expect_worker`."""
        if self._standing is not None:
            self._standing.connect()

    async def renew_lease(self, worker_id: str, master_job_id: str, seconds: float) -> Row | None:
        """See `Database.renew_lease`."""
        return None if self._standing is None else await self._standing.renew(worker_id, master_job_id, seconds)

    def signals_of_inputs(self, master_job_id: str) -> InputSignals:
        """See `Database.signals_of_inputs`."""
        if self._standing is None:
            raise self._refusal() if self._readers is None else opened_read_only(self.place)
        return self._standing.signals(master_job_id)

    async def first(self, query: str, parameters: Row) -> Row | None:
        """See `Database.first`."""
        found = await self._fetch(query, parameters)
        return found[0] if found else None

    async def all_at_once(self, query: str, parameters: Row) -> list[Row]:
        """See `Database.all_at_once`."""
        return await self._fetch(query, parameters)

    async def all(self, query: str, parameters: Row, convert: Callable[[list[Row]], Result]) -> Result:
        """See `Database.all`. Many rows are converted in a thread, so that the event loop goes on."""
        found = await self._fetch(query, parameters)
        if len(found) < _KEYS_AT_ONCE:
            return convert(found)
        converted: list[Result] = []
        await asyncio.to_thread(lambda: converted.append(convert(found)))
        return converted[0]

    async def all_of(self, name: str, keys: Sequence[str]) -> list[Row]:
        """See `Database.all_of`."""
        found: list[Row] = []
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            part = tuple(keys[start : start + _KEYS_AT_ONCE])
            found += await self._fetch(self.queries.repeated(name, len(part)), part)
        return found

    async def _fetch(self, query: str, parameters: Row) -> list[Row]:
        if self._readers is None:
            raise self._refusal()
        return await self._readers.fetch(query, parameters)

    def _open(self) -> None:
        with self._opening:
            if self._readers is not None:
                return
            if self._read_only:
                self._open_for_reading()
                return
            opened: list[PostgresCommit] = []

            def open_commit() -> PostgresCommit:
                opened.append(PostgresCommit(self._address, self._data, self._patience, self._abandoned, self._layout))
                return opened[0]

            writer = Writer(open_commit)
            writer.start()
            readers = PostgresReaders(self._address, self._patience)
            readers.start()
            self._is_packed = opened[0].layout == "packed"
            kind = PackedPuts if self._is_packed else DataPuts
            puts = kind(self._data, writer.hand_in)
            puts.start()
            atexit.register(self._end_at_exit)
            SPARES.hold()
            self._writer, self._readers, self._puts = writer, readers, puts
            self._standing = StandingConnection(self._address, self._patience)

    def _open_for_reading(self) -> None:
        """Open the readers of a store that is there, of this release's version, and whose data is its own."""
        self._data.prepare_reading()
        with closing(PostgresInspection(self._address, self._patience)) as inspection:
            check = inspection.check_of_data(self._data)
            self._is_packed = inspection.layout() == "packed"
        self._data.check_before_reading(check)
        readers = PostgresReaders(self._address, self._patience, read_only=True)
        readers.start()
        self._readers = readers

    def _close(self) -> None:
        with self._opening:
            writer, readers, puts = self._writer, self._readers, self._puts
            standing, self._standing = self._standing, None
            self._writer = self._readers = self._puts = None
            self._was_open = self._was_open or readers is not None
            if standing is not None:
                standing.close()
            if puts is not None:
                atexit.unregister(self._end_at_exit)
                SPARES.let_go()
                puts.stop()
            if writer is not None:
                writer.stop()
            if readers is not None:
                readers.close()

    def _end_at_exit(self) -> None:
        """Finish what was accepted, as far as that is soon done: the program never closed its storage."""
        end = time.monotonic() + _EXIT_SECONDS
        if self._puts is not None:
            self._puts.stop(_EXIT_SECONDS)  # before the writer: what was put still has to be committed
        if self._writer is not None:
            self._writer.stop(max(0.0, end - time.monotonic()))

    def _let_go(self) -> object:
        """See `Lifecycle`. Closing a connection would end the parent's session."""
        writer, puts = self._writer, self._puts
        kept = writer, puts, self._readers, self._standing
        self._writer = self._readers = self._puts = self._standing = None
        if puts is not None:
            atexit.unregister(self._end_at_exit)
        if writer is not None:
            writer.abandon()
        return kept
