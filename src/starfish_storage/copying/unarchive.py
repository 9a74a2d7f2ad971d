"""Taking out of an archive what it holds: into a store, or as a store of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import IO

from starfish_storage.copying.archive_file import Manifest, opened
from starfish_storage.copying.engine import Progress, copy
from starfish_storage.copying.report import CopyReport
from starfish_storage.copying.scratch import STORE, directory_beside, room_for
from starfish_storage.errors import StoreOpenError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.descriptors import NO_LINK
from starfish_storage.files.errors import translated
from starfish_storage.files.permissions import create_private_file, make_private_directory
from starfish_storage.interface import Storage
from starfish_storage.keys import DATABASE_FILE
from starfish_storage.metadata.sqlite.strange_schema import refuse_strange_schema
from starfish_storage.storage.local import LocalStorage
from starfish_storage.uri import file_uri_of_path


async def unarchive(
    path: str | os.PathLike[str],
    target: Storage,
    *,
    most_bytes: int | None = None,
    progress: Progress | None = None,
) -> CopyReport:
    """Copy what an archive holds into a store.

    The archive may come from anywhere: names that escape, links, what is there twice or encrypted, what is not of a
    store, and what would fill the disk is refused before anything is written; what is not what it says, on the way.
    Then nothing of it is left behind.

    Args:
        path: the file.
        target: where to; set up.
        most_bytes: how much may come out of it; without it, a hundred times its size, and 64 MB.
        progress: called with how many records were copied, and how many there are.

    Raises:
        StoreOpenError: there is no archive, or it is of a newer release.
        StoreDamagedError: it is damaged, or made to do harm.
        AlreadyExistsError: the target has something else, or something newer, of the same id.
    """
    async with _taken_out(_absolute(path), target, most_bytes) as source:
        return await copy(source, target, progress=progress)


async def extract(
    path: str | os.PathLike[str], directory: str | os.PathLike[str], *, most_bytes: int | None = None
) -> Manifest:
    """Make a store of its own of what an archive holds.

    Args:
        path: the file.
        directory: where to; it must be missing or empty.
        most_bytes: see `unarchive`.

    Raises:
        StoreOpenError: there is something in the directory; or as `unarchive`.
        StoreDamagedError: as `unarchive`.
    """
    return await asyncio.to_thread(_extract_into, _absolute(path), _absolute(directory), most_bytes)


def _extract_into(file: str, place: str, most_bytes: int | None) -> Manifest:
    above = os.path.dirname(place)
    if os.path.lexists(place) and (not os.path.isdir(place) or os.path.islink(place) or os.listdir(place)):
        raise StoreOpenError(place, "something exists there already; name another directory")
    if not os.path.isdir(above):
        raise StoreOpenError(place, "the directory above it does not exist; make it first")
    with directory_beside(place) as directory:
        manifest = _take_out(file, f"{directory}/{STORE}", most_bytes, is_kept=True)
        files = FileOperations()
        with translated(place):
            source, target = files.open_directory(directory), files.open_directory(above)
            try:
                files.rename(source, STORE, target, os.path.basename(place))
                files.sync(target)
            finally:
                os.close(source)
                os.close(target)
    return manifest


@asynccontextmanager
async def open_archive(path: str | os.PathLike[str], *, most_bytes: int | None = None) -> AsyncGenerator[Storage]:
    """Open what an archive holds as a store that is only read.

    It is taken out into the directory for temporary files, beside nothing of the user's, and removed afterwards. What
    `unarchive` refuses is refused here too.

    Args:
        path: the file. It is not changed.
        most_bytes: see `unarchive`.

    Raises:
        StoreOpenError: as `unarchive`.
        StoreDamagedError: as `unarchive`.
    """
    file = _absolute(path)
    with directory_beside(room_for(None, os.path.basename(file))) as directory:
        root = f"{directory}/{STORE}"
        await asyncio.to_thread(_take_out, file, root, most_bytes)
        async with LocalStorage(file_uri_of_path(root), redact_secrets=False, read_only=True) as source:
            try:
                yield source
            finally:
                await source.drop_search_index()  # nobody will open this directory again


@asynccontextmanager
async def _taken_out(path: str, target: Storage, most_bytes: int | None) -> AsyncGenerator[Storage]:
    """Open what an archive holds as a store, which is removed afterwards."""
    with directory_beside(room_for(target, os.path.basename(path))) as directory:
        root = f"{directory}/{STORE}"
        await asyncio.to_thread(_take_out, path, root, most_bytes)
        async with LocalStorage(file_uri_of_path(root), durability="process", redact_secrets=False) as source:
            yield source


def _take_out(path: str, root: str, most_bytes: int | None, *, is_kept: bool = False) -> Manifest:
    """Write the members of an archive below a directory that is made; what is kept is synced."""
    made: set[str] = set()

    def write(name: str) -> IO[bytes]:
        above = name.rpartition("/")[0]
        for end in [at for at, letter in enumerate(f"{above}/") if letter == "/" and above]:
            if above[:end] not in made:
                make_private_directory(f"{root}/{above[:end]}")
                made.add(above[:end])
        return os.fdopen(create_private_file(f"{root}/{name}", os.O_WRONLY | NO_LINK), "wb")

    with opened(path, most_bytes) as reader, translated(root):
        make_private_directory(root)
        reader.extract(write)
        refuse_strange_schema(f"{root}/{DATABASE_FILE}")
        if is_kept:
            _sync(root, [info.filename for info in reader.members])
        return reader.manifest


def _sync(root: str, names: list[str]) -> None:
    files = FileOperations()
    descriptor = files.open_directory(root)
    try:
        files.sync_all(descriptor, ((descriptor, name) for name in names), [descriptor])
    finally:
        os.close(descriptor)


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(path)
