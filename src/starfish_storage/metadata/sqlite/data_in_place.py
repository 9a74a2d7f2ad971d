"""What the rows of a group must know of the data that is in place already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from starfish_storage.errors import InvalidIdError, StorageUnavailableError
from starfish_storage.interface import DataHandler
from starfish_storage.keys import record_key, request_config_key

Result = TypeVar("Result")


class DataInPlace:
    """Looks for data, where that means waiting for another machine, for a whole group at a time.

    A group's transaction must not wait for one request after the other; and if the place of the data cannot be reached,
    the group waits for it once, and not again for each of its calls.

    Args:
        data: where the data lies.
    """

    def __init__(self, data: DataHandler) -> None:
        self._data = data
        self._known: dict[str, bool] = {}
        self._unavailable: StorageUnavailableError | None = None

    def begin_group(self, keys: Sequence[str]) -> None:
        """Forget what was known, and look for what the group's rows refer to."""
        self._known = {}
        self._unavailable = None
        if len(keys) > 1 and self._data.parallel > 1:
            try:
                found = self._look(lambda: self._data.existing(keys))
            except StorageUnavailableError:
                return
            self._known = {key: key in found for key in keys}

    def exists(self, key: str) -> bool:
        """See `DataHandler.exists`."""
        known = self._known.get(key)
        return self._look(lambda: self._data.exists(key)) if known is None else known

    def exists_for(self, kind: str, id: str) -> bool:
        """Return whether there is data of a record (``"record_uid"``) or master job (``"master_job_id"``)."""
        try:
            return self.exists(record_key(id) if kind == "record_uid" else request_config_key(id))
        except InvalidIdError:
            return False  # the fold of an id may be too long to be one

    def read(self, key: str) -> bytes:
        """See `DataHandler.read`."""
        return self._look(lambda: self._data.read(key))

    def _look(self, look: Callable[[], Result]) -> Result:
        if self._unavailable is not None:
            raise self._unavailable
        try:
            return look()
        except StorageUnavailableError as error:
            self._unavailable = error
            raise
