"""Inputs from tables in memory: frames of pandas and Polars, tables of Arrow, data sets of Hugging Face.

None of these libraries is imported: an object's class says where it comes from, and brings its own methods. Rows are
made in small portions, never all at once, and their values become JSON as those that a function returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.generation.conversion import Notes, convert
from starfish_storage.generation.sources import BadInput, Inputs, Rereadable
from starfish_storage.row_files.columnar import RowReader
from starfish_storage.row_files.rows import GoodRow

_PORTION = 1000

_Portions = Callable[[Any], Iterator[Iterable[object]]]


def rows_of(inputs: Inputs) -> Inputs:
    """Return the rows of a table of one of these libraries, each a dict or a text; other inputs themselves.

    Raises:
        InvalidInputError: it has two columns of one name, or is several data sets.
    """
    for kind in type(inputs).__mro__:
        library, name = kind.__module__.partition(".")[0], kind.__name__
        found = _TABLES.get((library, name))
        if found is not None:
            return _Rows(inputs, found)
        if (library, name) == ("polars", "LazyFrame"):
            return _Rows(cast("Any", inputs).collect(), _polars)
        if (library, name) == ("pyarrow", "RecordBatchReader"):
            return (_input(row) for portion in _arrow(inputs) for row in portion)
        if (library, name) == ("datasets", "IterableDataset"):
            return map(_input, cast("Iterable[object]", inputs))
        if library == "datasets" and name in ("DatasetDict", "IterableDatasetDict"):
            names = ", ".join(map(shorten, cast("dict[str, object]", inputs)))
            raise InvalidInputError(f"inputs must be one data set, not a {name}: choose one of its splits: {names}.")
    return inputs


class _Rows(Rereadable):
    def __init__(self, table: Any, portions: _Portions) -> None:
        self._table = table
        self._portions = portions
        self.count = len(table)
        names = [str(name) for name in getattr(table, "columns", ())] if portions is _pandas else []
        if portions is _arrow:
            names = cast("list[str]", table.schema.names)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InvalidInputError(f"two columns of the inputs are named {shorten(twice)}: rename one of them.")

    def __iter__(self) -> Iterator[Any]:
        for portion in self._portions(self._table):
            yield from map(_input, portion)


def _input(row: object) -> object:
    """Return a row as JSON; one that holds what nothing can convert is a bad input."""
    if isinstance(row, BadInput):
        return row
    notes = Notes()
    found = convert(row, notes)
    return found if notes.problem is None else BadInput(f"a row of the inputs cannot be JSON: {notes.problem}")


def _pandas(frame: Any) -> Iterator[Iterable[object]]:
    for start in range(0, len(frame), _PORTION):
        yield frame.iloc[start : start + _PORTION].to_dict("records")


def _pandas_series(series: Any) -> Iterator[Iterable[object]]:
    for start in range(0, len(series), _PORTION):
        yield series.iloc[start : start + _PORTION].to_list()


def _polars(frame: Any) -> Iterator[Iterable[object]]:
    for portion in frame.iter_slices(_PORTION):
        yield portion.to_dicts()


def _polars_series(series: Any) -> Iterator[Iterable[object]]:
    for start in range(0, len(series), _PORTION):
        yield series.slice(start, _PORTION).to_list()


def _arrow(table: Any) -> Iterator[Iterable[object]]:
    """Yield the rows of a table, a batch or a reader of batches, with the values that a Parquet file of them gives."""
    reader, number = RowReader(table.schema, "the inputs"), 0
    batches = table.to_batches(max_chunksize=_PORTION) if hasattr(table, "to_batches") else table
    for batch in _portions_of(batches):
        portion: list[object] = []
        for values in reader.values(batch):
            number += 1
            row = reader.row(f"row {number} of the inputs", values)
            portion.append(row.data if isinstance(row, GoodRow) else BadInput(row.reason))
        yield portion


def _portions_of(batches: Any) -> Iterator[Any]:
    """Yield batches of at most so many rows; a batch itself is one that holds no other."""
    for batch in [batches] if hasattr(batches, "num_rows") else batches:
        for start in range(0, batch.num_rows, _PORTION):
            yield batch.slice(start, _PORTION)


def _dataset(dataset: Any) -> Iterator[Iterable[object]]:
    for portion in dataset.iter(_PORTION):
        columns = cast("dict[str, list[object]]", portion)
        yield [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


_TABLES: dict[tuple[str, str], _Portions] = {
    ("pandas", "DataFrame"): _pandas,
    ("pandas", "Series"): _pandas_series,
    ("polars", "DataFrame"): _polars,
    ("polars", "Series"): _polars_series,
    ("pyarrow", "Table"): _arrow,
    ("pyarrow", "RecordBatch"): _arrow,
    ("datasets", "Dataset"): _dataset,
}
