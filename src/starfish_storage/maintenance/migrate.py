"""Bringing a store to the format of this release, when somebody asks for it."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from starfish_storage.errors import StorageBusyError, StoreOpenError
from starfish_storage.keys import DATABASE_FILE
from starfish_storage.maintenance.backends import PathOrUri, places
from starfish_storage.metadata.migrations import latest_version
from starfish_storage.metadata.sqlite.starfish_upgrade import format_of
from starfish_storage.opening import open_storage
from starfish_storage.uri import POSTGRES_SCHEMES, path_of_file_uri, without_password
from starfish_storage.wording import number_of

_PATIENCE = 60.0  # seconds that a server is waited for
_SHOWN = 5  # workers


@dataclass(frozen=True, slots=True)
class MigrateReport:
    """What became of a store that was to be migrated.

    Attributes:
        place: the store, without a password.
        before: the format that it had; of a store on a server, the version of its schema.
        latest: the format of this release.
        working: the ids of the workers that were at an input.
        dry_run: nothing was changed.
    """

    place: str
    before: int
    latest: int
    working: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def is_needed(self) -> bool:
        """Whether the store had another format."""
        return self.before != self.latest

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**asdict(self), "working": list(self.working), "is_needed": self.is_needed}

    def __str__(self) -> str:
        """Return it as text for people."""
        if not self.is_needed:
            return f"{self.place} has format {self.latest}, which is this release's."
        if not self.dry_run:
            return f"{self.place} was migrated from format {self.before} to {self.latest}."
        text = f"{self.place} has format {self.before}, and this release needs {self.latest}. Nothing was changed."
        if self.working:
            text += f"\n{number_of(len(self.working), 'worker')} at work: {_named(self.working)}."
        return text


def migrate(
    storage_uri: PathOrUri, data_uri: PathOrUri | None = None, *, dry_run: bool = False, now: bool = False
) -> MigrateReport:
    """Bring a store to the format of this release, in one transaction, and end its drain. Idempotent. Durable. Blocks.

    A store in PostgreSQL is migrated by this function alone: whoever opens one of an earlier format is refused. A store
    in a directory is migrated when it is opened, and here in the same way.

    Args:
        storage_uri: the store.
        data_uri: where its data lies, if elsewhere. Of a store in PostgreSQL it is not needed.
        dry_run: say what is to be done, and change nothing.
        now: migrate although workers of an earlier release are at work. They store nothing more, and keep what they
            have paid for in a spool, which `resume` takes in.

    Raises:
        StoreOpenError: there is no store, or a newer release's; or another process has it open, in a directory. It is
            as it was.
        StorageBusyError: workers are at work in it, and ``now`` was not given.
        StorageUnavailableError: its server does not answer.
    """
    uri, data_at = places(storage_uri, data_uri)
    with ThreadPoolExecutor(1) as thread:  # the caller's own may run an event loop
        if uri.startswith(POSTGRES_SCHEMES):
            return thread.submit(lambda: _migrate_on_server(uri, dry_run=dry_run, now=now)).result()
        return thread.submit(lambda: _migrate_local(uri, data_at, dry_run=dry_run)).result()


def _migrate_on_server(uri: str, *, dry_run: bool, now: bool) -> MigrateReport:
    from starfish_storage.metadata.postgres.address import PostgresAddress  # the driver is an extra
    from starfish_storage.metadata.postgres.upgrading import standing, upgrade

    address = PostgresAddress.of_uri(uri)
    found = standing(address, _PATIENCE)
    working = tuple(worker for worker, _ in found.working)
    report = MigrateReport(address.uri, found.version, found.known, working, dry_run)
    if dry_run:
        return report
    if report.is_needed and working and not now:
        raise StorageBusyError(
            f"{address.uri}: {number_of(len(working), 'worker')} at work ({_named(working)}); nothing was changed. Run "
            "'starfish-storage drain' with the release that they have, or end them, and migrate then. With --now they "
            "store nothing more, and leave what they have paid for in spools."
        )
    upgrade(address, _PATIENCE)
    return report


def _migrate_local(uri: str, data_uri: str | None, *, dry_run: bool) -> MigrateReport:
    root = path_of_file_uri(uri)
    path = f"{root}/{DATABASE_FILE}"
    if not os.path.lexists(path):
        raise StoreOpenError(root, f"there is no {DATABASE_FILE} in it; name the directory of a store")
    before = format_of(os.path.realpath(path))
    if before == 0:
        raise StoreOpenError(root, "it is a store of Starfish; run 'starfish-storage upgrade', which reads every file")
    report = MigrateReport(without_password(uri), before, latest_version(), (), dry_run)
    if not dry_run:

        async def open_once() -> None:
            async with open_storage(uri, data_uri) as storage:
                await storage.ledger.end_drain()

        asyncio.run(open_once())
    return report


def _named(working: tuple[str, ...]) -> str:
    return ", ".join(working[:_SHOWN]) + (", ..." if len(working) > _SHOWN else "")
