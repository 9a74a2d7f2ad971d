"""Whether there is a store, for those who want none to be made."""

from __future__ import annotations

import time

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.postgres.errors import is_hopeless, is_lost, not_opened, unavailable
from starfish_storage.metadata.postgres.migrate import schema_version
from starfish_storage.metadata.queries import postgres_queries

_LONGEST_PAUSE = 1.0  # between two tries


def is_there(address: PostgresAddress, patience: float) -> bool:
    """Return whether a store lies at an address. Makes nothing. Blocks.

    Args:
        address: where.
        patience: for how long a server that does not answer is waited for, in seconds.

    Raises:
        StorageUnavailableError: it did not answer.
        StoreOpenError: something else lies there, or it cannot be looked at.
    """
    connection = PostgresConnection(address, patience)

    def look() -> bool:
        connection.open()
        return schema_version(connection, postgres_queries(), address) is not None

    tries = Retrying(
        stop=stop_after_delay(patience),
        wait=wait_random_exponential(multiplier=0.05, max=_LONGEST_PAUSE),
        retry=retry_if_exception(lambda error: is_lost(error) and not is_hopeless(error)),
        reraise=True,
    )
    started = time.monotonic()
    try:
        return tries(look)
    except Exception as error:  # noqa: BLE001 (translated, whatever it is)
        if is_lost(error) and not is_hopeless(error):
            raise unavailable(address.uri, time.monotonic() - started, error) from None
        raise not_opened(error, address.uri) from None
    finally:
        connection.close()
