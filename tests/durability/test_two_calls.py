"""Records saved in two calls, data and row, by many callers at once: they share statements, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from durability import workload
from durability.test_digests import digests
from starfish_storage import DataNotFoundError, IdCollisionError, LocalStorage, ParentNotFoundError
from starfish_storage.codec import content_digest, encode
from starfish_storage.interface import Layout
from starfish_storage.maintenance import verify

MANY = 70  # more than a statement has rows


async def save_data(storage: LocalStorage, uid: str, version: int = 1) -> str:
    data = workload.payload(uid, version)
    return await storage.save_record_data(uid, workload.MASTER, workload.JOB, data)


async def log(storage: LocalStorage, uid: str, reference: str, job: str = workload.JOB) -> None:
    row = workload.record(uid, 1, job=job).model_copy(update={"output_ref": reference})
    await storage.log_record_metadata(row)


def digest(uid: str, version: int = 1) -> str:
    return content_digest(encode(workload.payload(uid, version), uid))


async def outcomes(calls: Sequence[Coroutine[Any, Any, object]]) -> list[type[BaseException] | None]:
    found = await asyncio.gather(*calls, return_exceptions=True)
    return [type(one) if isinstance(one, BaseException) else None for one in found]


@pytest.mark.parametrize("layout", ["files", "packed"])
async def test_of_many_calls_at_once_each_succeeds_or_is_refused_by_itself(layout: Layout, tmp_path: Path) -> None:
    root = tmp_path / "store"
    first, second = [f"a{number}" for number in range(MANY)], [f"b{number}" for number in range(MANY)]
    async with LocalStorage(root.as_uri(), layout=layout) as storage:
        await workload.prepare(storage)
        references = await asyncio.gather(*(save_data(storage, uid) for uid in first))
        missing = references[0].replace("a0.json", "none.json")
        rows = [log(storage, uid, reference) for uid, reference in zip(first, references, strict=True)]
        mixed = [call for pair in zip(rows, [save_data(storage, uid) for uid in second], strict=True) for call in pair]
        refused = [save_data(storage, "B0"), log(storage, "c", missing), log(storage, "d", references[1], job="none")]
        found = await outcomes([*mixed, *refused])
        assert found == [None] * (2 * MANY) + [IdCollisionError, DataNotFoundError, ParentNotFoundError]
        # Data that is replaced after its digest was noted, before its row is saved and after.
        second_references = await asyncio.gather(*(save_data(storage, uid, 2) for uid in ("b1", "a1")))
        await log(storage, "b1", second_references[0])
        await log(storage, "borrower", references[2])
    expected = {uid: digest(uid) for uid in first} | {"a1": digest("a1", 2), "borrower": digest("a2")}
    expected["b1"] = digest("b1", 2)
    assert digests(root) == expected
    assert verify(root).is_sound
