"""Which store a schema is, as the mark beside its data says it."""

from __future__ import annotations

from starfish_storage.interface import DataHandler
from starfish_storage.keys import version_key
from starfish_storage.metadata.data_owner import Owner
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import only_value

_SAMPLE = 20  # of records, and of data without one: if all of them are missing, this is not the place


def owner_and_sample(
    connection: PostgresConnection, queries: Queries, address: PostgresAddress, data: DataHandler
) -> tuple[Owner, DataHandler, list[str]]:
    """Return what `data_owner.claim_data` needs: the store, the place, and keys of some data that there must be."""
    identity = only_value(connection.execute(queries["get_store_identity"]).fetchone())
    found = connection.execute(queries["sample_data"], (_SAMPLE, _SAMPLE))
    sample = [version_key(key, version) for key, version in found]
    return Owner(identity, address.uri), data, sample
