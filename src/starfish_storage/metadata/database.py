"""What the handlers need of an open database, whatever the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.signals import Signals

Result = TypeVar("Result")


class Database(Protocol):
    """A database that is open between `open` and `close`; every other call is refused before and after."""

    @property
    def queries(self) -> Queries:
        """The named queries of its engine."""
        ...

    @property
    def overwrites_data(self) -> bool:
        """Whether new data of a record is written over the old, so that what is to stay has to be copied."""
        ...

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        ...

    async def open(self) -> None:
        """Open what is not open. Idempotent."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and close. Idempotent."""
        ...

    def check_open(self) -> None:
        """Raise unless it can be used now, in this process."""
        ...

    async def now(self) -> datetime:
        """Return the time by the clock that all who use the store share."""
        ...

    async def write(self, operation: WriteOperation) -> None:
        """Hand an operation in and wait until it is durable."""
        ...

    def expect_worker(self) -> None:
        """Get ready, in the background, to renew the lease of a worker that is just being noted."""
        ...

    async def renew_lease(self, worker_id: str, master_job_id: str, seconds: float) -> Row | None:
        """Renew the lease of a noted worker beside all groups, and return its row; None: it has to be done in one."""
        ...

    def signals_of_inputs(self, master_job_id: str) -> Signals:
        """Return what is heard of the inputs of a run."""
        ...

    async def first(self, query: str, parameters: Row) -> Row | None:
        """Return the first row of a query over an index."""
        ...

    async def all_at_once(self, query: str, parameters: Row) -> list[Row]:
        """Return all rows of a query that can have but a few."""
        ...

    async def all(self, query: str, parameters: Row, convert: Callable[[list[Row]], Result]) -> Result:
        """Return the converted rows of a query."""
        ...

    async def all_of(self, name: str, keys: Sequence[str]) -> list[Row]:
        """Return the rows of a repeated query over any number of keys."""
        ...
