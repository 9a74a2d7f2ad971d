"""Requests to one bucket, made again while the store cannot be reached. The only place that calls obstore."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from starfish_storage.data.object_errors import Kind, Trouble, is_panic, knows_no_conditions, trouble_of
from starfish_storage.data.object_opening import open_store
from starfish_storage.data.patience import Patience
from starfish_storage.errors import (
    ForkedProcessError,
    InvalidReferenceError,
    StorageIOError,
    StorageUnavailableError,
    StoreOpenError,
)
from starfish_storage.files.spare_descriptors import SPARES
from starfish_storage.telemetry import current
from starfish_storage.uri import ObjectUri

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from tenacity import RetryCallState

Result = TypeVar("Result")

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_REMOVED_AT_ONCE = _LISTED_AT_ONCE = 1000
# Where obstore deletes many objects with one request, and says nothing of those that are not there.
_BULK_SCHEMES = frozenset({"s3", "s3a", "memory"})


class ListedObject(NamedTuple):
    """What a list tells of an object.

    Attributes:
        key: its name below the prefix.
        size: in bytes.
        changed: when it was put, by the clock of the object store, in nanoseconds since 1970.
    """

    key: str
    size: int
    changed: int


class ObjectPart(NamedTuple):
    """A part of an object, or all of it.

    Attributes:
        start: where it begins in the object.
        content: what stands there.
    """

    start: int
    content: bytes

    def part(self, start: int, length: int) -> bytes | None:
        """Return what stands in a range of the object; None if that is not all in this piece."""
        begin = start - self.start
        return self.content[begin : begin + length] if 0 <= begin <= len(self.content) - length else None


class ObjectClient:
    """Makes requests; safe to use from several threads.

    obstore's own retries are off. They count for each request, and a group of requests needs one limit; nor do they
    cover a body that breaks off. Every request made here may be made twice: it puts, gets or removes the same.

    Args:
        place: the bucket, and the prefix below which everything lies.

    Raises:
        StoreOpenError: obstore is not installed, or what it needs is not in the environment.
    """

    def __init__(self, place: ObjectUri) -> None:
        _refuse_after_fork()
        self.place = place
        self._store = open_store(place)
        self._was_refused = False
        self._gone = False
        self._knows_ranges = True

    @property
    def knows_ranges(self) -> bool:
        """Whether the server gives parts of objects, as far as is known."""
        return self._knows_ranges

    @property
    def gone(self) -> bool:
        """Whether the last call that could not reach the store has waited in vain, and none has succeeded since."""
        return self._gone

    def get(self, key: str, patience: Patience) -> bytes | None:
        """Return an object's content, or None if there is none."""
        import obstore

        return self._request(key, patience, lambda path: bytes(obstore.get(self._store, path).bytes()))

    def get_range(self, key: str, start: int, length: int, patience: Patience) -> ObjectPart | None:
        """Return so much of an object from somewhere on, or as much as there is; None if there is nothing.

        Of a server that does not know ranges, all of the object. Nobody is asked for no bytes.
        """
        import obstore

        if not length:
            return ObjectPart(start, b"")
        if self._knows_ranges:
            try:
                return self._request(
                    key,
                    patience,
                    lambda path: ObjectPart(
                        start, bytes(obstore.get_range(self._store, path, start=start, length=length))
                    ),
                )
            except _NoRangesError:
                self._knows_ranges = False
        whole = self.get(key, patience)
        return None if whole is None else ObjectPart(0, whole)

    def get_unless_larger(self, key: str, largest: int, patience: Patience) -> bytes | int | None:
        """Return an object's content, its size if that is larger, or None if there is no such object."""
        import obstore

        def content(path: str) -> bytes | int:
            found = obstore.get(self._store, path)
            size = found.meta["size"]
            return size if size > largest else bytes(found.bytes())

        return self._request(key, patience, content)

    def parts(self, key: str, length: int, patience: Patience) -> Iterator[bytes] | None:
        """Return an object's content in parts of at least so many bytes, or None if there is no such object.

        Not by ranges, which some servers do not know. So a connection that breaks off in the middle is an error.
        """
        import obstore

        found = self._request(key, patience, lambda path: obstore.get(self._store, path))
        if found is None:
            return None
        stream = iter(found.stream(min_chunk_size=length))
        return iter(lambda: self._request(key, Patience(0), lambda _: bytes(next(stream, b""))) or b"", b"")

    def exists(self, key: str, patience: Patience) -> bool:
        """Return whether there is an object."""
        import obstore

        return self._request(key, patience, lambda path: obstore.head(self._store, path)) is not None

    def put(self, key: str, payload: bytes, patience: Patience) -> None:
        """Put an object, whole, in place of what may be there."""
        import obstore

        def put(path: str) -> bool:
            # In one piece: it is there or not, and leaves no parts of uploads that were never finished.
            obstore.put(self._store, path, payload, use_multipart=False)
            return True

        self._put(key, patience, put)

    def put_if_absent(self, key: str, payload: bytes, patience: Patience) -> bool:
        """Put an object unless there is one, and return False if there was; who ignores the condition overwrites."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        def put(path: str) -> bool:
            try:
                obstore.put(self._store, path, payload, use_multipart=False, mode="create")
            except (AlreadyExistsError, PreconditionError):
                return False
            except BaseError as error:
                if not knows_no_conditions(error):
                    raise
                obstore.put(self._store, path, payload, use_multipart=False)
            return True

        return self._put(key, patience, put)

    def remove(self, keys: Sequence[str], patience: Patience) -> None:
        """Remove objects; those that are not there are passed over."""
        import obstore

        step = _REMOVED_AT_ONCE if self.place.scheme in _BULK_SCHEMES else 1
        for start in range(0, len(keys), step):
            paths = [self._path(key) for key in keys[start : start + step]]
            self._request(keys[start], patience, lambda _, paths=paths: obstore.delete(self._store, paths))

    def holds(self, directory: str, patience: Patience) -> bool:
        """Return whether there is an object below a directory."""
        import obstore

        def first(path: str) -> bool:
            found = obstore.list(self._store, path, chunk_size=1)  # pyright: ignore[reportUnknownMemberType] (of Arrow)
            return any(found)

        return bool(self._request(directory, patience, first))

    def describe(self, key: str, patience: Patience) -> ListedObject | None:
        """Return the size and the time of an object, or None if there is no such object."""
        import obstore

        return self._request(key, patience, lambda path: self._listed(obstore.head(self._store, path)))

    def directories(self, directory: str, patience: Patience) -> tuple[list[str], list[ListedObject]]:
        """Return the directories right below one, and the objects beside them."""
        import obstore

        def look(path: str) -> tuple[list[str], list[ListedObject]]:
            found: Any = obstore.list_with_delimiter(self._store, path)  # pyright: ignore[reportUnknownMemberType]
            return list(map(self._key, found["common_prefixes"])), list(map(self._listed, found["objects"]))

        return self._request(directory, patience, look) or ([], [])

    def pages(self, directory: str, seconds: float) -> Iterator[list[ListedObject]]:
        """Yield what is below a directory, a page at a time; a list that breaks off goes on after its last page.

        Args:
            directory: the directory.
            seconds: how long to try for each page.
        """
        import obstore

        stream: Iterator[Sequence[ObjectMeta]] | None = None
        after: str | None = None

        def next_page(path: str) -> list[ListedObject]:
            nonlocal stream, after
            try:
                if stream is None:
                    made = obstore.list(self._store, path, offset=after, chunk_size=_LISTED_AT_ONCE)  # pyright: ignore[reportUnknownMemberType]
                    stream = iter(made)
                page = next(stream, ())
            except BaseException:
                stream = None
                raise
            after = page[-1]["path"] if page else after
            return list(map(self._listed, page))

        while page := self._request(directory, Patience(seconds), next_page):
            yield page

    def check(self, probe: str, patience: Patience) -> None:
        """See that objects can be listed, put and removed.

        Args:
            probe: a key that nobody uses.
            patience: how long to try.

        Raises:
            StoreOpenError: they cannot be.
            StorageUnavailableError: the store cannot be reached.
        """
        self.holds_at_opening(probe, patience)
        try:
            self.put(probe, b"", patience)
            self.remove([probe], patience)
        except StorageIOError as error:
            raise StoreOpenError(str(self.place), error.reason) from error

    def holds_at_opening(self, directory: str, patience: Patience) -> bool:
        """Return what `holds` does.

        Raises:
            StoreOpenError: the bucket cannot be used.
            StorageUnavailableError: the store cannot be reached.
        """
        try:
            return self.holds(directory, patience)
        except StorageIOError as error:
            raise StoreOpenError(str(self.place), error.reason) from error

    def _put(self, key: str, patience: Patience, put: Callable[[str], bool]) -> bool:
        done = self._request(key, patience, put)
        if done is None:
            raise self._failed(key, Trouble(Kind.NO_BUCKET, "there is no such bucket"))
        return done

    def _request(self, key: str, patience: Patience, request: Callable[[str], Result]) -> Result | None:
        """Make a request until it succeeds, cannot succeed, or patience ends; None if there is no such object."""
        from tenacity import Retrying, retry_if_exception_type, wait_random_exponential  # takes long to import

        _refuse_after_fork()
        if patience.exhausted is not None:
            raise StorageUnavailableError(str(self.place), patience.seconds, patience.exhausted)
        if self._was_refused:
            # A key that was rotated, or a token that has expired: the client read them when it was made.
            self._store, self._was_refused = open_store(self.place), False
        path = self._path(key)
        pauses = wait_random_exponential(_SHORTEST_PAUSE, _LONGEST_PAUSE)

        def attempt() -> Result:
            current().round_trip("object_store")
            try:
                return request(path)
            except BaseException as error:  # noqa: BLE001 (raised below: here, the text of obstore's would go along)
                SPARES.give_way(error)
                explained = self._explained(error, key)
            raise explained

        def pause(state: RetryCallState) -> float:
            return min(pauses(state), patience.left)

        retrying = Retrying(
            retry=retry_if_exception_type(_PassingError), stop=lambda _: not patience.left, wait=pause, reraise=True
        )
        try:
            result = retrying(attempt)
        except _MissingError:
            result = None
        except _PassingError as error:
            self._gone = True
            patience.exhausted = error.reason
            raise StorageUnavailableError(str(self.place), patience.seconds, error.reason) from None
        self._gone = False
        patience.renew()
        return result

    def _explained(self, error: BaseException, key: str) -> BaseException:
        """Return what to raise for what obstore raised."""
        if not isinstance(error, Exception) and not is_panic(error):
            return error  # the program is being ended
        if isinstance(error, ValueError) and "path" in str(error):
            return InvalidReferenceError(key, "object stores do not accept this key")
        trouble = trouble_of(error)
        if trouble.kind is Kind.MISSING:
            return _MissingError()
        if trouble.kind is Kind.PASSING:
            return _PassingError(trouble.reason)
        if trouble.kind is Kind.NO_RANGES:
            return _NoRangesError()
        if trouble.kind is Kind.REFUSED:
            self._was_refused = True
        return self._failed(key, trouble)

    def _failed(self, key: str, trouble: Trouble) -> StorageIOError:
        return StorageIOError(f"{self.place}/{key}", None, trouble.reason)

    def _listed(self, found: ObjectMeta) -> ListedObject:
        return ListedObject(self._key(found["path"]), found["size"], int(found["last_modified"].timestamp() * 1e9))

    def _key(self, path: str) -> str:
        return path.removeprefix(f"{self.place.prefix}/") if self.place.prefix else path

    def _path(self, key: str) -> str:
        return f"{self.place.prefix}/{key}" if self.place.prefix else key


class _MissingError(Exception):
    """There is no such object."""


class _NoRangesError(Exception):
    """The server gives objects whole only."""


class _PassingError(Exception):
    """The request may succeed later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# obstore's threads do not survive a fork, and a request in the child would wait for them for ever.
_used_in: int | None = None


def _refuse_after_fork() -> None:
    global _used_in  # noqa: PLW0603 (as obstore has it: one set of threads a process)
    if _used_in is None:
        _used_in = os.getpid()
    elif _used_in != os.getpid():
        raise ForkedProcessError(
            "this process was forked from one that had used an object store, whose threads it has lost; start "
            "processes with 'spawn' or 'forkserver' (multiprocessing.set_start_method)."
        )
