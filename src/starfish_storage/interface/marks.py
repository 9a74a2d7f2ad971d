"""The contract of the marks that say whose data lies in a place."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from starfish_storage.keys import CONFIG_DIRECTORY, OWNERS_DIRECTORY, PACKS_DIRECTORY, STAGING_DIRECTORY

_OWN_DIRECTORY = re.compile(
    rf"(?:{CONFIG_DIRECTORY}|{STAGING_DIRECTORY}|{OWNERS_DIRECTORY}|{PACKS_DIRECTORY}|data/[^/]{{2}})(?:/.*)?",
    re.DOTALL,
)


def owner_key(identity: str, claim: str) -> str:
    """Return the key of the mark that a store leaves when it claims a place.

    >>> owner_key("3fa9", "07")
    'owners/3fa9-07.json'
    """
    return f"{OWNERS_DIRECTORY}/{identity}-{claim}.json"


def owner_named(key: str) -> str:
    """Return the identity of the store that has left such a mark.

    >>> owner_named("owners/3fa9-07.json")
    '3fa9'
    """
    return key.rpartition("/")[2].partition("-")[0]


def holds_no_places(directory: str) -> bool:
    """Return whether a directory, relative to the root, holds what a store keeps there, and nothing else.

    >>> [holds_no_places(one) for one in ("data", "data/3f", "data/packs", "data/other", "configs", "b")]
    [False, True, True, False, True, False]
    """
    return _OWN_DIRECTORY.fullmatch(directory) is not None


class PlaceMarks(ABC):
    """Small files or objects beside the data of a store. Each is whole or absent. All methods may block.

    Used while a store is opened, and by `collect`: never for a single call.
    """

    @abstractmethod
    def put(self, key: str, payload: bytes) -> None:
        """Put a mark under a key that nobody else uses. Idempotent. Durable.

        Raises:
            StorageIOError: it failed.
            StorageUnavailableError: the place could not be reached.
        """

    @abstractmethod
    def put_if_absent(self, key: str, payload: bytes) -> bool:
        """Put a mark unless there is one; return False if there was. Idempotent. Durable.

        An object store that does not know the condition overwrites: read the mark again.

        Raises:
            StorageIOError: it failed.
            StorageUnavailableError: the place could not be reached.
        """

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove a mark; one that is not there is fine. Idempotent. Not durable.

        Raises:
            StorageIOError: it failed.
            StorageUnavailableError: the place could not be reached.
        """

    @abstractmethod
    def below(self, directory: str) -> list[str]:
        """Return the keys of the marks in a directory, as they are now.

        Raises:
            StorageIOError: it cannot be listed.
            StorageUnavailableError: the place could not be reached.
        """

    @abstractmethod
    def around(self, name: str) -> list[str]:
        """Return the references of marks of a name in the places above this one and below it.

        Of what lies below, some hundred directories are looked at. What this user may not look at is passed over.

        Raises:
            StorageUnavailableError: the place could not be reached.
        """
