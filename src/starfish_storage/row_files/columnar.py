"""Rows of files that hold columns: what Parquet and Arrow files have in common."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.extras import ArrowSchema, RecordBatch, arrow
from starfish_storage.row_files.arrow_values import Convert, converter, readable_type
from starfish_storage.row_files.restoring import Restorer, text_metadata
from starfish_storage.row_files.rows import BadRow, GoodRow
from starfish_storage.row_files.source_file import SourceFile

BATCH = 500


class ColumnarTable(ABC):
    """The rows of files of columns, one file after the other.

    Args:
        files: the files.
        name: what they are called together; the name of the first by default.
        form: what they are; the form of one such file by default.
        about: what else is kept of them, and tells files of the same content apart.

    Raises:
        InvalidInputError: a file is not of that form, or has a column whose values JSON cannot express; pyarrow is
            missing.
    """

    form: str
    title: str
    """What one file is called in messages."""

    def __init__(
        self,
        files: Sequence[SourceFile],
        name: str | None = None,
        form: str | None = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        self._files = files
        self._about = about or {}
        self._is_one_file = form is None
        self.name = name or files[0].name
        self.form = form or self.form
        self._notes: list[str] = []
        for file in files:
            reader, _ = self._opened(file)
            self._notes += [note for note in reader.notes if note not in self._notes]

    @abstractmethod
    def open(self, file: SourceFile) -> tuple[ArrowSchema, Callable[[], Iterator[RecordBatch]]]:
        """Return the schema of a file, and what reads its batches. What pyarrow raises is told as damage."""

    @property
    def identity(self) -> str:
        """See `Table.identity`."""
        digests = [file.sha256 for file in self._files]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """See `Table.describe`."""
        if self._is_one_file:
            return self._files[0].describe()
        return {"name": self.name, **self._about, "files": [file.describe() for file in self._files]}

    def notes(self) -> list[str]:
        """See `Table.notes`."""
        return self._notes

    def has_changed(self) -> bool:
        """See `Table.has_changed`."""
        return any(file.has_changed() for file in self._files)

    def rows(self) -> Iterator[GoodRow | BadRow]:
        """See `Table.rows`."""
        for file in self._files:
            number = 0
            reader, batches = self._opened(file)
            try:
                for batch in batches():
                    for start in range(0, batch.num_rows, BATCH):
                        for values in reader.values(batch.slice(start, BATCH)):
                            number += 1
                            yield reader.row(f"row {number} of {file.shown}", values)
            except (arrow().ArrowException, OSError, ValueError, MemoryError) as error:  # a length may be damaged
                raise self._damaged(file, f"after row {number}", error) from error

    def _opened(self, file: SourceFile) -> tuple[RowReader, Callable[[], Iterator[RecordBatch]]]:
        try:
            schema, batches = self.open(file)
            return RowReader(schema, file.shown), batches
        except InvalidInputError:
            raise
        except (arrow().ArrowException, OSError, ValueError, MemoryError) as error:
            raise self._damaged(file, "where it says what is in it", error) from error

    def _damaged(self, file: SourceFile, where: str, error: Exception) -> InvalidInputError:
        return InvalidInputError(
            f"{file.shown} is not {self.title}, or is damaged {where} ({type(error).__name__}): write it again."
        )


class RowReader:
    """Makes rows of the batches of a file, or of a table in memory.

    Args:
        schema: of the file.
        shown: what it is called in messages.

    Attributes:
        notes: what the file says about its columns that its values do not show.
    """

    def __init__(self, schema: ArrowSchema, shown: str) -> None:
        self._names: list[str] = schema.names
        for name in self._names:
            if self._names.count(name) > 1:
                raise InvalidInputError(f"two columns of {shown} are named {shorten(name)}: rename one of them.")
        metadata = text_metadata(schema.metadata)
        try:
            self._restorer = Restorer.of(metadata)
        except ValueError as error:
            raise InvalidInputError(
                f"what {shown} says about its columns cannot be read: {error}. Write it without its metadata."
            ) from None
        self._readable: list[Any] = []
        self._converters: list[Convert | None] = []
        for field in schema:
            try:
                kind = readable_type(field.type)
            except TypeError as error:
                raise InvalidInputError(
                    f"column {shorten(field.name)} of {shown} is of type {field.type}, and {error}: cast it, or leave "
                    "it out."
                ) from None
            self._readable.append(None if kind == field.type else kind)
            # Of our own tables, the restorer knows which texts are JSON.
            self._converters.append(converter(field.type, parse_json=self._restorer is None))
        self.notes = list(_class_names(metadata))

    def values(self, batch: RecordBatch) -> Iterator[Sequence[Any]]:
        """Return the values of each row, as Python has them."""
        arrays = [
            column.cast(kind) if kind is not None else column
            for column, kind in zip(batch.columns, self._readable, strict=True)
        ]
        columns = [cast("list[Any]", array.to_pylist(maps_as_pydicts=None)) for array in arrays]
        return zip(*columns, strict=True)

    def row(self, place: str, values: Sequence[Any]) -> GoodRow | BadRow:
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


def _class_names(metadata: Mapping[str, str]) -> Iterator[str]:
    """Yield what the numbers of columns stand for that `datasets` calls class labels, as the data has only numbers."""
    try:
        features: Any = decode(metadata["huggingface"].encode())["info"]["features"]
        for column, feature in features.items():
            if feature.get("_type") == "ClassLabel":
                names = ", ".join(f"{number} is {shorten(name)}" for number, name in enumerate(feature["names"]))
                yield f"in {shorten(column)}, {names}"
    except (KeyError, ValueError, TypeError, AttributeError):
        return  # the file says nothing, or something else
