"""Whose data lies in a place: a mark beside the data that names one store.

A store removes data that none of its rows refers to, sooner or later. The data of another store looks just like that.
So a store of many machines uses a place only after it has left its mark there, or found it. (A number in the database
alone is not enough: whoever copies the database copies the number, and the copy would remove the original's data.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from starfish_storage.codec import decode, encode
from starfish_storage.errors import DataNotFoundError, StoreOpenError, shorten
from starfish_storage.interface import DataHandler
from starfish_storage.keys import MARK_KEY

_SHOWN = 12  # characters of an identity: enough to tell two apart


class Owner(NamedTuple):
    """A store that data belongs to.

    Attributes:
        identity: unique to this store: no other store has it, nor does a copy of this one.
        uri: where its rows lie, without a password; for people.
    """

    identity: str
    uri: str

    def __str__(self) -> str:
        return f"{shorten(self.uri)} ({self.identity[:_SHOWN]})"


def claim_data(owner: Owner, data: DataHandler, sample: Sequence[str]) -> None:
    """Mark a place as this store's, unless it is marked already. Idempotent. Durable.

    Args:
        owner: this store.
        data: the place, set up.
        sample: keys of some data that there must be; none if the store has none.

    Raises:
        StoreOpenError: it holds the data of another store, or of an unknown one.
    """
    if refuse_other_data(owner, data, sample):
        return
    mark = data.write(MARK_KEY, encode({"starfish_storage": 1, "store": owner.identity, "uri": owner.uri}, "mark"))
    try:
        mark.stage()
        mark.publish()
        data.sync((MARK_KEY,))
    finally:
        mark.discard()


def refuse_other_data(owner: Owner, data: DataHandler, sample: Sequence[str], *, strictly: bool = False) -> bool:
    """Raise if a place holds the data of another store; else return whether it is marked as this one's.

    Args:
        owner: this store.
        data: the place.
        sample: keys of some data that there must be; none if the store has none.
        strictly: raise as well if it is not marked.

    Raises:
        StoreOpenError: it does.
    """
    place = data.to_reference(MARK_KEY)
    noted = _noted(data)
    if noted is not None:
        if noted.identity != owner.identity:
            raise StoreOpenError(place, f"the data there belongs to the store {noted}, not to {owner}; {_REMEDY}")
        return True
    if sample and not data.existing(sample):
        reason = f"the data of {owner} is not there; pass the place where it lies, or restore it from a backup"
        raise StoreOpenError(place, reason)
    if not sample and data.holds_data():
        reason = f"there is data already, and {owner} has none yet, so it is not this store's; pass an empty place"
        raise StoreOpenError(place, reason)
    if strictly:
        raise StoreOpenError(place, f"it is missing; open the store {owner} once, which writes it")
    return False


_REMEDY = (
    "pass the place of this store's own data. If this database replaces the other one, which nobody may use any more, "
    "remove that file and open the store again"
)


def _noted(data: DataHandler) -> Owner | None:
    try:
        payload = data.read(MARK_KEY)
    except DataNotFoundError:
        return None
    try:
        found = decode(payload)
        return Owner(str(found["store"]), str(found["uri"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        reason = "it is not a valid store marker; restore the original, or remove it if the data is this store's"
        raise StoreOpenError(data.to_reference(MARK_KEY), reason) from None
