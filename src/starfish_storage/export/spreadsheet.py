"""CSV that spreadsheets open: one row a record, one column a top-level key."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from starfish_storage.codec import decode, json_text
from starfish_storage.errors import NotExportableError
from starfish_storage.export.compression import COMPRESSION, Compression, open_compressed
from starfish_storage.export.forms import Form, FormWriter, OnRows, registered, splice
from starfish_storage.export.inference import MOST_COLUMNS
from starfish_storage.export.records import ExportedRecord, Refusal
from starfish_storage.export.spool import Spool
from starfish_storage.form_option import FormOption
from starfish_storage.spreadsheet_cells import harmless

_PIECE = 1 << 20  # bytes that are read again at a time

_BYTE_ORDER_MARK = "\ufeff"

_Text = Callable[[str], str]
"""What a text becomes in a cell."""


@registered
@dataclass(frozen=True)
class Csv(Form):
    """One row a record, one column for each top-level key of any record, in the order in which they first occur.

    Text stands as it is, in quotes; but a cell that a spreadsheet would take for a formula gets a ``'`` before it,
    unless it is a number, such as ``-5e3``. Numbers, ``true`` and ``false`` are written as JSON has them, ``null`` and
    what is missing as nothing, lists and objects as JSON.

    Args:
        compression: ``"gzip"``, ``"zstd"`` (with the extra ``zstd`` before Python 3.14), or None.
        metadata_key: what stands before the names of the metadata's columns, as in ``metadata.uid``; None to leave them
            out.
        byte_order_mark: begin with U+FEFF, without which Excel does not see that the file is UTF-8.
        raw_cells: leave formulas as they are: for programs, which run none.
    """

    compression: Compression | None = None
    metadata_key: str | None = None
    byte_order_mark: bool = True
    raw_cells: bool = False

    name: ClassVar[str] = "csv"
    endings: ClassVar[tuple[str, ...]] = (".csv",)
    is_compressed_by_ending: ClassVar[bool] = True
    options: ClassVar[tuple[FormOption, ...]] = (
        FormOption("raw_cells", "CSV: leave what a spreadsheet would run as a formula.", kind=bool),
        COMPRESSION,
    )

    def open(self, path: str, about: Any) -> FormWriter:  # noqa: ARG002 (it says nothing of the whole)
        """See `Form.open`."""
        return CsvWriter(self, path)


class CsvWriter(FormWriter):
    """Keeps the records in a temporary file until all columns are known, then writes the rows.

    Args:
        form: the options.
        path: of the file.
    """

    def __init__(self, form: Csv, path: str) -> None:
        self._form = form
        self._path = path
        self._kept = Spool(os.path.dirname(path))
        self._columns: dict[str, None] = {}

    def add(self, records: Sequence[ExportedRecord]) -> list[Refusal]:
        """See `FormWriter.add`."""
        refused: list[Refusal] = []
        for record in records:
            try:
                line = splice(record, self._form.metadata_key, self._form.name)
                self._columns |= dict.fromkeys(self._flat(line, record.uid))
            except NotExportableError as error:
                refused.append(Refusal(record.uid, error))
                continue
            self._kept.add(line)
        return refused

    def expect(self, fields: Sequence[str]) -> None:
        """See `FormWriter.expect`. Each is a column, also if there are no records, or none has it."""
        self._columns |= dict.fromkeys(fields)

    def watch(self, tell: OnRows) -> None:
        """See `FormWriter.watch`."""
        self._kept.on_read = tell

    def finish(self) -> None:
        """See `FormWriter.finish`."""
        with (
            open_compressed(self._path, self._form.compression) as below,
            io.TextIOWrapper(below, "utf-8", newline="") as file,
        ):
            if self._form.byte_order_mark:
                file.write(_BYTE_ORDER_MARK)
            # Text is quoted: where cells are parted by semicolons, one within a text would begin another cell.
            rows = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
            text: _Text = str if self._form.raw_cells else harmless
            rows.writerow([text(name) for name in self._columns])
            for lines in self._kept.batches(_PIECE, _PIECE):
                for data in map(self._flat, lines):
                    rows.writerow([_cell(data.get(name), text) for name in self._columns])

    def close(self) -> None:
        """See `FormWriter.close`."""
        self._kept.close()

    def _flat(self, line: bytes, uid: str = "") -> dict[str, Any]:
        """Return what stands in a row; of the metadata, each member by itself.

        Raises:
            NotExportableError: a column has no name, two things are of one column, or there are too many columns.
        """
        data: dict[str, Any] = decode(line)
        key, form = self._form.metadata_key, self._form.name
        if key is not None and key in data:
            metadata: dict[str, Any] = {f"{key}.{name}": value for name, value in data.pop(key).items()}
            same = next((name for name in metadata if name in data), None)
            if same is not None:
                raise NotExportableError(
                    uid,
                    form,
                    f"its data has a key {same!r}, which is a column of the metadata; choose another metadata key",
                )
            data |= metadata
        blank = next((name for name in data if not name.strip()), None)
        if blank is not None:  # our import refuses it, as it does not know what others mean by it
            reason = f"its data has the key {blank!r}, which names no column; use JSON Lines, or choose other fields"
            raise NotExportableError(uid, form, reason)
        if len(self._columns) + len(data) > MOST_COLUMNS and len(self._columns.keys() | data.keys()) > MOST_COLUMNS:
            raise NotExportableError(uid, form, f"it brings the columns to more than {MOST_COLUMNS:,}; use JSON Lines")
        return data


def _cell(value: object, text: _Text = harmless) -> str | float:
    r"""Return a value as it stands in a cell.

    >>> _cell("=1+1"), _cell(-1), _cell(None), _cell(True), _cell([1, "a"]), _cell("a\nb")
    ("'=1+1", -1, '', 'true', '[1,"a"]', 'a\nb')
    """
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return text(value) if isinstance(value, str) else json_text(value)
