"""The contract of a row log: every row change once more, outside the database, to rebuild a lost one from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable


class RowLogHandler(ABC):
    """Keeps lines, in the order in which they were appended.

    Every method but `holds_rows` is called while holding the writer lock, and may block.
    """

    @abstractmethod
    def holds_rows(self) -> bool:
        """Return whether there is a log with rows: so there was a database. Called before `open`. May block.

        Raises:
            StorageIOError: it cannot be looked at.
        """

    @abstractmethod
    def open(self, header: bytes) -> int | None:
        """Open the log for appending, and return how long it was, in bytes; None if no log exists.

        Not idempotent. Not durable: see `sync`.

        Args:
            header: the line that says what the lines below it mean; added if the log begins with another.

        Raises:
            StorageIOError: it cannot be opened.
        """

    @abstractmethod
    def create(self, lines: Iterable[bytes]) -> None:
        """Write a new log, whole or not at all, in place of an earlier one, and open it. Idempotent. Durable.

        Args:
            lines: what stands in it; the first one is the header.

        Raises:
            StorageIOError: it failed; an earlier one is still there.
        """

    @abstractmethod
    def append(self, lines: bytes) -> None:
        """Append lines. Not idempotent. Not durable: see `sync`.

        Raises:
            StorageFullError: no space was left; nothing of them stays.
            StorageIOError: it failed; nothing of them stays.
        """

    @abstractmethod
    def take_back(self) -> None:
        """Remove what was appended last: the rows were not committed. Never raises: a line too many does no harm.

        Idempotent. Not durable.
        """

    @abstractmethod
    def size(self) -> int:
        """Return how long the open log is, in bytes. Raises nothing of its own."""

    @abstractmethod
    def make_safe(self) -> None:
        """Make the log power-safe, here and now, whoever else does it later. Idempotent. Durable.

        Raises:
            StorageIOError: it failed.
        """

    @abstractmethod
    def sync(self) -> None:
        """Make what was appended power-safe, where nothing else does that. Called now and then, without the lock.

        Idempotent.

        Raises:
            StorageIOError: it failed.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the log. Idempotent. Changes no line. Raises nothing of its own."""
