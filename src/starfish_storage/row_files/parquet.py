"""Rows of Parquet files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.extras import arrow, need
from starfish_storage.row_files.arrow_values import Convert, converter, readable_type
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.restoring import Restorer, text_metadata
from starfish_storage.row_files.rows import BadRow, GoodRow
from starfish_storage.row_files.source_file import SourceFile

_BATCH = 500


class ParquetTable:
    """The rows of Parquet files with the same columns, one file after the other.

    Args:
        files: the files.
        name: what they are called together; the name of the first by default.
        form: what they are.
        about: what else is kept of them, and tells files of the same content apart.

    Raises:
        InvalidInputError: a file is not Parquet, or has a column whose values JSON cannot express; pyarrow is missing.
    """

    def __init__(
        self,
        files: Sequence[SourceFile],
        name: str | None = None,
        form: str = "parquet",
        about: dict[str, Any] | None = None,
    ) -> None:
        self._files = files
        self._about = about or {}
        self.name = name or files[0].name
        self.form = form
        for file in files:
            _opened(file)

    @property
    def identity(self) -> str:
        """See `Table.identity`."""
        digests = [file.sha256 for file in self._files]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """See `Table.describe`."""
        if self.form == "parquet":
            return self._files[0].describe()
        return {"name": self.name, **self._about, "files": [file.describe() for file in self._files]}

    def notes(self) -> list[str]:
        """See `Table.notes`."""
        return []

    def has_changed(self) -> bool:
        """See `Table.has_changed`."""
        return any(file.has_changed() for file in self._files)

    def rows(self) -> Iterator[GoodRow | BadRow]:
        """See `Table.rows`."""
        pa = arrow()
        for file in self._files:
            parquet, readable, make_row = _opened(file)
            number = 0
            try:
                for batch in parquet.iter_batches(_BATCH):
                    arrays = [
                        column.cast(kind) if kind is not None else column
                        for column, kind in zip(batch.columns, readable, strict=True)
                    ]
                    columns = [cast("list[Any]", array.to_pylist(maps_as_pydicts=None)) for array in arrays]
                    for values in zip(*columns, strict=True):
                        number += 1
                        yield make_row(f"row {number} of {file.shown}", values)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise _damaged(file, f"after row {number}", error) from error


def _of_one_file(file: SourceFile) -> ParquetTable:
    return ParquetTable([file])


PARQUET = FileForm(name="parquet", title="Parquet", endings=(".parquet", ".pq"), table=_of_one_file)


def _opened(file: SourceFile) -> tuple[Any, list[Any], _RowMaker]:
    """Open a file, and return it with what its columns are read as, and what makes rows of their values."""
    pa, pq = arrow(), need("pyarrow.parquet", "parquet", "Parquet files")
    try:
        parquet: Any = pq.ParquetFile(pa.PythonFile(file.raw, "r"), memory_map=False)
        schema = parquet.schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(file, "at its end", error) from error
    names: list[str] = schema.names
    for name in names:
        if names.count(name) > 1:
            raise InvalidInputError(f"two columns of {file.shown} are named {shorten(name)}: rename one of them.")
    readable: list[Any] = []
    converters: list[Convert | None] = []
    for field in schema:
        try:
            kind = readable_type(field.type)
        except TypeError as error:
            raise InvalidInputError(
                f"column {shorten(field.name)} of {file.shown} is of type {field.type}, and {error}: cast it, or leave "
                "it out."
            ) from None
        readable.append(None if kind == field.type else kind)
        converters.append(converter(field.type))
    try:
        restorer = Restorer.of(text_metadata(schema.metadata))
    except ValueError as error:
        raise InvalidInputError(
            f"what {file.shown} says about its columns cannot be read: {error}. Write it without its metadata."
        ) from None
    return parquet, readable, _RowMaker(names, converters, restorer)


def _damaged(file: SourceFile, where: str, error: Exception) -> InvalidInputError:
    return InvalidInputError(
        f"{file.shown} is not a Parquet file, or is damaged {where} ({type(error).__name__}): write it again."
    )


class _RowMaker:
    """Makes rows of the values of a batch.

    Args:
        names: of the columns.
        converters: what makes JSON of their values.
        restorer: what puts back what an export of ours has noted.
    """

    def __init__(self, names: list[str], converters: list[Convert | None], restorer: Restorer | None) -> None:
        self._names, self._converters, self._restorer = names, converters, restorer

    def __call__(self, place: str, values: Sequence[Any]) -> GoodRow | BadRow:
        """Return the row of one value of each column."""
        data: dict[str, Any] = {}
        for name, convert, value in zip(self._names, self._converters, values, strict=True):
            if convert is None or value is None:
                data[name] = value
                continue
            try:
                data[name] = convert(value)
            except ValueError as error:
                return BadRow(f"{place} cannot be written as JSON in column {shorten(name)}: {error}")
        if self._restorer is not None:
            try:
                data = self._restorer.restore(data)
            except ValueError as error:
                return BadRow(f"{place} cannot be read: {error}")
        return GoodRow(place, data)
