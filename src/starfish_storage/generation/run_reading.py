"""Reads a run that a call has returned: its store is opened again, read-only, in the portal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError
from starfish_storage.export import to_pandas
from starfish_storage.export.options import FrameOptions
from starfish_storage.filtering import Sample, filter_records
from starfish_storage.html_tables import ShownRows
from starfish_storage.interface import Storage
from starfish_storage.opening import open_storage
from starfish_storage.portal import call

if TYPE_CHECKING:
    import pandas as pd

Found = TypeVar("Found")


def frame_of(store: Sequence[str], run_id: str, options: FrameOptions) -> pd.DataFrame:
    """Return the records of a run as a data frame of pandas.

    Args:
        store: the options that name its store on a command line.
        run_id: the run.
        options: see `FrameOptions`.
    """
    asked: FrameOptions = {**options, "master_job_ids": [run_id]}
    return _read(store, run_id, lambda storage: to_pandas(storage, **asked))


def sample_of(store: Sequence[str], run_id: str, size: int, seed: int) -> ShownRows:
    """Return the data of some records of a run.

    Args:
        store: as for `frame_of`.
        run_id: the run.
        size: how many records.
        seed: of the shuffle whose first ones they are.
    """
    wanted = Sample(size, seed).checked()

    async def read(storage: Storage) -> ShownRows:
        rows = ShownRows()
        async for batch in filter_records(storage, run_id, (), ["completed"], sample=wanted):
            rows += [cast("dict[str, Any]", decode(one.payload)) for one in batch if isinstance(one.payload, bytes)]
        return rows

    return _read(store, run_id, read)


def _read(store: Sequence[str], run_id: str, work: Callable[[Storage], Awaitable[Found]]) -> Found:
    named = dict(zip(store[::2], store[1::2], strict=True))
    if "--store" not in named:
        raise InvalidInputError(
            f"run {run_id!r} does not say where its store is: take what generate or resume returns."
        )

    async def read() -> Found:
        async with open_storage(named["--store"], named.get("--data-uri"), read_only=True) as storage:
            return await work(storage)

    return call(read())
