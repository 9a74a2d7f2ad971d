"""What lies in the place of a store's data and nothing refers to."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.interface.inspection import FoundFile, RowInspection


def unwanted(rows: RowInspection, files: Sequence[FoundFile]) -> list[FoundFile]:
    """Return those of some files, listed before, that no row refers to; what is to be removed is somebody else's."""
    data = [file for file in files if file.is_data]
    if not data:
        return []
    standing = rows.standing([file.key for file in data])
    return [file for file in data if standing.get(file.key) in (None, "loose")]
