"""Changes to objects: put in place, revoked. Nothing is staged: until it is in place, the journal has the payload."""

from __future__ import annotations

from starfish_storage.data.object_client import ObjectClient
from starfish_storage.data.patience import Patience
from starfish_storage.errors import StorageUnavailableError
from starfish_storage.interface import DataWrite


class ObjectWrite(DataWrite):
    """An object that is put, whole, in place of what is there.

    What is there is read first, always: when the answer to a put is lost nobody knows whether it took effect, and what
    the failed call replaced must be put back.

    Args:
        client: makes the requests.
        seconds: how long to try.
        key: where it goes.
        payload: its content.
    """

    __slots__ = ("_before", "_client", "_seconds", "_touched")

    def __init__(self, client: ObjectClient, seconds: float, key: str, payload: bytes) -> None:
        super().__init__(key, payload)
        self._client = client
        self._seconds = seconds
        self._before: bytes | None = None
        self._touched = False

    def stage(self) -> None:
        """Nothing to do: it costs no space here, and whether the put will succeed is not known before."""

    def replaces(self) -> bool:
        """See `DataWrite.replaces`."""
        return self._client.exists(self.key, Patience(self._seconds))

    def publish(self, *, revocable: bool = False) -> None:  # noqa: ARG002 (it always is)
        """Put the object."""
        self.put(Patience(self._seconds))

    def put(self, patience: Patience) -> None:
        """Put the object, with the patience of the call that it belongs to."""
        self._before = self._client.get(self.key, patience)
        self._touched = True
        try:
            self._client.put(self.key, self.payload or b"", patience)
        except StorageUnavailableError:
            raise  # it may be there, or come to be
        except BaseException:
            self._touched = False
            raise

    def revoke(self) -> None:
        """Put back what was there, or remove the object if there was none."""
        self.put_back(Patience(self._seconds))

    def put_back(self, patience: Patience) -> None:
        """Revoke, with the patience of the call that it belongs to."""
        if not self._touched:
            return
        if self._before is None:
            self._client.remove([self.key], patience)
        else:
            self._client.put(self.key, self._before, patience)
        self._touched = False

    def reversal(self) -> DataWrite:
        """Return the write that does the same as `revoke`, for the journal."""
        if self._before is None:
            return ObjectRemoval(self._client, self._seconds, self.key)
        return ObjectWrite(self._client, self._seconds, self.key, self._before)

    def discard(self) -> None:
        """Forget what was there."""
        self._before = None
        self._touched = False


class ObjectRemoval(DataWrite):
    """An object that is removed once its row is gone.

    Args:
        client: makes the requests.
        seconds: how long to try.
        key: the object.
    """

    __slots__ = ("_client", "_seconds")

    def __init__(self, client: ObjectClient, seconds: float, key: str) -> None:
        super().__init__(key, None)
        self._client = client
        self._seconds = seconds

    def stage(self) -> None:
        """Nothing can fail yet."""

    def replaces(self) -> bool:
        """A removal always changes what is there."""
        return True

    def publish(self, *, revocable: bool = False) -> None:  # noqa: ARG002 (see `revoke`)
        """Remove the object."""
        self._client.remove([self.key], Patience(self._seconds))

    def revoke(self) -> None:
        """Removals come last and are finished later if they fail: there is nothing to undo."""

    def discard(self) -> None:
        """Nothing was staged."""
