"""Credentials that lie in a file, so that they can be renewed while a process runs: its environment cannot be."""

from __future__ import annotations

import configparser
import os
from typing import Any

from starfish_storage.errors import StoreOpenError
from starfish_storage.uri import ObjectUri

FILE_VARIABLE, PROFILE_VARIABLE = "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE"

_SCHEMES = frozenset({"s3", "s3a"})
_NAMES = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}


def credentials_of(place: ObjectUri) -> Any:
    """Return the credentials of the file that the environment names, as the client library takes them; None without.

    As everywhere, a key in the environment itself comes first. A file that nobody names is not looked for: a machine's
    role was used without it, and must not give way to a file that happens to lie there.

    Args:
        place: of the objects.

    Raises:
        StoreOpenError: the file cannot be read, or does not have the profile.
    """
    path = os.environ.get(FILE_VARIABLE)
    if place.scheme not in _SCHEMES or not path or os.environ.get("AWS_ACCESS_KEY_ID"):
        return None
    parser = configparser.RawConfigParser()
    profile = os.environ.get(PROFILE_VARIABLE) or "default"
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            parser.read_file(file)
        found = dict(parser.items(profile))
    except (OSError, UnicodeDecodeError, configparser.Error):
        found = {}
    if not found:
        # Not chained: the parser quotes lines, and these are secrets.
        raise StoreOpenError(str(place), f"{FILE_VARIABLE} names {path!r}, which has no profile {profile!r} to be read")
    return {ours: found[theirs] for theirs, ours in _NAMES.items() if theirs in found}
