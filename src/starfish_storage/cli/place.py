"""Where the store of a command is: how it is named on the command line and in the environment."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import click

from starfish_storage.errors import StoreOpenError, StoreReadOnlyError
from starfish_storage.uri import POSTGRES_SCHEMES, as_uri, path_of_file_uri, without_password

if TYPE_CHECKING:
    from starfish_storage.interface import Layout

STORE_VARIABLE = "STARFISH_STORAGE_URI"
DATA_VARIABLE = "STARFISH_STORAGE_DATA_URI"
DEFAULT_STORE = "store"
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the store of a command is.

    Attributes:
        uri: its URI.
        data_uri: that of its data, if that lies elsewhere.
        words: the options that name it on another command line; none where it is found without.
        read_only: nothing is to be written there.
        layout: how it holds data if the command makes it; None: as it is, and packed if it is new.
    """

    uri: str
    data_uri: str | None = None
    words: tuple[str, ...] = ()
    read_only: bool = False
    layout: Layout | None = None

    @property
    def is_local(self) -> bool:
        """Whether its metadata lies in a directory, and not on a server."""
        return not self.uri.startswith(POSTGRES_SCHEMES)

    @property
    def path(self) -> str:
        """The directory of one that is local."""
        return path_of_file_uri(self.uri)

    @property
    def is_archive(self) -> bool:
        """Whether it is a file that looks like an archive of a run, and not a directory."""
        if not self.is_local or not os.path.isfile(self.path):
            return False
        try:
            with open(self.path, "rb") as file:
                return file.read(len(_ZIP)) == _ZIP
        except OSError:
            return False

    @property
    def shown(self) -> str:
        """What it is called in messages."""
        return self.path if self.is_local else without_password(self.uri)

    def command(self, *words: str) -> str:
        """Return a command line about this store, to be pasted into a shell; a password is left out."""
        return shlex.join(("starfish-storage", *words, *map(without_password, self.words)))

    def refuse_writing(self) -> None:
        """Raise if nothing is to be written there. Called before anything is done that ends in writing.

        Raises:
            StoreReadOnlyError: so it is.
        """
        if self.read_only:
            raise StoreReadOnlyError(self.shown, "--read-only was given; leave it out, to write")

    def refuse_archive(self) -> None:
        """Raise if it is an archive. Called by commands that look after the directory of a store.

        Raises:
            StoreOpenError: so it is.
        """
        if self.is_archive:
            reason = "it is a file, and an archive of a run can only be read; copy it into a store with 'unarchive'"
            raise StoreOpenError(self.path, reason)


def place_of(
    context: click.Context, store: str | None = None, data_uri: str | None = None, *, read_only: bool = False
) -> Place:
    """Return where the store is, by the options after the command, those before it, the environment, or the default.

    The variable for data belongs to the store that the environment names, and to no other.
    """
    root = context.find_root()
    is_option = root.get_parameter_source("store") is click.core.ParameterSource.COMMANDLINE
    named = store or (root.params.get("store") if is_option else None)
    data = data_uri or root.params.get("data_uri")
    read_only = read_only or bool(root.params.get("read_only"))
    found = as_uri(cast("str", named or root.params.get("store") or DEFAULT_STORE))
    if not named and not data:
        return Place(found, _uri_or_none(os.environ.get(DATA_VARIABLE)), read_only=read_only)
    words = (("--store", found) if named else ()) + (("--data-uri", as_uri(data)) if data else ())
    return Place(found, _uri_or_none(data), words, read_only)


def _uri_or_none(given: str | None) -> str | None:
    return as_uri(given) if given else None
