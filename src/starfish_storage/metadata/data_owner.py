"""Whose data lies in a place: marks beside the data that name one store.

A store removes data that none of its rows refers to, sooner or later. The data of another store looks just like that.
So a store of many machines uses a place only after it has left its mark there, or found it. (A number in the database
alone is not enough: whoever copies the database copies the number, and the copy would remove the original's data.)

Two stores may want an empty place at once, and the server may not know conditional puts, or take and ignore them. So
each first puts a mark under a name that nobody else uses, and then looks for others: of two, whoever looks last sees
both. Who sees another takes its own back, and tries again after a while. These marks stay, and whoever is about to
write its first rows, or to remove anything, looks at them again.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Sequence
from typing import NamedTuple

from starfish_storage.codec import decode, encode
from starfish_storage.errors import DataNotFoundError, StoreOpenError, shorten
from starfish_storage.interface import DataHandler
from starfish_storage.interface.marks import owner_key, owner_named
from starfish_storage.keys import MARK_KEY, OWNERS_DIRECTORY

PLACE = "data_place"
"""The setting that says where the data of a store lies, from its first rows on; see `UsedPlace.setting`."""

_SHOWN = 12  # characters of an identity: enough to tell two apart
_TRIES, _SHORTEST_PAUSE, _LONGEST_PAUSE = 8, 0.05, 0.5  # seconds between two tries to claim a place
_LOOKS = 6  # before who wants the place as well is taken for somebody who has it


class UsedPlace(NamedTuple):
    """Where the data of a store lies.

    Attributes:
        name: of the place; it moves and is copied with the data. Empty where an earlier release has marked it.
        uri: where it lay when it was first used, for people.
    """

    name: str
    uri: str

    @property
    def setting(self) -> str:
        """How the database says it."""
        return f"{self.name} {self.uri}"

    @classmethod
    def of_setting(cls, value: str | None) -> UsedPlace | None:
        """Return what the database says; None if it does not yet."""
        return None if value is None else cls(*value.split(" ", 1)) if " " in value else cls("", value)


class Owner(NamedTuple):
    """A store that data belongs to.

    Attributes:
        identity: unique to this store: no other store has it, nor does a copy of this one.
        uri: where its rows lie, without a password; for people.
        place: where its rows say that its data lies, if they do.
    """

    identity: str
    uri: str
    place: UsedPlace | None = None

    def __str__(self) -> str:
        return f"{shorten(self.uri)} ({self.identity[:_SHOWN]})"


class Mark(NamedTuple):
    """What a mark says.

    Attributes:
        owner: whose data it is.
        place: the name of the place.
    """

    owner: Owner
    place: str


def claim_data(owner: Owner, data: DataHandler, sample: Sequence[str]) -> None:
    """Mark a place as this store's, unless it is marked already. Idempotent. Durable.

    Args:
        owner: this store.
        data: the place, set up.
        sample: keys of some data that there must be; none if the store has none.

    Raises:
        StoreOpenError: it holds the data of another store, or of an unknown one; or another one lies above or below it.
    """
    if refuse_other_data(owner, data, sample) is not None:
        return
    _refuse_nested(owner, data)
    if sample:  # this store's own data is here: what marked it before was removed by hand
        for key in _others(owner, data):
            data.marks.remove(key)
    name = hashlib.sha256(f"{owner.identity} {_uri(data)}".encode()).hexdigest()[:20]
    _compete(owner, data, owner.place.name if owner.place else name)
    _confirmed(owner, data)


def named_place(owner: Owner, data: DataHandler) -> UsedPlace:
    """Return what the rows of a store are to say of a place that it has claimed. May wait for a moment.

    Raises:
        StoreOpenError: it belongs to another store, or another one has claimed it as well.
    """
    return UsedPlace(_confirmed(owner, data).place, _uri(data))


def refuse_other_data(owner: Owner, data: DataHandler, sample: Sequence[str], *, strictly: bool = False) -> Mark | None:
    """Raise if a place holds the data of another store; else return what marks it as this one's, if anything does.

    Args:
        owner: this store.
        data: the place.
        sample: keys of some data that there must be; none if the store has none.
        strictly: raise as well if it is not marked, and at any sign of another store.

    Raises:
        StoreOpenError: it does.
    """
    place = data.to_reference(MARK_KEY)
    mark = _noted(data)
    if mark is not None:
        if mark.owner.identity != owner.identity:
            raise _belongs_to_another(owner, data, mark)
        if owner.place is not None and mark.place != owner.place.name:
            raise _lies_elsewhere(owner, owner.place, data)
        if strictly:
            _confirmed(owner, data)
            _refuse_nested(owner, data)
        return mark
    if sample and not data.existing(sample):
        reason = f"the data of {owner} is not there; pass the place where it lies, or restore it from a backup"
        raise StoreOpenError(place, reason)
    if not sample and data.holds_data():
        reason = f"there is data already, and {owner} has none yet, so it is not this store's; pass an empty place"
        raise StoreOpenError(place, reason)
    if not sample and owner.place is not None and owner.place.uri != _uri(data):
        raise _lies_elsewhere(owner, owner.place, data)
    if strictly:
        raise StoreOpenError(place, f"it is missing; open the store {owner} once, which writes it")
    return None


_REMEDY = (
    "pass the place of this store's own data. If this database replaces the other one, which nobody may use any more, "
    "remove that file and open the store again"
)


def _compete(owner: Owner, data: DataHandler, place: str) -> None:
    """Mark a place that has no mark, while other stores may do the same: at most one of them does."""
    said = {"starfish_storage": 1, "store": owner.identity, "uri": owner.uri}
    own = owner_key(owner.identity, os.urandom(4).hex())
    tries = 0
    data.marks.put(own, encode(said, "mark"))
    while others := _others(owner, data):
        data.marks.remove(own)
        _pause()
        _refuse_marked(owner, data)
        tries += 1
        if tries == _TRIES:
            raise _claimed_as_well(owner, data, others[0])
        data.marks.put(own, encode(said, "mark"))
    # On the condition that there is none, for the sake of a claim that was stopped here while another one was made.
    if not data.marks.put_if_absent(MARK_KEY, encode({**said, "place": place}, "mark")):
        mark = _noted(data)
        if mark is not None and mark.owner.identity != owner.identity:
            data.marks.remove(own)
            raise _belongs_to_another(owner, data, mark)


def _confirmed(owner: Owner, data: DataHandler) -> Mark:
    """Return what marks a place as this store's, and raise at any sign of another one."""
    looks = 0
    while True:
        mark = _noted(data)
        if mark is None or mark.owner.identity != owner.identity:
            raise _belongs_to_another(owner, data, mark)
        others = _others(owner, data)
        if not others:
            return mark
        looks += 1
        if looks == _LOOKS:
            raise _claimed_as_well(owner, data, others[0])
        _pause()  # who comes too late takes its mark back


def _refuse_marked(owner: Owner, data: DataHandler) -> None:
    mark = _noted(data)
    if mark is not None and mark.owner.identity != owner.identity:
        raise _belongs_to_another(owner, data, mark)


def _refuse_nested(owner: Owner, data: DataHandler) -> None:
    found = data.marks.around(MARK_KEY)
    if found:
        reason = (
            f"another store lies there, and {_uri(data)!r} lies in its place, or around it: of two places one "
            f"inside the other neither can be cleaned. Pass another place for the data of {owner}"
        )
        raise StoreOpenError(found[0], reason)


def _others(owner: Owner, data: DataHandler) -> list[str]:
    """Return the keys of marks that other stores have left while claiming a place."""
    return [key for key in data.marks.below(OWNERS_DIRECTORY) if owner_named(key) != owner.identity]


def _uri(data: DataHandler) -> str:
    return data.to_reference("").removesuffix("/")


def _pause() -> None:
    time.sleep(random.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE))  # noqa: S311 (no secret)


def _belongs_to_another(owner: Owner, data: DataHandler, mark: Mark | None) -> StoreOpenError:
    if mark is None:
        reason = f"it was there and is missing now; see who removes it, and open the store {owner} again"
    else:
        reason = f"the data there belongs to the store {mark.owner}, not to {owner}; {_REMEDY}"
    return StoreOpenError(data.to_reference(MARK_KEY), reason)


def _claimed_as_well(owner: Owner, data: DataHandler, other: str) -> StoreOpenError:
    return StoreOpenError(
        data.to_reference(other),
        f"another store ({owner_named(other)[:_SHOWN]}) has claimed this place as well as {owner}; nothing was written "
        "or removed. Pass a place of its own for each. If that store was never used here, remove that file and open "
        "the store again",
    )


def _lies_elsewhere(owner: Owner, place: UsedPlace, data: DataHandler) -> StoreOpenError:
    reason = f"the data of {owner} lies in {shorten(place.uri)!r} and not here; pass that place"
    return StoreOpenError(_uri(data), reason)


def _noted(data: DataHandler) -> Mark | None:
    try:
        payload = data.read(MARK_KEY)
    except DataNotFoundError:
        return None
    try:
        found = decode(payload)
        return Mark(Owner(str(found["store"]), str(found["uri"])), str(found.get("place", "")))
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError):
        reason = "it is not a valid store marker; restore the original, or remove it if the data is this store's"
        raise StoreOpenError(data.to_reference(MARK_KEY), reason) from None
