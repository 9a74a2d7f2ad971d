"""The inputs that records were made of, beside their data or under a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from starfish_storage.codec import decode, json_line
from starfish_storage.errors import InvalidInputError, NotExportableError, shorten
from starfish_storage.export.forms import encode_member, has_key
from starfish_storage.export.records import ExportedRecord, Refusal
from starfish_storage.export.report import ExportReport
from starfish_storage.export.reshaping import Reshaper


class WithInput(Reshaper):
    """Puts the input of each record before its data: each member of it, or all of it under one key.

    Where data and input have a member of one name and one value, it stands once; with another value, the record is
    refused. A record without an input stays as it is.

    Args:
        key: the key of the input; None: its members stand beside those of the data.
        form: what is written, for messages.
    """

    needs_source = True

    def __init__(self, key: str | None, form: str) -> None:
        self._key = key
        self._form = form
        self._without = 0

    def reshape(self, records: Sequence[ExportedRecord]) -> Iterator[ExportedRecord | Refusal]:
        """See `Reshaper.reshape`."""
        for record in records:
            given = None if record.source is None else record.source.input
            if given is None:
                self._without += 1
                yield record
                continue
            try:
                member = self._members(record, given)
            except NotExportableError as error:
                yield Refusal(record.uid, error)
            else:
                yield record._replace(payload=_before(member, record.payload))

    def note(self, report: ExportReport) -> None:
        """See `Reshaper.note`."""
        report.without_input = self._without

    def _members(self, record: ExportedRecord, given: Mapping[str, Any]) -> bytes:
        """Return what stands before the data, without braces.

        Raises:
            NotExportableError: the data has one of the names for something else.
        """
        key = self._key
        if key is not None:
            if has_key(record.payload, key):
                reason = f"its data has a key {shorten(key)} of its own; name another with --input-key"
                raise NotExportableError(record.uid, self._form, reason)
            return encode_member(key, given)
        data: dict[str, Any] = decode(record.payload)
        for name in given.keys() & data.keys():
            # As text: 1, 1.0 and true are equal in Python, and are three values.
            if json_line(given[name]) != json_line(data[name]):
                reason = (
                    f"its data and its input have different values of {shorten(name)}; put the input under a key of "
                    "its own, such as --input-key input"
                )
                raise NotExportableError(record.uid, self._form, reason)
        return json_line({name: value for name, value in given.items() if name not in data})[1:-2]


def input_key(wanted: bool | str, *others: str | None) -> str | None:
    """Return the key under which inputs are to stand; None: beside the data.

    Raises:
        InvalidInputError: a file cannot hold the key, or something else stands under it.
    """
    if isinstance(wanted, bool):
        return None
    if not wanted or not wanted.isprintable() or wanted in others:
        raise InvalidInputError(f"inputs cannot stand under the key {wanted!a}: choose another.")
    return wanted


def _before(members: bytes, payload: bytes) -> bytes:
    if not members:
        return payload
    return b"{" + members + (b"}\n" if payload == b"{}\n" else b"," + payload[1:])
