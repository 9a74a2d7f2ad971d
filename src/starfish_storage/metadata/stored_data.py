"""Data that a ledger has to look at: the outputs that are about to be replaced, and versions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from starfish_storage.codec import content_digest, decode
from starfish_storage.errors import SEE_DAMAGE, DataLostError, DataNotFoundError, StoreDamagedError
from starfish_storage.interface import DataHandler
from starfish_storage.interface.version_rows import WholeVersionRow
from starfish_storage.keys import check_place
from starfish_storage.metadata.database import Database
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.row import only_value

_LOOKS = 5  # at data that is not what its row says: it may be about to be put in place


async def read_stored(database: Database, data: DataHandler, place: str, digest: str | None) -> bytes:
    """Return the data that lies in a place.

    Args:
        database: knows what is committed and not yet in place.
        data: where the data lies.
        place: the key under which the data handler has it.
        digest: what it was when it was saved; None if that is not known.

    Raises:
        DataLostError: it is missing.
        StoreDamagedError: it is not what was saved.
    """
    check_place(place)
    payload: bytes | None = None
    for _ in range(_LOOKS):
        for payload in (await _in_place(data, place), await _journaled(database, place)):
            if payload is not None and digest in (None, content_digest(payload)):
                return payload
        await asyncio.sleep(0)
    if await _in_place(data, place) is None:
        raise DataLostError(data.to_reference(place))
    raise StoreDamagedError(data.to_reference(place), f"it is not what was saved (its SHA-256 differs); {SEE_DAMAGE}")


def decoded(payload: bytes, reference: str) -> dict[str, Any]:
    """Return what data says.

    Raises:
        StoreDamagedError: it is not a JSON object.
    """
    try:
        found = decode(payload)
    except (ValueError, RecursionError) as error:
        raise StoreDamagedError(reference, f"it is not JSON ({len(payload)} bytes); {SEE_DAMAGE}") from error
    return found


def dropping(database: Database, data: DataHandler, versions: Sequence[WholeVersionRow]) -> WriteOperation:
    """Return the operation that removes versions with their data."""
    rows = [one.version for one in versions]
    keys = [row.output_ref for row in rows if row.output_ref is not None] if database.overwrites_data else []
    return WriteOperation(lambda writer: writer.drop_versions(rows), drops=list(map(data.remove, keys)))


async def _in_place(data: DataHandler, place: str) -> bytes | None:
    def read() -> bytes | None:
        try:
            return data.read(place)
        except DataNotFoundError:
            return None

    # A hop to another thread would cost more than the read of a file.
    return read() if data.parallel == 1 else await asyncio.to_thread(read)


async def _journaled(database: Database, place: str) -> bytes | None:
    if not database.overwrites_data:
        return None  # it lies there before its row does
    found: bytes | None = only_value(await database.first(database.queries["get_journaled_data"], (place,)))
    return found
