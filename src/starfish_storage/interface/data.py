"""The contract of a data handler: where the JSON of records and request configurations lies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

from starfish_storage.errors import InvalidInputError, StorageError
from starfish_storage.interface.marks import PlaceMarks
from starfish_storage.keys import PackPlace

Layout = Literal["files", "packed"]
"""Where a store puts new record data. ``"files"``: into a file or an object of its own for each record. ``"packed"``:
into packs, files or objects of many records, one a line."""

AskedLayout = Literal["files", "packed", "packed if new"]
"""What who opens a store asks for: one of the layouts, or packs in a new store and in others what there is."""


class CommittedSizes(Protocol):
    """What rows know of packs. Raises nothing of its own."""

    def __call__(self, packs: Sequence[str], /) -> Mapping[str, int]:
        """Return of those packs that the rows know how much of each is committed, in bytes."""
        ...

    def last_end(self, pack: str, /) -> int:
        """Return how far the last place goes that a row names in a pack: no more than is committed. May be slow."""
        ...


class DataWrite(ABC):
    """One change to data, which the metadata handler makes part of its own commit.

    The order is `stage`, then the commit of the rows and of the payload journal, then `publish`. Every
    method runs in the writer's thread and may block.

    Attributes:
        key: the root-relative key that is written or removed.
        payload: the bytes to write; None to remove the key.
    """

    __slots__ = ("key", "payload")

    def __init__(self, key: str, payload: bytes | None) -> None:
        self.key = key
        self.payload = payload

    @abstractmethod
    def stage(self) -> None:
        """Do all that can fail for lack of space, without changing what readers see. Not idempotent. Not durable.

        Raises:
            StorageFullError: no space was left.
            StorageIOError: the write failed.
        """

    @abstractmethod
    def replaces(self) -> bool:
        """Return whether there is data under the key already. Raises nothing of its own."""

    @abstractmethod
    def publish(self, *, revocable: bool = False) -> None:
        """Put the staged data in place, atomically, or remove the key. Not yet power-safe: see `DataHandler.sync`.

        Not idempotent.

        Args:
            revocable: keep what is replaced until `discard`, so that `revoke` can put it back.

        Raises:
            StorageIOError: it failed; what was there before is still there.
        """

    @abstractmethod
    def revoke(self) -> None:
        """Undo a revocable `publish`, because another write of the same call failed. Not idempotent. Not durable.

        Raises:
            StorageIOError: it failed; the new data is still in place.
        """

    @abstractmethod
    def discard(self) -> None:
        """Forget what was staged and anything kept for `revoke`. Never raises. Idempotent. Not durable."""


class DataHandler(ABC):
    """Keeps one JSON document under each key, and gives out references to them.

    A *key* is relative to the root and the same wherever the store lies; a *reference* is what callers see: an
    absolute path for files, a URI for an object store. Only keys are ever stored.

    Record data may also lie in a *pack*, a file or object of many records, one a line. Its *place* there (see
    `keys.PackPlace`) stands where a key may stand in whatever reads: ``read``, ``read_parts``, ``read_each``,
    ``read_small``, ``exists`` and ``existing``; a range of a pack of any number of lines in ``sync`` and ``restore``.
    Nothing removes a place: the rest of the pack is that of others.

    Every method that may block can be called from several threads at a time.
    """

    @property
    @abstractmethod
    def parallel(self) -> int:
        """How many calls of `read`, `exists` and the like may usefully run at a time.

        1: they are quick, and best made on the spot. More: each of them waits for another machine.
        """

    @property
    @abstractmethod
    def marks(self) -> PlaceMarks:
        """What says whose data lies here."""

    @abstractmethod
    def setup(self) -> None:
        """Create what is missing and check that it can be written. Idempotent. May block. Durable.

        Raises:
            StoreOpenError: the place cannot be used.
        """

    def prepare_reading(self) -> None:  # noqa: B027 (most have nothing to do)
        """Do what `setup` does for reading, in a place where nothing may be written. Idempotent."""

    def check_before_reading(self, check: Callable[[], None]) -> None:
        """Check whether the data is this store's, before any of it is read, in a place where nothing may be written.

        Idempotent. Not durable. At once; or with the first read, where that would ask another machine: it may be away,
        and the rows can be read without it. Raises what the check raises, which may read itself.
        """
        check()

    @abstractmethod
    def has_place(self, place: str) -> bool:
        """Return whether there is a place for record data (``"data"``) or request configurations (``"configs"``).

        Raises nothing of its own.

        Where places need not be made, as in an object store, there always is. Called before `setup`.
        """

    @abstractmethod
    def holds_data(self) -> bool:
        """Return whether there is record data: so there was a database. Called before `setup`. May block.

        Raises:
            StorageIOError: it cannot be looked at.
            StoreOpenError: the place cannot be used.
        """

    @abstractmethod
    def sizes(self) -> Generator[Sequence[int]]:
        """Yield the sizes of all data that lies there, in pages, found by looking. Raises nothing of its own."""

    @abstractmethod
    def close(self) -> None:
        """Release what `setup` opened. Idempotent. Changes no data. Raises nothing of its own."""

    @abstractmethod
    def to_reference(self, key: str) -> str:
        """Return the reference under which callers see a key. Raises nothing of its own."""

    @abstractmethod
    def to_key(self, reference: str) -> str:
        """Return the key that a reference means: one of ours, a key itself, or one from where the store lay before.

        Raises:
            InvalidReferenceError: it lies outside the root.
        """

    @abstractmethod
    def write(self, key: str, payload: bytes) -> DataWrite:
        """Return a write that puts a payload under a key. Nothing happens before `DataWrite.stage`.

        Raises nothing of its own.
        """

    def append(
        self,
        payloads: Sequence[bytes],  # noqa: ARG002 (a handler without packs refuses any)
        *,
        safe: bool,  # noqa: ARG002
        committed: CommittedSizes | None = None,  # noqa: ARG002
    ) -> list[PackPlace]:
        """Append payloads to a pack that only this object writes to, in one step, and return their places. May block.

        Readers do not see them before rows name their places. Not idempotent.

        Args:
            payloads: whole lines.
            safe: power-safe when this returns; else after `sync`. What lies on another machine always is.
            committed: what rows know of packs, where a pack of an earlier writer may be gone on with; without it a new
                one is made.

        Raises:
            InvalidInputError: this handler has no packs.
            StorageFullError: no space was left.
            StorageIOError: it failed.
            StorageUnavailableError: the place could not be reached within its limit. In all three cases nothing refers
                to what may be left.
        """
        raise InvalidInputError(
            f"the data of this store cannot be packed by {type(self).__name__}: say layout='files'."
        )

    def take_back(self, places: Sequence[PackPlace]) -> None:  # noqa: B027 (a handler without packs has none)
        """Forget what the last `append` wrote: no row will ever name it. Never raises. Idempotent. Not durable.

        Args:
            places: some of what it returned; an object store removes the whole object, so of that all or none.
        """

    @abstractmethod
    def remove(self, key: str) -> DataWrite:
        """Return a write that removes a key. Removing one that is not there does nothing.

        Raises:
            InvalidReferenceError: it is not a key of record data or of a request configuration.
        """

    @abstractmethod
    def publish_all(self, calls: Sequence[Sequence[DataWrite]]) -> list[list[StorageError | None]]:
        """Publish what was staged by several calls, and return what became of each of their writes. May block.

        Not idempotent. Not yet power-safe: see `sync`. Raises nothing of its own: it returns errors.

        Revocably, where a call has several writes. None: it is in place. A `StorageUnavailableError`: it may be, now or
        later. Any other error: it is not, and what was there before still is. Of a call that has failed, the writes
        after the one that did may be left out, with its error.

        Args:
            calls: the writes of each; no two calls share a key. Where one comes several times in a call, the last
                write of it stands.
        """

    @abstractmethod
    def revoke_all(self, writes: Sequence[DataWrite]) -> list[DataWrite]:
        """Undo what `publish_all` did for one call, in all that is or may be in place. May block.

        Not idempotent. Not durable.

        Returns what has to be put in place for that and could not be: it belongs in the journal.

        Raises:
            StorageIOError: it failed for good; new data is still in place.
        """

    @abstractmethod
    def put_new(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Put payloads under keys that nobody has used before, and make them power-safe. May block. Not idempotent.

        Raises:
            StorageFullError: no space was left.
            StorageIOError: it failed.
            StorageUnavailableError: the place could not be reached within its limit. In all three cases, what had been
                put was removed again as far as possible; what remains is whole, and nothing refers to it.
        """

    @abstractmethod
    def remove_all(self, keys: Sequence[str]) -> None:
        """Remove keys; what is not there is passed over. Not power-safe: repeat the call if in doubt. May block.

        Idempotent.

        Raises:
            InvalidReferenceError: one is not a key of record data or of a request configuration; none was removed.
            StorageIOError: it failed; some of them may be removed.
        """

    def remove_packs(self, packs: Sequence[str]) -> list[str]:  # noqa: ARG002 (a handler without packs has none)
        """Remove packs that no row names, and return those that are gone. Idempotent. Not power-safe. May block.

        One that somebody may still be appending to stays.

        Raises:
            StorageIOError: it failed; some of them may be removed.
        """
        return []

    @abstractmethod
    def existing(self, keys: Sequence[str]) -> set[str]:
        """Return those of the keys that have data. May block. Raises nothing of its own."""

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Return whether there is data under a key. May block. Raises nothing of its own."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Return the data under a key. May block.

        Raises:
            DataNotFoundError: the store has no data under that key.
            InvalidReferenceError: what is there is a link or no regular file.
        """

    def read_packed(self, place: PackPlace) -> bytes:
        """Return what lies at a place in a pack. May block. Raises as `read`."""
        return self.read(place.key)

    @abstractmethod
    def read_parts(self, key: str, length: int) -> Iterator[bytes]:
        """Yield the data under a key in parts of about so many bytes: all of one version. May block.

        Raises as `read`, with the first part.
        """

    @abstractmethod
    def read_each(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        """Yield the data under each of the keys, in their order; None where a key has no data. May block.

        Raises:
            InvalidReferenceError: as `read`.
        """

    @abstractmethod
    def read_small(self, keys: Sequence[str], largest: int) -> Iterator[bytes | int | None]:
        """Yield what `read_each` yields; of data with more bytes than ``largest`` its size, and do not read it.

        Raises:
            InvalidReferenceError: as `read`.
        """

    @abstractmethod
    def sync(self, keys: Sequence[str]) -> None:
        """Make every earlier `publish` of these keys power-safe. May block for long. Idempotent.

        Raises:
            StorageIOError: it is not known to be safe; publish the payloads anew before trying again.
        """

    @abstractmethod
    def restore(self, writes: Iterable[tuple[str, bytes | None]]) -> None:
        """Put journaled payloads in place (None removes) and make them power-safe. Idempotent.

        It skips what is not a key of record data or of a request configuration: the journal may be forged.

        Raises:
            StorageIOError: it failed; the journal must be kept.
        """

    @abstractmethod
    def discard_leftovers(self) -> None:
        """Remove what dead writers staged. Called only while no other process has the store open.

        Idempotent. Not durable. Raises nothing of its own.
        """
