"""What people say of the records that are exported: which are accepted, and what stands beside their data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starfish_storage.errors import InvalidInputError, NotExportableError
from starfish_storage.export.forms import encode_member, has_key
from starfish_storage.interface import ScannedRecord, Storage
from starfish_storage.runs import Annotation, holding

DEFAULT_ANNOTATIONS_KEY = "annotations"


def annotations_key(wanted: bool | str, metadata_key: str | None) -> str | None:
    """Return the key under which annotations are to stand; None without them.

    Raises:
        InvalidInputError: a file cannot hold the key, or the metadata has it.
    """
    key = DEFAULT_ANNOTATIONS_KEY if wanted is True else wanted or None
    if key is not None and (not key.isprintable() or key in (metadata_key, "messages")):
        raise InvalidInputError(f"annotations cannot stand under the key {key!a}: choose another.")
    return key


async def held_annotations(storage: Storage, record_uids: Sequence[str]) -> dict[str, list[Annotation]]:
    """Return, by record, what is said of it and holds; nothing of a record of which nothing is said."""
    found: dict[str, list[Annotation]] = {}
    for one in holding(await storage.annotations.list(record_uids)):
        found.setdefault(one.record_uid, []).append(one)
    return found


async def beside_data(
    storage: Storage, records: Sequence[ScannedRecord], key: str | None, form: str
) -> list[bytes | NotExportableError]:
    """Return the data of records, each with what is said of it under a key.

    Where the data has the key itself, the error stands in its place.
    """
    if key is None:
        return [record.payload or b"" for record in records]
    held = await held_annotations(storage, [record.record_uid for record in records])
    return [_beside(record, key, held.get(record.record_uid, []), form) for record in records]


def _beside(record: ScannedRecord, key: str, held: Sequence[Annotation], form: str) -> bytes | NotExportableError:
    payload = record.payload or b""
    if has_key(payload, key):
        reason = f"its data has a key {key!r} of its own; choose another key for annotations"
        return NotExportableError(record.record_uid, form, reason)
    member = encode_member(key, [_member(one) for one in held])
    return b"{" + member + b"}\n" if payload == b"{}\n" else payload[:-2] + b"," + member + b"}\n"


def _member(one: Annotation) -> dict[str, Any]:
    """Return an annotation as it is exported: each kind has a member of its own, so that each has one type."""
    name, value = ("version", one.value["version"]) if one.kind == "edit" else (one.kind, one.value)
    told = {"kind": one.kind, name: float(value) if one.kind == "rating" else value, "author": one.author}
    return told | {"time": one.time.isoformat(timespec="microseconds").replace("+00:00", "Z")}
