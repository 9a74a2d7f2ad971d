"""Putting data elsewhere that stays as it is, in a store in PostgreSQL: out of small packs into larger ones.

The store may be in use. In the transaction that says where data lies now it is seen whether it still lay where it was
read: what was replaced or removed meanwhile stays as it is, and its copy is nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

from starfish_storage.interface import DataHandler, Layout
from starfish_storage.keys import PackPlace, owner_uid, packed_at, time_of_pack
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.postgres.database import PostgresDatabase
from starfish_storage.metadata.queries import postgres_queries
from starfish_storage.metadata.row import only_values
from starfish_storage.metadata.row_writer import RowWriter

_PACKS_AT_ONCE = 1000
_YOUNG_SECONDS = 3600.0  # as the shortest grace period of `collect`; clocks may differ


class Moved(Protocol):
    """Data as it was read in order to be put elsewhere."""

    @property
    def key(self) -> str:
        """What rows call it."""
        ...

    @property
    def before(self) -> PackPlace | None:
        """Where it lay."""
        ...

    @property
    def payload(self) -> bytes:
        """Its bytes."""
        ...


class PostgresRepacking:
    """Reads what packs hold, and moves it, as ordinary groups of the writer. Raises nothing of its own.

    Args:
        database: the open database.
        data: where the data lies.
    """

    def __init__(self, database: PostgresDatabase, data: DataHandler) -> None:
        self._database = database
        self._data = data
        self._queries = postgres_queries()

    @property
    def is_packed(self) -> bool:
        """Whether the store puts record data into packs."""
        return self._database.is_packed

    async def packs(self, master_job_id: str | None) -> list[str]:
        """Return the names of the packs that rows name, in order; those of rows of a master job, if one is given."""
        if master_job_id is None:
            return only_values(await self._database.all(self._queries["list_used_packs"], (), list))
        parameters = (master_job_id, master_job_id)
        return only_values(await self._database.all(self._queries["list_packs_of_run"], parameters, list))

    async def sizes(self, packs: Sequence[str]) -> dict[str, int]:
        """Return how many bytes of packs rows need."""
        found: dict[str, int] = {}
        for start in range(0, len(packs), _PACKS_AT_ONCE):
            some = list(packs[start : start + _PACKS_AT_ONCE])
            found.update(await self._database.all(self._queries["measure_packs"], (some,), list))
        return found

    async def contents(self, packs: Sequence[str]) -> list[tuple[str, PackPlace]]:
        """Return what rows name of packs, in order: the keys of data, and where it lies."""
        names = list(packs)
        found = await self._database.all(self._queries["every_content_of_packs"], (names, names, names), list)
        places = [(key, place) for key, version in found if (place := packed_at(version)) is not None]
        return sorted(places, key=lambda one: one[1])

    async def move(self, moved: Sequence[Moved], layout: Layout | None = "packed") -> int:  # noqa: ARG002 (no other)
        """Append data to packs anew, and return how much of it lies there now. Durable.

        What was replaced or removed since it was read stays as it is. What it leaves is a dead range.

        Args:
            moved: in packs, 32 MiB at most.
            layout: packs, in a store that is packed.
        """
        return sum([await self._move(part) for part in _of_distinct_keys(moved)])

    async def give_up(self, packs: Sequence[str]) -> list[str]:
        """Return those of some packs that no row names, and that none can come to name: they can be removed.

        A group under way may still save what it has read of one before: so it is asked while there is none. And what
        was put together may be committed in several groups: of a pack that is younger than an hour, somebody may yet
        save a row. It is left to `collect`.
        """
        before = (await self._database.now()).timestamp() - _YOUNG_SECONDS
        free = {pack for pack in packs if time_of_pack(pack) < before}

        def ask(writer: RowWriter) -> None:
            free.difference_update(only_values(writer.execute("find_used_packs", (sorted(free),))))

        if free:
            await self._database.write(WriteOperation(ask, removals=(0, 0)))
        return sorted(free)

    async def _move(self, moved: Sequence[Moved]) -> int:
        operation = WriteOperation(data=[self._data.write(one.key, one.payload) for one in moved])
        there: list[str] = []
        operation.apply = partial(_note_moved, operation, moved, there)
        await self._database.write(operation)
        return len(there)


def _note_moved(operation: WriteOperation, moved: Sequence[Moved], there: list[str], writer: RowWriter) -> None:
    rows = [(one.key, one.before.version) for one in moved if one.before is not None]
    keys, befores = [key for key, _ in rows], [before for _, before in rows]
    versions = [operation.versions[key] for key in keys]
    found = writer.execute("move_data", (list(map(owner_uid, keys)), keys, befores, versions))
    there[:] = only_values(found)


def _of_distinct_keys(moved: Sequence[Moved]) -> Iterator[list[Moved]]:
    """Split data so that no key comes twice in a part: its versions may lie in one pack."""
    rest = list(moved)
    while rest:
        part = {one.key: one for one in rest}
        yield list(part.values())
        rest = [one for one in rest if part[one.key] is not one]
