"""How the outputs of a record that are kept are shown: the current one and its other versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starfish_storage.cli.cells import Cell
from starfish_storage.cli.json_form import as_json as json_of
from starfish_storage.cli.opening import reading
from starfish_storage.cli.output import Listing, show_data, show_title
from starfish_storage.cli.place import Place
from starfish_storage.cli.shortening import shortened
from starfish_storage.cli.tables import Column
from starfish_storage.errors import DataLostError, NotFoundError, StoreDamagedError
from starfish_storage.interface import Storage
from starfish_storage.runs import RecordVersion

_COLUMNS = (
    Column("version"),
    Column("current"),
    Column("status"),
    Column("produced", optional=True),
    Column("replaced", optional=True),
    Column("error", whole=False),
)


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version of a record, and its data.

    Attributes:
        version: the version.
        data: its data; None if it has none, or if that cannot be read.
        problem: why it cannot be read.
    """

    version: RecordVersion
    data: dict[str, Any] | None
    problem: str | None

    def to_json(self) -> dict[str, Any]:
        """Return what is printed with ``--json``."""
        return {**json_of(self.version), "data": self.data, "problem": self.problem}


async def list_versions(place: Place, uid: str, *, full: bool, as_json: bool) -> None:
    """Print the outputs of a record that are kept.

    Raises:
        NotFoundError: there are none.
    """
    async with reading(place) as storage:
        views = [await _view(storage, version) for version in await storage.ledger.list_versions(uid)]
    if not views:
        raise NotFoundError("record", uid, "'starfish-storage records RUN' lists those of a run")
    listing = Listing(_COLUMNS, _cells, as_json=as_json)
    for view in views:
        listing.add(view)
    listing.end()
    for view in () if as_json else views:
        if view.data is not None:
            show_title(f"Version {view.version.number}{' (current)' if view.version.is_current else ''}")
            show_data(view.data if full else shortened(view.data))


async def _view(storage: Storage, version: RecordVersion) -> VersionView:
    try:
        data = await storage.ledger.get_version_data(version.record_uid, version.number)
    except (DataLostError, StoreDamagedError) as error:
        return VersionView(version, None, str(error))
    return VersionView(version, data, None)


def _cells(view: VersionView) -> Sequence[Cell]:
    version = view.version
    return (
        version.number,
        "yes" if version.is_current else "no",
        version.status,
        version.start_time,
        version.replaced_when,
        view.problem or version.error_message,
    )
