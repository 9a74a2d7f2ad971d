"""Packs in an object store: the data of many records in one object, which is put once and read by ranges."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Final, NamedTuple

from starfish_storage.data.object_client import ObjectClient, ObjectPart
from starfish_storage.data.patience import Patience
from starfish_storage.keys import PackPlace, pack_key

LARGEST_PACK: Final = 8 << 20
"""Bytes that are put as one object; a larger payload is one of its own."""

_WINDOW: Final = 1 << 18  # read at once around a record: what was saved with it is likely to be read next
_STEP: Final = _WINDOW // 2  # windows overlap by half, so that a record of up to so much lies whole in one of them
_KEPT: Final = 16 << 20  # bytes of windows that are kept
_GAP: Final = 1 << 16  # bytes that are rather read in vain than asked for by another request
_LONGEST_SPAN: Final = 4 << 20


def portions(payloads: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Split payloads, in order, into what is put as one object each."""
    begin = size = 0
    for number, payload in enumerate(payloads):
        if number > begin and size + len(payload) > LARGEST_PACK:
            yield payloads[begin:number]
            begin, size = number, 0
        size += len(payload)
    if begin < len(payloads):
        yield payloads[begin:]


def places_in(pack: str, payloads: Sequence[bytes]) -> list[PackPlace]:
    """Return where payloads lie in a pack that holds them one after the other."""
    places: list[PackPlace] = []
    start = 0
    for payload in payloads:
        places.append(PackPlace(pack, start, len(payload)))
        start += len(payload)
    return places


class PackSpan(NamedTuple):
    """What one request reads: a part of a pack, and the places that lie in it.

    Attributes:
        pack: the pack.
        start: where the part begins.
        length: how many bytes it has.
        places: what is wanted of it.
    """

    pack: str
    start: int
    length: int
    places: list[PackPlace]

    def reaches(self, place: PackPlace) -> bool:
        """Return whether a place that comes after it lies near enough to be read with it."""
        return place.pack == self.pack and place.start <= self.start + self.length + _GAP

    def read(self, client: ObjectClient, patience: Patience) -> list[tuple[PackPlace, bytes | None]]:
        """Return what lies in the places; None where the pack is missing, or ends before."""
        piece = client.get_range(pack_key(self.pack), self.start, self.length, patience)
        return [(place, piece and piece.part(place.start, place.length)) for place in self.places]


def spans(places: Sequence[PackPlace]) -> list[PackSpan]:
    """Return the requests that read places, neighbours with one."""
    found: list[PackSpan] = []
    for place in sorted(set(places)):
        last = found[-1] if found else None
        end = place.end
        if last is not None and last.reaches(place) and end - last.start <= _LONGEST_SPAN:
            last.places.append(place)
            found[-1] = last._replace(length=max(last.length, end - last.start))
        else:
            found.append(PackSpan(place.pack, place.start, place.length, [place]))
    return found


class PackWindows:
    """Reads single records of packs, and keeps what was read with them: the next one is likely to be a neighbour.

    A pack is never changed, so nothing that is kept can be out of date. Of several threads that want the same window,
    one asks for it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: OrderedDict[tuple[str, int], Future[ObjectPart | None]] = OrderedDict()
        self._sizes: dict[tuple[str, int], int] = {}

    def read(self, place: PackPlace, client: ObjectClient, patience: Patience) -> bytes | None:
        """Return what lies in a place; None if the pack is missing, or ends before."""
        if not 0 < place.length <= _STEP:
            piece = client.get_range(pack_key(place.pack), place.start, place.length, patience)
        else:
            piece = self._window(place, client, patience)
        return None if piece is None else piece.part(place.start, place.length)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._windows.clear()
            self._sizes.clear()

    def _window(self, place: PackPlace, client: ObjectClient, patience: Patience) -> ObjectPart | None:
        window = (place.pack, place.start // _STEP if client.knows_ranges else 0)
        with self._lock:
            waiting = self._windows.get(window)
            if waiting is None:
                mine = self._windows[window] = Future[ObjectPart | None]()
            else:
                mine = None
                self._windows.move_to_end(window)
        if mine is None:
            assert waiting is not None
            return waiting.result()
        try:
            piece = client.get_range(pack_key(place.pack), window[1] * _STEP, _WINDOW, patience)
        except BaseException as error:
            self._forget(window)
            mine.set_exception(error)
            raise
        mine.set_result(piece)
        if piece is None:
            self._forget(window)  # it may be asked for again, and be there
        else:
            self._keep(window, len(piece.content))
        return piece

    def _forget(self, window: tuple[str, int]) -> None:
        with self._lock:
            self._windows.pop(window, None)

    def _keep(self, window: tuple[str, int], size: int) -> None:
        with self._lock:
            if window not in self._windows:
                return  # forgotten meanwhile
            self._sizes[window] = size
            while sum(self._sizes.values()) > _KEPT and len(self._windows) > 1:
                oldest, _ = self._windows.popitem(last=False)
                self._sizes.pop(oldest, None)
