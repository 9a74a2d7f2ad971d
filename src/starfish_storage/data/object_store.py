"""Data as objects in a bucket: Amazon S3 and what speaks like it, Google Cloud Storage, Azure."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

from starfish_storage import keys
from starfish_storage.data.object_client import ObjectClient
from starfish_storage.data.object_inventory import ObjectInventory
from starfish_storage.data.object_marks import ObjectMarks
from starfish_storage.data.object_packs import PackSpan, PackWindows, places_in, portions, spans
from starfish_storage.data.object_writes import ObjectRemoval, ObjectWrite
from starfish_storage.data.patience import Patience, allowed_seconds
from starfish_storage.errors import (
    DataNotFoundError,
    InvalidReferenceError,
    StorageError,
    StorageUnavailableError,
)
from starfish_storage.interface import DataHandler, DataWrite
from starfish_storage.interface.data import CommittedSizes
from starfish_storage.interface.marks import PlaceMarks
from starfish_storage.keys import PackPlace, new_pack, pack_key, place_in_pack
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.uri import parse_object_uri

logger = get_logger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_PARALLEL = 32  # measured: more gain nothing on one machine, and servers begin to slow clients down
_READ_AT_ONCE = _RESTORED_AT_ONCE = 256
_RESTORED_BYTES = 32 << 20
_SMALLEST_PART = 1 << 20  # of a large record in a pack: each is a request


class ObjectStoreDataHandler(DataHandler):
    """Keeps each key as one object below a prefix.

    Objects are put whole and are safe when the server has answered: nothing is ever staged or synced. No put of data is
    conditional, and no condition is relied on: some servers take it and ignore it. Credentials, endpoint, region and
    TLS are those of the environment variables of the client library (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT``, ...).

    Args:
        uri: bucket and prefix, such as ``s3://bucket/prefix``; ``gs://`` and ``az://`` likewise. ``memory://name`` is a
            bucket that lives as long as the process.
        retry_seconds: how long a call goes on trying while nothing works; if not given, what the environment variable
            ``STARFISH_STORAGE_RETRY_SECONDS`` says, or 60. A request that has begun may add its own time-out
            (``AWS_TIMEOUT``, 30 s).

    Raises:
        InvalidUriError: the URI cannot be used.
        InvalidInputError: so cannot the number of seconds.
    """

    def __init__(self, uri: str, *, retry_seconds: float | None = None) -> None:
        self.place = parse_object_uri(uri)
        self._root = str(self.place)
        self._seconds = allowed_seconds(retry_seconds)
        self._lock = threading.Lock()
        self._made: ObjectClient | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._check: Callable[[], None] | None = None
        self._checking = threading.RLock()
        self._is_checking = False
        self._windows = PackWindows()

    @property
    def parallel(self) -> int:
        """See `DataHandler.parallel`."""
        return _PARALLEL

    @property
    def marks(self) -> PlaceMarks:
        """See `DataHandler.marks`."""
        return ObjectMarks(self._client, self._patience)

    def setup(self) -> None:
        """Put an object under a name of its own and remove it: who cannot, finds out before paying for results."""
        self._client.check(f"{keys.STAGING_DIRECTORY}/{uuid.uuid4().hex}", self._patience())

    def check_before_reading(self, check: Callable[[], None]) -> None:
        """See `DataHandler.check_before_reading`: with the first read."""
        self._check = check

    def has_place(self, place: str) -> bool:  # noqa: ARG002 (any)
        """Always: places need not be made."""
        return True

    def holds_data(self) -> bool:
        """See `DataHandler.holds_data`."""
        return self._client.holds_at_opening(keys.DATA_DIRECTORY, self._patience())

    def sizes(self) -> Generator[Sequence[int]]:
        """See `DataHandler.sizes`."""
        for page in ObjectInventory(self._root).pages():
            yield [found.size for found in page]

    def close(self) -> None:
        """See `DataHandler.close`."""
        with self._lock:
            pool, self._pool = self._pool, None
            self._made = None
        self._windows.clear()
        if pool is not None:
            pool.shutdown()

    def to_reference(self, key: str) -> str:
        """Return the URI of a key."""
        return f"{self._root}/{key}"

    def to_key(self, reference: str) -> str:
        """See `DataHandler.to_key`."""
        return keys.key_of_uri(reference, self._root)

    def write(self, key: str, payload: bytes) -> DataWrite:
        """See `DataHandler.write`."""
        return ObjectWrite(self._client, self._seconds, key, payload)

    def remove(self, key: str) -> DataWrite:
        """See `DataHandler.remove`."""
        return ObjectRemoval(self._client, self._seconds, keys.check_key(key))

    def publish_all(self, calls: Sequence[Sequence[DataWrite]]) -> list[list[StorageError | None]]:
        """See `DataHandler.publish_all`."""
        patience = self._patience()

        def put(write: DataWrite) -> None:
            cast("ObjectWrite", write).put(patience)

        # Of writes of one key, the last alone: they are put side by side, and an earlier one might come to lie on top.
        last = {write.key: write for writes in calls for write in writes}
        outcomes = dict(zip(last, self._each(_errors_of(put), list(last.values())), strict=True))
        return [[outcomes[write.key] for write in writes] for writes in calls]

    def revoke_all(self, writes: Sequence[DataWrite]) -> list[DataWrite]:
        """See `DataHandler.revoke_all`."""
        patience = self._patience_after_waiting()

        def put_back(write: DataWrite) -> DataWrite | StorageError | None:
            done = cast("ObjectWrite", write)
            try:
                done.put_back(patience)
            except StorageUnavailableError:
                return done.reversal()
            except StorageError as error:
                return error
            return None

        outcomes = self._each(put_back, writes)
        for outcome in outcomes:
            if isinstance(outcome, StorageError):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, DataWrite)]

    def put_new(self, items: Sequence[tuple[str, bytes]]) -> None:
        """See `DataHandler.put_new`."""
        self._put_new([(keys.check_key(key), payload) for key, payload in items])

    def append(
        self,
        payloads: Sequence[bytes],
        *,
        safe: bool,  # noqa: ARG002
        committed: CommittedSizes | None = None,  # noqa: ARG002
    ) -> list[PackPlace]:
        """See `DataHandler.append`: a new object, or a few if there is much; what is put is safe, and never goes on."""
        packs = [(new_pack(), portion) for portion in portions(payloads)]
        self._put_new([(pack_key(pack), b"".join(portion)) for pack, portion in packs])
        return [place for pack, portion in packs for place in places_in(pack, portion)]

    def take_back(self, places: Sequence[PackPlace]) -> None:
        """See `DataHandler.take_back`: what is left is an object that no row names, for `collect`."""
        try:
            self._client.remove(sorted({pack_key(place.pack) for place in places}), Patience(0))
        except StorageError as error:
            logger.warning("data that no row names could not be removed now (%s)", error.code)

    def remove_all(self, keys: Sequence[str]) -> None:
        """See `DataHandler.remove_all`."""
        self._remove(keys, self._patience())

    def remove_packs(self, packs: Sequence[str]) -> list[str]:
        """See `DataHandler.remove_packs`: an object is never appended to."""
        if packs:
            self._client.remove([pack_key(pack) for pack in packs], self._patience())
        return list(packs)

    def existing(self, keys: Sequence[str]) -> set[str]:
        """See `DataHandler.existing`."""
        client, patience = self._client, self._patience()
        places = {key: place_in_pack(key) for key in keys}
        objects = list({key if place is None else pack_key(place.pack) for key, place in places.items()})
        described = self._each(lambda name: client.describe(name, patience), objects)
        sizes = {name: found.size for name, found in zip(objects, described, strict=True) if found is not None}

        def is_there(key: str) -> bool:
            place = places[key]
            return key in sizes if place is None else sizes.get(pack_key(place.pack), -1) >= place.end

        return set(filter(is_there, keys))

    def exists(self, key: str) -> bool:
        """See `DataHandler.exists`."""
        return bool(self.existing((key,)))

    def read(self, key: str) -> bytes:
        """See `DataHandler.read`; of a pack, what lies around it is read with it and kept for a while."""
        self._check_once()
        place = place_in_pack(key)
        if place is None:
            return self._found(key, self._client.get(key, self._patience()))
        return self._found(key, self._windows.read(place, self._client, self._patience()))

    def read_parts(self, key: str, length: int) -> Iterator[bytes]:
        """See `DataHandler.read_parts`."""
        self._check_once()
        place = place_in_pack(key)
        if place is None:
            yield from self._found(key, self._client.parts(key, length, self._patience()))
            return
        step = max(length, _SMALLEST_PART)
        for start in range(place.start, place.end, step):
            part = place._replace(start=start, length=min(step, place.end - start))
            yield self._found(key, self._windows.read(part, self._client, self._patience()))

    def read_each(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        """See `DataHandler.read_each`; neighbours in a pack are read together."""
        return cast("Iterator[bytes | None]", self._read_all(keys, self._client.get, None))

    def read_small(self, keys: Sequence[str], largest: int) -> Iterator[bytes | int | None]:
        """See `DataHandler.read_small`."""
        client = self._client
        return self._read_all(keys, lambda key, waits: client.get_unless_larger(key, largest, waits), largest)

    def sync(self, keys: Sequence[str]) -> None:
        """Nothing to do: what the server has acknowledged is safe."""

    def restore(self, writes: Iterable[tuple[str, bytes | None]]) -> None:
        """See `DataHandler.restore`."""
        patience = self._patience_after_waiting()
        some: dict[str, bytes | None] = {}
        size = 0
        for key, payload in writes:
            try:
                keys.check_key(key)
            except InvalidReferenceError as error:
                logger.warning("an entry of the journal was passed over: %s", error)
                continue
            some[key] = payload  # of several for one key the last
            size += len(payload or b"")
            if len(some) >= _RESTORED_AT_ONCE or size >= _RESTORED_BYTES:
                self._restore_some(some, patience)
                some, size = {}, 0
        self._restore_some(some, patience)

    def discard_leftovers(self) -> None:
        """Nothing to do: objects are put whole."""

    def _check_once(self) -> None:
        """Do what `check_before_reading` was given, while others wait for it; it may read itself."""
        if self._check is None:
            return
        with self._checking:
            if self._check is None or self._is_checking:
                return
            self._is_checking = True
            try:
                self._check()
                self._check = None
            finally:
                self._is_checking = False

    def _found(self, key: str, content: Result | None) -> Result:
        if content is None:
            raise DataNotFoundError("data", self.to_reference(key), "it was never saved, or was deleted")
        return content

    @property
    def _client(self) -> ObjectClient:
        made = self._made
        if made is None:
            with self._lock:
                made = self._made = self._made or ObjectClient(self.place)
        return made

    def _patience(self) -> Patience:
        return Patience(self._seconds)

    def _patience_after_waiting(self) -> Patience:
        """Return the patience for putting things right: a store just waited for in vain is not waited for again."""
        return Patience(0) if self._client.gone else self._patience()

    def _read_all(
        self, keys: Sequence[str], get: Callable[[str, Patience], bytes | int | None], largest: int | None
    ) -> Iterator[bytes | int | None]:
        """Yield what lies under keys and in places of packs; of what is larger, its size."""
        self._check_once()
        client, patience = self._client, self._patience()

        def read(one: str | PackSpan) -> Iterable[tuple[str | PackPlace, bytes | int | None]]:
            return one.read(client, patience) if isinstance(one, PackSpan) else ((one, get(one, patience)),)

        for start in range(0, len(keys), _READ_AT_ONCE):
            some = keys[start : start + _READ_AT_ONCE]
            places = [place_in_pack(key) for key in some]
            wanted = [place for place in places if place and (largest is None or place.length <= largest)]
            objects = [key for key, place in zip(some, places, strict=True) if place is None]
            found: dict[str | PackPlace, bytes | int | None] = {}
            for part in self._each(read, [*objects, *spans(wanted)]):
                found.update(part)
            for key, place in zip(some, places, strict=True):
                yield found[key] if place is None else found.get(place, place.length)

    def _put_new(self, items: Sequence[tuple[str, bytes]]) -> None:
        client = self._client
        try:
            self._put_each(items, self._patience())
        except StorageError:
            try:
                client.remove([key for key, _ in items], Patience(0))
            except StorageError:
                pass  # nothing refers to them
            raise

    def _restore_some(self, writes: dict[str, bytes | None], patience: Patience) -> None:
        self._put_each([(key, payload) for key, payload in writes.items() if payload is not None], patience)
        self._remove([key for key, payload in writes.items() if payload is None], patience)

    def _put_each(self, items: Sequence[tuple[str, bytes]], patience: Patience) -> None:
        client = self._client

        def put(item: tuple[str, bytes]) -> None:
            client.put(*item, patience)

        for error in self._each(_errors_of(put), items):  # only now: none is on its way any more
            if error is not None:
                raise error

    def _remove(self, some: Sequence[str], patience: Patience) -> None:
        self._client.remove([keys.check_key(key) for key in some], patience)

    def _each(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Do the same for each item, several at a time, and return the results in order."""
        if len(items) < 2:  # noqa: PLR2004 (nothing to do at a time)
            return [work(item) for item in items]
        with self._lock:
            pool = self._pool = self._pool or ThreadPoolExecutor(_PARALLEL, "starfish-storage-objects")
        try:
            futures = [pool.submit(work, item) for item in items]
        except RuntimeError:
            # The interpreter is ending, and has closed every pool; what was accepted is finished all the same.
            return [work(item) for item in items]
        return [future.result() for future in futures]


def _errors_of(work: Callable[[Item], None]) -> Callable[[Item], StorageError | None]:
    """Return work that returns the error that it had, so that others of its kind are finished first."""

    def attempted(item: Item) -> StorageError | None:
        try:
            work(item)
        except StorageError as error:
            return error
        return None

    return attempted
