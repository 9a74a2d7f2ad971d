"""Memory stays flat: 100,000 records of 1.5 KB go out in every form, and come in, within 300 MB; a million in 400.

In the ordinary run, 90 MB are 6,000 records: most of the time is the records', and all the memory the bytes'.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

FILL = """
import asyncio, sys
from starfish_storage import LocalStorage
from starfish_storage.testing.samples import a_record, save_run

async def main(store, records, size):
    async with LocalStorage(store, durability="process") as storage:
        await save_run(storage)
        for start in range(0, int(records), 1000):
            await storage.save_records(
                (
                    a_record(f"r{n}", status="completed"),
                    {"n": n, "half": n // 2, "score": n / 7, "text": f"naïve {n} " * (int(size) // 13)},
                )
                for n in range(start, start + 1000)
            )

asyncio.run(main(*sys.argv[1:]))
"""

EXPORT = """
import asyncio, sys
from starfish_storage import LocalStorage
from starfish_storage.export import ChatMessages, HuggingFace, export, form_named, form_of
from starfish_storage.testing.samples import MASTER_JOB

async def main(store, target):
    splits = {"splits": {"train": 0.9, "test": 0.1}, "group_by": "n"}
    form = {"chat": ChatMessages.parsed("user=n,assistant=text"), "dataset": HuggingFace(metadata_key="m", **splits)}
    form["chat.parquet"] = form_named("trl", "chat.parquet", messages=(("user", "n"), ("assistant", "text")))
    two = {"messages": (("user", "half"), ("assistant", "text")), "prefer": "score", "pair_by": "half"}
    form["pairs.jsonl"] = form_named("preferences", "pairs.jsonl", **two)
    chosen = form.get(target.rpartition("/")[2]) or form_of(target, metadata_key="m")
    async with LocalStorage(store) as storage:
        report = await export(storage, target, chosen, master_job_ids=[MASTER_JOB], dedupe=target.endswith("dataset"))
    # Not ru_maxrss: a process that was started by a larger one begins with the peak of that.
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(report.records, status["VmHWM"].split()[0])

asyncio.run(main(*sys.argv[1:]))
"""

IMPORT = """
import asyncio, sys
from starfish_storage import LocalStorage
from starfish_storage.imports import import_file

async def main(store, source):
    async with LocalStorage(store, durability="process") as storage:
        report = await import_file(storage, source)
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(report.new_records, status["VmHWM"].split()[0])

asyncio.run(main(*sys.argv[1:]))
"""

FORMS = ("a.jsonl", "a.jsonl.zst", "a.csv", "chat", "chat.parquet", "pairs.jsonl", "a.parquet", "a.arrow", "dataset")
LINES_LIMIT = 120  # of JSON Lines, which are on their way a few hundred at a time: 90 MB in memory would be seen


async def said(program: str, *words: str) -> Sequence[int]:
    """Run a program in a process of its own and return the numbers that it prints."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, *words], check=True, capture_output=True, text=True
    )
    return [int(word) for word in done.stdout.split()]


@pytest.mark.timeout(7200)  # a million records are half an hour of work
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="where there is no /proc, the peak is not known")
@pytest.mark.parametrize(
    ("number", "size", "limit", "forms"),
    [
        (6_000, 15_000, 300, ("a.jsonl", "dataset")),
        pytest.param(100_000, 1_500, 300, FORMS, marks=pytest.mark.slow),
        pytest.param(1_000_000, 1_500, 400, FORMS, marks=pytest.mark.slow),
    ],
    ids=["some", "all", "million"],
)  # MB, of 1,000,000 bytes
async def test_every_form_is_written_in_flat_memory(
    tmp_path: Path, number: int, size: int, limit: int, forms: Sequence[str]
) -> None:
    store = (tmp_path / "store").as_uri()
    await said(FILL, store, str(number), str(size))
    peaks: dict[str, float] = {}
    for name in forms:
        records, peak = await said(EXPORT, store, str(tmp_path / name))
        assert records == (number // 2 if name == "pairs.jsonl" else number)
        peaks[name] = peak * 1024 / 1e6
    for name in (name for name in ("a.jsonl", "a.parquet", "chat.parquet") if name in forms):
        records, peak = await said(IMPORT, (tmp_path / f"store of {name}").as_uri(), str(tmp_path / name))
        assert records == number
        peaks[f"import of {name}"] = peak * 1024 / 1e6
    assert peaks["a.jsonl"] < LINES_LIMIT, peaks
    assert max(peaks.values()) < limit, peaks
