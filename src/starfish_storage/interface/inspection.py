"""The contracts of checking and cleaning: what is asked of the rows of a store, and of the place of its data.

They meet in `starfish_storage.maintenance`, which compares the two and knows neither of them. Everything is asked
in pages, and nothing is kept: a store may have more records than a machine has memory for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from starfish_storage.interface.data import DataHandler

Standing = Literal["referenced", "loose", "removed"]
"""What the rows know of an object: a record or master job refers to it, or it is on its way to one; it was saved
without a record; it is to be removed."""


class RowFault(NamedTuple):
    """Something that is wrong with the rows alone.

    Attributes:
        kind: the kind of finding, as in `maintenance.Finding`.
        subject: what it concerns: an id, or a part of the database.
        detail: what is the matter; never content.
    """

    kind: str
    subject: str
    detail: str


class DataReference(NamedTuple):
    """Data that there must be.

    Attributes:
        key: what rows call it.
        place: the key under which it lies: the same, or that of its current version.
        sha256: what it was when it was saved, in hex; None if that is not known.
        payload: what is committed and not yet in place; None if it is in place.
    """

    key: str
    place: str
    sha256: str | None
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file or an object, or what stands in the place of one.

    Attributes:
        key: its path relative to the root, with ``/``.
        size: in bytes.
        modified: when its content was last changed, in nanoseconds since 1970.
        changed: when its content or its name was, or that it was made.
        is_data: it is one under a key of record data or of a request configuration.
        pack: the name of the pack that it is; None: it is none.
    """

    key: str
    size: int
    modified: int
    changed: int
    is_data: bool
    pack: str | None = None


class DataInventory(ABC):
    """What lies in the place of a store's data, found by looking and not from the rows."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where that is, for people."""

    @abstractmethod
    def pages(self) -> Iterator[Sequence[FoundFile]]:
        """Yield all below ``data/`` and ``configs/``, a page at a time. May block.

        What is put or removed meanwhile may be in it or not.

        Raises:
            StorageIOError: it cannot be looked at.
        """

    @abstractmethod
    def find(self, key: str) -> FoundFile | None:
        """Return what lies under a key now. May block. Raises nothing of its own."""

    @abstractmethod
    def leftovers(self) -> list[FoundFile]:
        """Return what is being written, or was when its writer died. May block. Raises nothing of its own."""

    @abstractmethod
    def has_writer(self, found: FoundFile) -> bool:
        """Return whether the writer of a leftover may be alive, as far as can be seen. Raises nothing of its own."""

    @abstractmethod
    def remove_leftover(self, found: FoundFile) -> None:
        """Remove what a dead writer left. May block. Idempotent. Not durable. Raises nothing of its own."""

    @abstractmethod
    def close(self) -> None:
        """Release what was acquired. Idempotent. Changes no data. Raises nothing of its own."""


class RowInspection(ABC):
    """Reads the rows of a store in order to check them; the store may be in use. For one thread at a time. May block.

    Nothing is migrated, replayed or tidied up, and only the ``remove_`` methods change anything.
    """

    @property
    @abstractmethod
    def uri(self) -> str:
        """Where the rows lie, without a password."""

    @abstractmethod
    def close(self) -> None:
        """Close what was opened. Idempotent. Changes no data. Raises nothing of its own."""

    @abstractmethod
    def now(self) -> int:
        """Return the time by the clock that all who use the store have in common, in nanoseconds since 1970.

        Raises nothing of its own.
        """

    @abstractmethod
    def refuse_other_data(self, data: DataHandler, *, strictly: bool) -> None:
        """Raise if a place holds the data of another store.

        Args:
            data: the place.
            strictly: it must be known to be this store's; else it is enough that nothing speaks against it.

        Raises:
            StoreOpenError: it does; names both.
        """

    @abstractmethod
    def refuse_damage(self) -> None:
        """Raise if the rows are damaged so that what is there might not be found.

        Raises:
            StoreDamagedError: they are.
        """

    @abstractmethod
    def faults(self) -> Iterator[RowFault]:
        """Yield what is wrong with the rows alone: parents, counts, times, JSON, and the database itself.

        Raises nothing of its own.
        """

    @abstractmethod
    def count_data(self) -> tuple[int, int]:
        """Return how many records have data, and how many references `data_references` yields, about.

        Raises nothing of its own.
        """

    @abstractmethod
    def data_references(self) -> Iterator[Sequence[DataReference]]:
        """Yield all record data that there must be, a page at a time. Of data that changes meanwhile, any version.

        Raises nothing of its own.
        """

    @abstractmethod
    def request_config_references(self) -> Iterator[Sequence[str]]:
        """Yield the keys of the request configurations that master jobs refer to, a page at a time.

        Raises nothing of its own.
        """

    @abstractmethod
    def locate(self, key: str) -> list[DataReference]:
        """Return what is committed now of a key of record data or of a request configuration; nothing if nothing is.

        Raises nothing of its own.
        """

    @abstractmethod
    def standing(self, objects: Sequence[str]) -> dict[str, Standing]:
        """Return what is committed now of objects; those that nothing knows are left out. Raises nothing of its own."""

    @abstractmethod
    def packs_in_use(self, packs: Sequence[str]) -> dict[str, int]:
        """Return how many bytes of packs are data that rows need; packs that no row needs are left out.

        Raises nothing of its own.
        """

    @abstractmethod
    def stale_removals(self) -> Iterator[str]:
        """Yield the objects that were to be removed, and that whoever was to remove them has left behind.

        Raises nothing of its own.
        """

    @abstractmethod
    def remove_unwanted(
        self, found: Sequence[FoundFile], data: DataHandler, is_old: Callable[[FoundFile], bool]
    ) -> list[FoundFile]:
        """Remove objects and packs that nothing refers to now, so that nothing can come to refer to one meanwhile.

        Idempotent. Not durable: what a power cut brings back is found again.

        Data that was saved without a record goes too, and is forgotten.

        Args:
            found: objects that are older than the grace period.
            data: where they lie.
            is_old: looks again whether one is; a request configuration may have been saved anew.

        Returns:
            What was removed.

        Raises:
            StorageError: some of them may be removed.
        """

    @abstractmethod
    def remove_stale(self, data: DataHandler) -> list[str]:
        """Remove what `stale_removals` yields, and return it. Idempotent. Not durable.

        Raises:
            StorageError: some of them may be removed.
        """
