"""Records of runs whose inputs are not stored, in an order that all runs share: by what a field of their data is.

No index knows that, so the records are read: beside the requests, once for as long as a run does not change, and no
more than can be held.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple, cast

from starfish_storage.codec import canonical_json
from starfish_storage.filtering import MISSING, value_of
from starfish_storage.filtering import fitting as read
from starfish_storage.interface import ScannedRecord, Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.viewer.gathering import Gathering, WaitingTime

MOST_MATCHED = 50_000
"""Records of a run that are held: about 200 bytes each."""

_BATCH = 200
_LARGEST = 8 << 20  # bytes of data that is read


class KeyedRecord(NamedTuple):
    """A record and what it is matched by.

    Attributes:
        digest: of the value of the field.
        uid: the record.
    """

    digest: str
    uid: str


@dataclass(frozen=True, slots=True)
class KeyedRun:
    """The records of a run by a field.

    Attributes:
        records: in the order of their digests.
        is_whole: whether these are all that have the field.
    """

    records: Sequence[KeyedRecord]
    is_whole: bool


class FieldMatching:
    """Reads the keys of runs, and keeps those of a few.

    Args:
        storage: the store.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._gathering = Gathering(most_kept=8)

    async def keyed(self, job: GenerationMasterJob, field: str, patience: WaitingTime) -> KeyedRun | None:
        """Return the records of a run by a field; None while they are being read."""
        counts = await self._storage.count_records_for_master_job(job.master_job_id)
        version = (job.last_update_time, *sorted(counts.items()))
        key = (job.master_job_id, field)
        found = await self._gathering.get(key, version, lambda: keyed_run(self._storage, key[0], field), patience)
        return None if found is None else found.value


async def keyed_run(storage: Storage, master_job_id: str, field: str) -> KeyedRun:
    """Read the records of a run that have a field, by its value."""
    found: list[KeyedRecord] = []
    scan = storage.scan_records(master_job_id, batch_size=_BATCH, with_data=False)
    async with aclosing(cast("AsyncGenerator[list[ScannedRecord]]", scan)) as batches:
        async for batch in batches:
            async for looked in read(storage, batch, (), largest=_LARGEST):
                for one in looked.fits:
                    value = value_of(one.data, field)
                    if value is not MISSING and value is not None:
                        key = hashlib.sha256(canonical_json(value, "a field")).hexdigest()[:32]
                        found.append(KeyedRecord(key, one.record.record_uid))
            if len(found) > MOST_MATCHED:
                return KeyedRun(sorted(found[:MOST_MATCHED]), is_whole=False)
    return KeyedRun(sorted(found), is_whole=True)
