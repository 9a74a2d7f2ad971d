"""Putting data elsewhere that stays as it is: into another pack, out of packs, into packs.

The store may be in use. What is moved was read before, and in the transaction that says where it lies now it is seen
whether it still lay there: what was replaced or removed meanwhile stays as it is, and its copy is nobody's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from starfish_storage.codec import content_digest
from starfish_storage.errors import DataNotFoundError
from starfish_storage.interface import DataHandler, Layout
from starfish_storage.keys import PackPlace, owner_uid, place_in_pack
from starfish_storage.metadata.layout import LAYOUT
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.row_writer import RowWriter, portions
from starfish_storage.metadata.sqlite.database import Session
from starfish_storage.metadata.sqlite.pack_rows import PackRows
from starfish_storage.metadata.sqlite.packing import NewData


class MovedData(NamedTuple):
    """Data as it was read in order to be put elsewhere.

    Attributes:
        key: what rows call it.
        before: where it lay in a pack; None: it was a file.
        payload: its bytes.
        line: what is written in their place, the same JSON in one line, and noted in the rows with its digest; None:
            the bytes as they are, whose digest the rows know.
    """

    key: str
    before: PackPlace | None
    payload: bytes
    line: bytes | None = None


class Repacking:
    """Moves data within a store, as ordinary groups of its writer.

    Args:
        session: the open database.
        data: where the data lies.

    Attributes:
        rows: what rows say of packs.
    """

    def __init__(self, session: Session, data: DataHandler) -> None:
        self._session = session
        self._data = data
        self.rows = PackRows(session)

    async def move(self, moved: Sequence[MovedData], layout: Layout | None = None) -> int:
        """Write data anew where new data of the store goes, and return how much of it lies there now. Durable.

        What was replaced or removed since it was read stays as it is. What goes into a pack has no file afterwards;
        what leaves one leaves a dead range.

        Args:
            moved: of distinct keys, 32 MiB at most.
            layout: where to write it, if not where new data goes.

        Raises:
            StorageError: it failed, and everything is as it was.
        """
        writes = [self._data.write(one.key, one.payload if one.line is None else one.line) for one in moved]
        operation = WriteOperation(data=writes, layout=layout)
        operation.apply = partial(self._note_stale, operation, moved)
        await self._session.write(operation)
        return len(moved) - len(operation.stale)

    async def point(self, places: Mapping[str, PackPlace]) -> None:
        """Say that data lies in a place of a pack where its bytes were found, by key. Durable.

        Nobody else has the store open.

        Raises:
            StorageError: it failed, and everything is as it was.
        """

        def apply(writer: RowWriter) -> None:
            for key, place in places.items():
                writer.execute("save_packed_data", (key, *place))

        await self._session.write(WriteOperation(apply))

    async def set_sizes(self, sizes: Mapping[str, int]) -> None:
        """Say how much of packs is committed, whatever was said before. Durable.

        Raises:
            StorageError: it failed, and everything is as it was.
        """

        def apply(writer: RowWriter) -> None:
            for row in sizes.items():
                writer.execute("set_pack_size", row)

        await self._session.write(WriteOperation(apply))

    async def forget(self, keys: Sequence[str]) -> list[str]:
        """Forget where data lies in packs that no record has come to refer to, and return its keys. Durable.

        Raises:
            StorageError: it failed, and everything is as it was.
        """
        forgotten: list[str] = []

        def apply(writer: RowWriter) -> None:
            for key in keys:
                if writer.first("get_data_digest", (owner_uid(key), key, key, key)) is None:
                    writer.execute("delete_packed_data", (key,))
                    forgotten.append(key)

        await self._session.write(WriteOperation(apply))
        return forgotten

    async def set_layout(self, layout: NewData) -> None:
        """Say where new record data goes from now on. Idempotent. Durable."""
        await self._session.write(WriteOperation(lambda writer: _set_layout(writer, layout)))

    async def give_up(self, packs: Collection[str]) -> list[str]:
        """Give up packs that neither a row nor the journal names, and return them: their files can be removed. Durable.

        Their rows stay, with a size of 0, so that no other pack is ever given one of these names: whoever still knows a
        place in it, or has its file open, would read another's data. The caller holds the locks of the packs, so that
        nobody appends to one.

        Raises:
            StorageError: it failed, and everything is as it was.
        """
        free: set[str] = set()

        def apply(writer: RowWriter) -> None:
            ranges = map(place_in_pack, writer.values("every_journaled_pack"))
            named = {*writer.values("every_used_pack"), *(place.pack for place in ranges if place is not None)}
            free.update(packs)
            free.difference_update(named)
            for pack in free:
                writer.execute("set_pack_size", (pack, 0))

        await self._session.write(WriteOperation(apply))
        return sorted(free)

    def _note_stale(self, operation: WriteOperation, moved: Sequence[MovedData], writer: RowWriter) -> None:
        lies: dict[str, PackPlace] = {}
        for part in portions(moved, writer.most_rows):
            rows = writer.execute_repeated("list_packed_data", len(part), tuple(one.key for one in part))
            lies.update((str(key), PackPlace._make(place)) for key, *place in rows)
        operation.stale = {one.key for one in moved if not self._is_the_same(one, lies.get(one.key), writer)}
        for one in moved:
            if one.line is not None and one.key not in operation.stale:
                _note_digest(writer, one.key, content_digest(one.line))

    def _is_the_same(self, one: MovedData, now: PackPlace | None, writer: RowWriter) -> bool:
        if one.before is not None or now is not None:
            return one.before == now  # what lies in a pack is never changed
        rows = writer.execute("get_data_digest", (owner_uid(one.key), one.key, one.key, one.key)).fetchall()
        digests = {digest for _, digest in rows if digest is not None}
        if digests:
            return digests == {content_digest(one.payload)}
        try:
            return self._data.read(one.key) == one.payload  # all that was committed is in place: the writer is locked
        except DataNotFoundError:
            return False


def _note_digest(writer: RowWriter, key: str, digest: str) -> None:
    """Note the digest of data in the rows of the record whose it is, and of those that borrow it."""
    for uid, before, of in [
        *writer.execute("get_digest_of_own_data", (owner_uid(key), key)).fetchall(),
        *writer.execute_repeated("list_borrowers", 1, (key,)).fetchall(),
    ]:
        if before != digest and of == key:
            writer.change("set_data_digest", (digest, uid))


def _set_layout(writer: RowWriter, layout: NewData) -> None:
    writer.execute("save_setting", (LAYOUT, layout))
