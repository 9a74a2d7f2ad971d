"""Which records of a run a bundle shows: all, those that fit, or a sample of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from starfish_storage.filtering import Condition, Fitting, Sample, fitting
from starfish_storage.interface import ScannedRecord, Storage
from starfish_storage.models import GenerationJob
from starfish_storage.runs import Annotation, Attempt
from starfish_storage.wording import number_of

LARGEST = 8 << 20
"""Bytes of data that is read; a record of more is shown without it."""

_BATCH = 100


@dataclass(frozen=True, slots=True)
class Told:
    """A record with what else is told of it.

    Attributes:
        chosen: the record with its data.
        job: its execution job, which has its input.
        attempts: at that input.
        said: what reviewers say of the record, as far as it holds.
    """

    chosen: Fitting
    job: GenerationJob | None
    attempts: Sequence[Attempt]
    said: Sequence[Annotation]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which records of a run are shown, in the order in which they were made.

    Attributes:
        storage: where they are.
        master_job_id: the run.
        statuses: in one of these; none: in any.
        where: conditions that they fit.
        sample: of those that fit; None: all.
    """

    storage: Storage
    master_job_id: str
    statuses: Sequence[str] = ()
    where: Sequence[Condition] = ()
    sample: Sample | None = None

    def __str__(self) -> str:
        """Return in words which records are shown; nothing if all are."""
        which = f" in the status {' or '.join(self.statuses)}" if self.statuses else ""
        which += f" that fit {' and '.join(map(str, self.where))}" if self.where else ""
        if self.sample is not None:
            drawn = f"{number_of(self.sample.size, 'record')} drawn at random with the seed {self.sample.seed}"
            return f"These are {drawn}" + (f" from those{which}." if which else ".")
        return f"These are the records{which}." if which else ""

    def most(self, counts: Mapping[str, int]) -> int:
        """Return how many records are shown at most, of how many the run has in each status."""
        found = sum(counts.get(one, 0) for one in self.statuses or counts)
        return found if self.sample is None else min(self.sample.size, found)

    async def batches(self) -> AsyncGenerator[list[Fitting]]:
        """Yield the records, few at a time; of a sample, the rows of all are held, and the data of few."""
        if self.sample is None:
            async for batch in self._scanned():
                async for found in self._fitting(batch):
                    yield found
            return
        drawn = sorted(await self._drawn(self.sample), key=lambda one: (one.start_time, one.record_uid))
        for begin in range(0, len(drawn), _BATCH):
            async for found in self._fitting(drawn[begin : begin + _BATCH]):
                yield found

    async def _drawn(self, sample: Sample) -> list[ScannedRecord]:
        """Return the first of a shuffle that fit: those that the table of the viewer shows, too."""
        drawn: list[ScannedRecord] = []
        async with aclosing(self._scanned(sample.seed)) as shuffled:
            async for batch in shuffled:
                async for looked in fitting(self.storage, batch, self.where, largest=LARGEST, with_data=False):
                    drawn += [one.record._replace(payload=None) for one in looked.fits]
                if len(drawn) >= sample.size:
                    break
        return drawn[: sample.size]

    async def _scanned(self, seed: int | None = None) -> AsyncGenerator[list[ScannedRecord]]:
        scan = self.storage.scan_records(
            self.master_job_id, self.statuses or None, batch_size=_BATCH, seed=seed, with_data=False
        )
        async for batch in scan:
            yield batch

    async def _fitting(self, batch: Sequence[ScannedRecord]) -> AsyncGenerator[list[Fitting]]:
        async for looked in fitting(self.storage, batch, self.where, largest=LARGEST):
            yield looked.fits
