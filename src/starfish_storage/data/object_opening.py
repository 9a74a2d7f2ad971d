"""Making obstore's client of a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starfish_storage.data.object_credentials import credentials_of
from starfish_storage.data.object_errors import is_panic
from starfish_storage.errors import StoreOpenError, install_command
from starfish_storage.uri import ObjectUri

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_in_memory: dict[str, ObjectStore] = {}


def open_store(place: ObjectUri) -> ObjectStore:
    """Return obstore's client of the bucket of a place.

    Raises:
        StoreOpenError: obstore is not installed, or what it needs is not in the environment.
    """
    try:
        from obstore.store import MemoryStore, from_url
    except ImportError as error:
        reason = f"object stores need obstore, which is not installed: {install_command('s3')}"
        raise StoreOpenError(str(place), reason) from error
    if place.scheme == "memory":
        return _in_memory.setdefault(place.bucket, MemoryStore())
    credentials = credentials_of(place)
    try:
        # The bucket alone: of a prefix, obstore would decode percent-escapes. No options of the client: where any are
        # given, those of the environment (AWS_ALLOW_HTTP, AWS_TIMEOUT, AWS_PROXY_URL) are not looked at.
        return from_url(place.bucket_uri, config=credentials, retry_config={"max_retries": 0})
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        kind = type(error).__name__
    # Here and not above: the text of obstore's own error would go along as the context of ours.
    reason = f"its client cannot be made ({kind}); see to the environment variables of its kind"
    raise StoreOpenError(str(place), reason)
