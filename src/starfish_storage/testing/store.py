"""What a suite needs to know of the store it tests: how to open it, and a way in that bypasses the storage."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from pathlib import Path

from starfish_storage.interface import Layout, Storage
from starfish_storage.opening import open_storage
from starfish_storage.uri import file_uri_of_path


class StoreUnderTest(ABC):
    """One store, empty at first.

    The ``raw_`` methods reach the data without the storage, so that a storage cannot vouch for itself.
    """

    @abstractmethod
    def open(self) -> Storage:
        """Return a new storage on this store, not set up. May be called again, while others are open too."""

    @property
    @abstractmethod
    def uri(self) -> str:
        """The URI under which the store is opened, where it lies now."""

    @property
    @abstractmethod
    def reference_prefix(self) -> str:
        """What stands before a key in every reference that the store gives out, where it lies now."""

    @abstractmethod
    def raw_read(self, key: str) -> bytes | None:
        """Return the data under a key, or None if there is none."""

    @abstractmethod
    def raw_write(self, key: str, payload: bytes) -> None:
        """Put data under a key, which may be new."""

    @abstractmethod
    def raw_delete(self, key: str) -> None:
        """Remove the data under a key."""

    @abstractmethod
    def raw_keys(self) -> set[str]:
        """Return the keys of all data there is: of records and of request configurations."""

    @abstractmethod
    def move(self) -> None:
        """Move the store, which nobody has open, to a place where it never was. Used with ``RELOCATABLE`` only."""

    def reference(self, key: str) -> str:
        """Return the reference under which callers see a key, where the store lies now."""
        return self.reference_prefix + key

    def key(self, reference: str) -> str:
        """Return the key of a reference that the store gave out where it lies now."""
        assert reference.startswith(self.reference_prefix), f"{reference!r} is no reference of this store"
        return reference.removeprefix(self.reference_prefix)


class DirectoryStore(StoreUnderTest):
    """A store in one local directory, or with its data in another.

    Args:
        directory: an existing directory for the store and for all places it is moved to.
        durability: ``"power"`` or ``"process"``.
        data_elsewhere: keep the data outside the store's own directory.
        layout: as what the store is made and opened. The ``raw_`` methods here know files alone, and nothing of packs.
    """

    def __init__(
        self,
        directory: Path,
        *,
        durability: str = "power",
        data_elsewhere: bool = False,
        layout: Layout | None = "files",
    ) -> None:
        self._directory = directory
        self._layout: Layout | None = layout
        self._durability = durability
        self._data_elsewhere = data_elsewhere
        self._moves = 0

    @property
    def root(self) -> Path:
        """Where the database lies now."""
        return self._place() / "store"

    @property
    def data_root(self) -> Path:
        """Where the data lies now."""
        return self._place() / "data-of-store" if self._data_elsewhere else self.root

    @property
    def uri(self) -> str:
        """See `StoreUnderTest.uri`."""
        return file_uri_of_path(str(self.root))

    @property
    def reference_prefix(self) -> str:
        """See `StoreUnderTest.reference_prefix`."""
        return f"{self.data_root}/"

    @property
    def places(self) -> tuple[str, str | None]:
        """The URIs of the store and, where its data lies elsewhere, of its data, as they are opened now."""
        return self.uri, file_uri_of_path(str(self.data_root)) if self._data_elsewhere else None

    def open(self) -> Storage:
        """See `StoreUnderTest.open`."""
        durability = "power" if self._durability == "power" else "process"
        return open_storage(*self.places, durability=durability, layout=self._layout)

    def raw_read(self, key: str) -> bytes | None:
        """See `StoreUnderTest.raw_read`."""
        path = self.data_root / key
        return path.read_bytes() if path.is_file() else None

    def raw_write(self, key: str, payload: bytes) -> None:
        """See `StoreUnderTest.raw_write`."""
        path = self.data_root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload)

    def raw_delete(self, key: str) -> None:
        """See `StoreUnderTest.raw_delete`."""
        (self.data_root / key).unlink()

    def raw_keys(self) -> set[str]:
        """See `StoreUnderTest.raw_keys`."""
        root = str(self.data_root)
        directories = (found for kind in ("data", "configs") for found in os.walk(f"{root}/{kind}"))
        return {f"{directory}/{name}".removeprefix(f"{root}/") for directory, _, names in directories for name in names}

    def move(self) -> None:
        """See `StoreUnderTest.move`."""
        before = self._place()
        self._moves += 1
        shutil.move(before, self._place(made=False))

    def _place(self, *, made: bool = True) -> Path:
        place = self._directory / f"place {self._moves}"  # with a blank, which a URI has to escape
        if made:
            place.mkdir(exist_ok=True)
        return place
