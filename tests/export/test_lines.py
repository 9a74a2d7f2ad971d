"""Exports of packs as lines, many at a time: the same bytes as of files, whatever lies among them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from maintenance.packed_stores import change_bytes, execute, place_of
from starfish_storage import LocalStorage
from starfish_storage.errors import InvalidReferenceError, StorageError, StoreDamagedError
from starfish_storage.export import JsonLines, export
from starfish_storage.interface import Layout
from starfish_storage.interface.scanning import ScannedLines
from starfish_storage.storage import line_scan
from starfish_storage.testing.samples import MASTER_JOB, a_record, at, save_run

ONE: dict[str, Any] = {"master_job_ids": [MASTER_JOB]}
MANY = 40


async def filled(root: Path, layout: Layout = "packed") -> LocalStorage:
    """Return an open store, whose records do not lie in the order of their times."""
    storage = LocalStorage(f"file://{root}", layout=layout)
    await storage.setup()
    await save_run(storage)
    await storage.save_records(
        (a_record(f"r{number:04}", start_time=at(number * 7 % MANY)), {"number": number, "text": f"naïve {number}"})
        for number in range(MANY)
    )
    return storage


async def kinds(storage: LocalStorage) -> list[tuple[type, int]]:
    """Return what the batches of lines are, and how many records each has."""
    return [
        (type(batch), len(batch.lines) if isinstance(batch, ScannedLines) else len(batch))
        async for batch in storage.scan_lines(MASTER_JOB)
    ]


@pytest.mark.parametrize("metadata_key", [None, "about"])
async def test_it_writes_what_an_export_of_files_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata_key: str | None
) -> None:
    monkeypatch.setattr(line_scan, "_LINES", 3)
    monkeypatch.setattr(line_scan, "_BATCH", 5)
    written: list[bytes] = []
    for layout in ("packed", "files"):
        storage = await filled(tmp_path / layout, layout)
        for number in (5, 6):  # halves of characters in one batch, and a record as large as many
            data = {"number": number, "text": "cut \ud83d" if number == 5 else "x" * (5 << 20)}
            await storage.save_record(a_record(f"r{number:04}", start_time=at(number * 7 % MANY)), data)
        await storage.log_record_metadata(a_record("without", output_ref=None, start_time=at(20)))
        report = await export(storage, tmp_path / f"{layout}.jsonl", JsonLines(metadata_key=metadata_key), **ONE)
        assert (report.records, report.without_data, report.replaced_halves) == (MANY, 1, 1)
        found = await kinds(storage)
        assert sum(count for _, count in found) == MANY + 1
        assert {kind for kind, _ in found} == ({list} if layout == "files" else {list, ScannedLines})
        await storage.close()
        written.append((tmp_path / f"{layout}.jsonl").read_bytes())
    about = [line.replace(b"/packed/", b"/files/") for line in written[0].splitlines()]
    assert about == written[1].splitlines()


async def test_damage_among_the_lines_is_said_of_its_record(tmp_path: Path) -> None:
    storage = await filled(tmp_path / "store")
    assert await kinds(storage) == [(ScannedLines, MANY)]
    await storage.close()  # which empties the journal, from which data would be taken
    await storage.setup()
    _, place = place_of(tmp_path / "store", 3)
    change_bytes(tmp_path / "store", place, b"9", place.length - 4)
    with pytest.raises(StoreDamagedError, match=rf"r0003.*{place.pack}"):
        await export(storage, tmp_path / "out.jsonl", **ONE)
    assert not (tmp_path / "out.jsonl").exists()
    report = await export(storage, tmp_path / "out.jsonl", skip_damaged=True, **ONE)
    assert (report.records, [one.record_uid for one in report.skipped]) == (MANY - 1, ["r0003"])
    os.truncate(tmp_path / "store" / "data" / "packs" / f"{place.pack}.jsonl", place.start)
    with pytest.raises(StorageError, match="r00"):
        await export(storage, tmp_path / "more.jsonl", **ONE)
    await storage.close()


@pytest.mark.parametrize("pack", ["../../secret", "000001\n", "a\0b", "UPPER"], ids=repr)
async def test_a_row_that_names_no_pack_is_refused(tmp_path: Path, pack: str) -> None:
    storage = await filled(tmp_path / "store")
    key, place = place_of(tmp_path / "store", 3)
    packs = tmp_path / "store" / "data" / "packs"
    shutil.copy(packs / f"{place.pack}.jsonl", packs / "secret.jsonl")  # what the last part of a name would open
    execute(tmp_path / "store", "UPDATE packed_data SET pack = ? WHERE key = ?", pack, key)
    for _ in range(2):
        with pytest.raises(InvalidReferenceError):
            await storage.get_record_data(key)
        with pytest.raises(InvalidReferenceError):
            await kinds(storage)
        await storage.close()
        await storage.setup()
    await storage.close()
