"""Which objects the rows of a store in PostgreSQL know of, removing those that they do not, and whose place it is.

The objects are listed first, and the rows are asked afterwards. The other way round, what was committed between the
two would be taken for unwanted.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from starfish_storage.interface import DataHandler
from starfish_storage.interface.inspection import FoundFile, Standing
from starfish_storage.keys import is_named_once, owner_uid, version_key, versions_named
from starfish_storage.metadata.data_owner import PLACE, Owner, UsedPlace
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.postgres.migrate import VERSION, refuse_other_version
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import only_value, only_values

_SAMPLE = 20  # of records, and of data without one: if all of them are missing, this is not the place
_STRONGEST: dict[str, int] = {"referenced": 0, "loose": 1, "removed": 2}


class PostgresCleaning:
    """Asks of objects, and removes them. Raises what the driver and the data handler raise.

    Args:
        connection: open; used by one thread.
        queries: the named queries.
        address: where the store lies.
    """

    def __init__(self, connection: PostgresConnection, queries: Queries, address: PostgresAddress) -> None:
        self._connection = connection
        self._queries = queries
        self._address = address

    def standing(self, objects: Sequence[str]) -> dict[str, Standing]:
        """See `RowInspection.standing`."""
        names = [(name, key, version) for name in objects for key, version in versions_named(name)]
        columns: tuple[list[str | None], ...] = (
            [name for name, _, _ in names],
            [key for _, key, _ in names],
            [owner_uid(key) for _, key, _ in names],
            [version for _, _, version in names],
        )
        found: dict[str, Standing] = {}
        for name, state in self._connection.execute(self._queries["find_standing"], columns):
            if name not in found or _STRONGEST[state] < _STRONGEST[found[name]]:
                found[name] = state
        return found

    def remove_unwanted(
        self, found: Sequence[FoundFile], data: DataHandler, is_old: Callable[[FoundFile], bool]
    ) -> list[FoundFile]:
        """See `RowInspection.remove_unwanted`.

        No group is written while the rows are asked once more and what might still be named by one is removed. Other
        objects are removed after that: nobody has to wait for it.
        """
        packs = [file.pack for file in found if file.pack is not None]
        with self._alone():
            if packs:
                self._connection.execute(self._queries["forget_loose_data_in_packs"], (packs,))
            used = set(only_values(self._connection.execute(self._queries["find_used_packs"], (packs,))))
            unused = [file for file in found if file.pack is not None and file.pack not in used]
            standing = self.standing([file.key for file in found if file.pack is None])
            unwanted = [file for file in found if file.pack is None and standing.get(file.key) in (None, "loose")]
            lasting = [file for file in unwanted if is_named_once(file.key)]
            others = [file for file in unwanted if file not in lasting and is_old(file)]
            loose = [file.key for file in (*lasting, *others) if standing.get(file.key) == "loose"]
            if loose:
                readings = [reading for name in loose for reading in versions_named(name)]
                keys, versions = map(list, zip(*readings, strict=True))
                self._connection.execute(self._queries["take_loose_data_of"], (keys, versions))
                self._connection.execute(self._queries["note_removals"], (loose,))
            if others:  # of requests that were never made: others wait for it, for once
                self._connection.execute(self._queries["rest"])
                data.remove_all([file.key for file in others])
        data.remove_all([file.key for file in lasting])
        gone = set(data.remove_packs([file.pack for file in unused if file.pack is not None]))
        if loose:
            self._connection.execute(self._queries["forget_removals"], (loose,))
        return [*lasting, *others, *(file for file in unused if file.pack in gone)]

    def remove_noted(self, objects: Sequence[str], data: DataHandler) -> list[str]:
        """Remove objects that are noted to be removed, unless somebody else does; return them.

        If a row refers to one, which cannot happen, it is only forgotten: otherwise the next worker would remove it.
        """
        with self._transaction():
            self._connection.execute(self._queries["rest"])
            taken = only_values(self._connection.execute(self._queries["take_stale_removals"], (list(objects),)))
            known = self.standing(taken)
            removed = [name for name in taken if name not in known]
            data.remove_all(removed)
        return removed

    @contextmanager
    def _alone(self) -> Generator[None]:
        with self._transaction():
            self._connection.execute(self._queries["lock_store"], (self._address.lock("store"),))
            refuse_other_version(self._connection.execute(self._queries["get_setting"], (VERSION,)), self._address)
            yield

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute(self._queries["begin"])
        try:
            yield
            self._connection.commit(self._queries["commit"])
        except BaseException:
            try:
                self._connection.execute(self._queries["rollback"])
            except Exception:  # noqa: BLE001 (then there is no transaction any more, and what matters was raised before)
                self._connection.give_up()
            raise


def owner_and_sample(
    connection: PostgresConnection, queries: Queries, address: PostgresAddress
) -> tuple[Owner, list[str]]:
    """Return what `data_owner.claim_data` needs: the store, and keys of some data that there must be."""
    identity = only_value(connection.execute(queries["get_store_identity"]).fetchone())
    found = connection.execute(queries["sample_data"], (_SAMPLE, _SAMPLE))
    sample = [version_key(key, version) for key, version in found]
    place = only_value(connection.execute(queries["get_setting"], (PLACE,)).fetchone())
    return Owner(identity, address.uri, UsedPlace.of_setting(place)), sample
