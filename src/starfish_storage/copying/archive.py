"""One file that holds a master job: made by copying it into a store beside the file, and packing that."""

from __future__ import annotations

import asyncio
import os
import zipfile
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from starfish_storage.copying.archive_file import MANIFEST, Manifest, TreeDigest, add_member
from starfish_storage.copying.engine import Progress, copy
from starfish_storage.copying.report import CopyReport
from starfish_storage.copying.scratch import STORE, directory_beside
from starfish_storage.data.inventory import Inventory
from starfish_storage.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.descriptors import NO_LINK
from starfish_storage.files.errors import translated
from starfish_storage.files.permissions import create_private_file
from starfish_storage.interface import Storage
from starfish_storage.keys import DATABASE_FILE
from starfish_storage.storage.local import LocalStorage
from starfish_storage.uri import file_uri_of_path
from starfish_storage.wording import number_of, size


@dataclass(frozen=True)
class ArchiveReport:
    """What `archive` did.

    Attributes:
        path: the file.
        size: how many bytes it has.
        manifest: what it holds.
        copied: how the master job got there, with what was lost of it.
    """

    path: str
    size: int
    manifest: Manifest
    copied: CopyReport

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; the names stay the same between releases."""
        lost = {"lost": self.copied.lost, "named": [one._asdict() for one in self.copied.named]}
        return {"path": self.path, "size": self.size} | vars(self.manifest) | lost

    def __str__(self) -> str:
        """Return the report for people."""
        held = self.manifest
        text = (
            f"{self.path}: run {held.master_job_id} with {number_of(held.execution_jobs, 'input')} and "
            f"{number_of(held.records, 'record')} in {size(self.size)}."
        )
        return text if not self.copied.lost else f"{text} Without data: {number_of(self.copied.lost, 'record')}."


async def archive(
    storage: Storage,
    master_job_id: str,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    skip_damaged: bool = False,
    progress: Progress | None = None,
) -> ArchiveReport:
    """Write a master job, whole, with its project, into one zip file, which `unarchive` opens elsewhere.

    It holds a store as ``docs/format.md`` describes it. The file appears when it is complete and on the disk.
    Beside it, room for all of the data is needed meanwhile.

    Args:
        storage: where the master job is; set up.
        master_job_id: which one.
        path: the file; its directory must be there.
        overwrite: replace a file that is there already.
        skip_damaged: leave out data that is lost or damaged, as `copy` does; else that ends it.
        progress: called with how many records were copied, and how many there are.

    Raises:
        NotFoundError: the master job does not exist.
        AlreadyExistsError: there is a file already.
        StoreDamagedError: the data of a record is lost or damaged.
        StorageIOError: the system failed a read or a write. In each case, what was there before still is.
    """
    place = _place_of(path, overwrite=overwrite)
    job = await storage.get_master_job(master_job_id)
    if job is None:
        raise NotFoundError("master job", master_job_id, "list_master_jobs lists all master jobs")
    with directory_beside(place) as directory:
        store = LocalStorage(file_uri_of_path(f"{directory}/{STORE}"), durability="process", redact_secrets=False)
        async with store:
            copied = await copy(
                storage, store, master_job_ids=[master_job_id], skip_damaged=skip_damaged, progress=progress
            )
        size, manifest = await asyncio.to_thread(_pack, directory, place, copied, (master_job_id, job.project_id))
        return ArchiveReport(place, size, manifest, copied)


def _pack(directory: str, place: str, copied: CopyReport, ids: tuple[str, str]) -> tuple[int, Manifest]:
    """Pack a closed store, members in the order of their names and the manifest last, and put the file in place."""
    root, packed = f"{directory}/{STORE}", f"{directory}/archive.zip"
    digest = TreeDigest()
    with translated(place):
        descriptor = create_private_file(packed, os.O_WRONLY | NO_LINK)
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted([*_keys_in(root), DATABASE_FILE]):
                with open(f"{root}/{name}", "rb") as content:
                    digest.add(name, *add_member(archive, name, content))
            counts = (copied.execution_jobs, copied.records, copied.attempts, copied.steps)
            more = (copied.versions, copied.segments, copied.annotations)
            manifest = Manifest(*ids, *counts, digest.files, digest.bytes, digest.hexdigest(), *more)
            manifest_path = f"{directory}/{MANIFEST}"
            with os.fdopen(create_private_file(manifest_path, os.O_RDWR), "w+b") as content:
                content.write(manifest.to_bytes())
                content.seek(0)
                add_member(archive, MANIFEST, content)
        size = os.path.getsize(packed)
        FileOperations().replace_file(packed, place)
    return size, manifest


def _keys_in(root: str) -> Generator[str]:
    inventory = Inventory(root)
    try:
        for directory in inventory.directories():
            yield from (file.key for file in inventory.files(directory) if file.is_data)
    finally:
        inventory.close()


def _place_of(path: str | os.PathLike[str], *, overwrite: bool) -> str:
    """Return the absolute path of a file that may be written."""
    place = os.path.abspath(path)
    if not os.path.isdir(os.path.dirname(place)):
        raise InvalidInputError(f"{place!a} cannot be written: its directory does not exist; make it first.")
    if os.path.isdir(place) or (os.path.lexists(place) and not overwrite):
        raise AlreadyExistsError(
            "file", place, "choose another name, or allow replacing it with overwrite=True (--overwrite)"
        )
    return place
