"""Functions that are stored as pickles: keys are kept out of them, and what others could have written is refused.

To load a pickle is to run it. Who can write to a store can so run code as whoever resumes a run of it.
"""

from __future__ import annotations

import os
import pickletools
import stat
import warnings
from typing import Any, cast

from starfish_storage import redaction
from starfish_storage.errors import UntrustedCodeError
from starfish_storage.files.processes import user_id
from starfish_storage.interface import Storage
from starfish_storage.redaction import SecretRedactedWarning
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def without_pickled_keys(config: dict[str, Any]) -> dict[str, Any]:
    """Return what the framework would store, without functions that hold a key: pickled, it would lie there readable.

    A run whose function is left out is resumed in its own process only.
    """
    kept = dict(config)
    if _holds_key(kept.get("func")):
        kept["func"] = None
        _warn("The function")
    options = kept.get("config")
    if isinstance(options, dict):
        options = cast("dict[str, Any]", options)
        hooks = [*options.get("on_record_complete", ()), *options.get("on_record_error", ())]
        if any(map(_holds_key, hooks)):
            kept["func"] = kept["config"] = None
            _warn("A hook")
    return kept


def _holds_key(pickled: object) -> bool:
    if not isinstance(pickled, str):
        return False
    # By its parts, and not as one text: the byte before a string is its length, and may look like a letter of it.
    parts = (part for _, part, _ in pickletools.genops(bytes.fromhex(pickled)))
    texts = (part.decode("latin-1") if isinstance(part, bytes) else part for part in parts)
    return any(isinstance(text, str) and redaction.without_keys(text) != text for text in texts)


def _warn(what: str) -> None:
    message = (
        f"{what} of this factory holds a key, so it is not stored, and resume_from_checkpoint cannot run it: read the "
        "key inside of the function, for example from os.environ."
    )
    logger.warning("%s", message, extra={"is_warned": True})
    warnings.warn(message, SecretRedactedWarning, stacklevel=2)


def refuse_untrusted(storage: Storage, config_ref: str, *, trusts_code: bool) -> None:
    """Refuse to hand on stored functions if others than this user can write to the store.

    Raises:
        UntrustedCodeError: they can, or nobody can tell.
    """
    if trusts_code:
        return
    if not os.path.isabs(config_ref):
        raise UntrustedCodeError(storage.storage_uri, "who can write to a server or a bucket is not known here")
    store = os.path.realpath(os.path.dirname(os.path.dirname(config_ref)))
    of_metadata: str = getattr(storage, "base_path", store)
    for place in (config_ref, os.path.dirname(config_ref), store, of_metadata):
        _refuse(place, store, _OTHERS)
    above = store
    while (above := os.path.dirname(place := above)) != place:
        # Where all may write but only the owner rename what is another's, as in /tmp, only the owner is to be trusted.
        is_sticky = os.stat(above).st_mode & stat.S_ISVTX
        _refuse(above, store, 0 if is_sticky else stat.S_IWOTH)


def _refuse(place: str, store: str, modes: int) -> None:
    found = os.stat(place)
    if found.st_uid not in (user_id(), 0):
        raise UntrustedCodeError(store, f"{place!r} belongs to another user")
    if found.st_mode & modes:
        raise UntrustedCodeError(store, f"others can write to {place!r} (chmod go-w)")
