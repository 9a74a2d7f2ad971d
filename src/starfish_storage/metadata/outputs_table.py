"""Outputs by the input that they were made of, on disk: in memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, cast

import apsw

from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.scratch import scratch_database
from starfish_storage.metadata.sqlite.errors import translate


class ScoredOutput(NamedTuple):
    """An output of an input.

    Attributes:
        number: of the output, in the order in which they were added.
        score: how good it is; None if that is not known.
    """

    number: int
    score: float | None


class OutputsTable:
    """A table of outputs in a file without a name, which is gone with the process, however that ends.

    Args:
        directory: where the file lies; it takes as much space as what is held.

    Raises:
        StorageIOError: it cannot be made there; `StorageFullError` if there is no space.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        queries = _queries()
        tables = [queries[name] for name in ("make_inputs", "make_outputs", "make_index")]
        self._connection = scratch_database(directory, ".export-outputs-", tables)
        self._find_input, self._add_input, self._add = (
            queries[name] for name in ("find_input", "add_input", "add_output")
        )

    def add(self, digest: bytes, score: float | None, held: bytes) -> None:
        """Add an output.

        Args:
            digest: of its input.
            score: how good it is.
            held: what `held` returns of it.

        Raises:
            StorageIOError: it cannot be written; `StorageFullError` if there is no space.
        """
        try:
            execute: Any = self._connection.execute
            (number,) = (
                execute(self._find_input, (digest,)).fetchone() or execute(self._add_input, (digest,)).fetchone()
            )
            execute(self._add, (number, score, held))
        except apsw.Error as error:
            raise translate(error, self._directory) from error

    def by_input(self) -> Iterator[list[ScoredOutput]]:
        """Yield the outputs of each input, inputs and outputs in the order in which they came.

        Raises:
            StorageIOError: it cannot be read.
        """
        try:
            rows: Any = self._connection.execute(_queries()["list_outputs"])
            for _, outputs in groupby(rows, key=itemgetter(0)):
                yield [ScoredOutput(number, score) for _, number, score in outputs]
        except apsw.Error as error:
            raise translate(error, self._directory) from error

    def held(self, number: int) -> bytes:
        """Return what is held of an output.

        Raises:
            StorageIOError: it cannot be read.
        """
        try:
            (held,) = cast("Any", self._connection.execute(_queries()["get_output"], (number,))).fetchone()
        except apsw.Error as error:
            raise translate(error, self._directory) from error
        return held

    def close(self) -> None:
        """Remove it. Idempotent."""
        self._connection.close()


@cache
def _queries() -> Queries:
    return Queries("sqlite", "scratch/outputs.sql")
