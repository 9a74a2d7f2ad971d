"""The place of a store's data in PostgreSQL: claimed when the store is opened, and named by the first rows."""

from __future__ import annotations

from starfish_storage.interface import DataHandler
from starfish_storage.metadata.data_owner import PLACE, claim_data, named_place, refuse_other_data
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.cleaning import owner_and_sample
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.queries import Queries


class ClaimedPlace:
    """Claims a place, and has the first rows name it. Raises what the driver and the data handler raise.

    Args:
        connection: the writing connection.
        queries: the named queries.
        address: where the store lies.
        data: the place.
    """

    def __init__(
        self, connection: PostgresConnection, queries: Queries, address: PostgresAddress, data: DataHandler
    ) -> None:
        self._connection = connection
        self._queries = queries
        self._address = address
        self._data = data
        self._is_named = False

    @property
    def is_named(self) -> bool:
        """Whether committed rows name it."""
        return self._is_named

    def claim(self) -> None:
        """See `claim_data`."""
        owner, sample = owner_and_sample(self._connection, self._queries, self._address)
        claim_data(owner, self._data, sample)
        self._is_named = owner.place is not None

    def name(self) -> None:
        """Have the rows of this transaction name the place, if none has, after a last look at it.

        Raises:
            StoreOpenError: it is another store's as well, or another process of this store has named another place.
        """
        if self._is_named:
            return
        owner, _ = owner_and_sample(self._connection, self._queries, self._address)
        if owner.place is None:
            place = named_place(owner, self._data)
            self._connection.execute(self._queries["add_setting"], (PLACE, place.setting))
            owner, _ = owner_and_sample(self._connection, self._queries, self._address)
        refuse_other_data(owner, self._data, ())

    def note_commit(self) -> None:
        """Name it no more: a transaction was committed."""
        self._is_named = True
