"""A packed store, looked at and changed like any other."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from cli.calling import call, call_json
from generation.runs import sound
from starfish_storage import open_storage
from starfish_storage.codec import encode
from starfish_storage.interface import DataPlace
from viewer.viewing import RUN, make, make_again, viewer


async def test_commands_and_pages_say_in_which_line_of_which_pack_a_record_lies(tmp_path: Path) -> None:
    root = tmp_path / "store"
    await make(str(root))
    await make_again(str(root))
    assert [path.name for path in (root / "data").iterdir()] == ["packs"]
    pack = root / "data/packs/000001.jsonl"
    async with open_storage(root) as storage:
        records = await storage.get_records_for_master_job(RUN, ["completed"])
        for record in records:
            assert record.output_ref is not None
            place = await storage.locate_record_data(record.output_ref)
            assert (place.path, place.line is None) == (str(pack), False)
            line = pack.read_bytes().splitlines(keepends=True)[(place.line or 0) - 1]
            assert line == encode(await storage.get_record_data(record.output_ref), "data")
            assert line == pack.read_bytes()[place.start :][: place.length]
        counts = Counter({one.record_uid: len(await storage.ledger.list_versions(one.record_uid)) for one in records})
        ((uid, versions),) = counts.most_common(1)
        (record,) = [one for one in records if one.record_uid == uid]
        assert record.output_ref is not None
        assert versions == 2
        before = await storage.locate_record_data(record.output_ref)
        async with viewer(storage) as client:
            page = (await client.get("/record", params={"uid": uid, "against": 1})).text
            assert f"{pack}, line {before.line} (bytes " in page
            assert "topic" in (await client.get("/record", params={"uid": uid, "version": 1})).text
        await storage.ledger.restore_version(uid, 1)
        assert (await storage.get_record_data(record.output_ref))["topic"] == "numbers"
        await storage.annotations.edit_record(uid, {"said": "changed by hand"}, author="me")
        assert await storage.get_record_data(record.output_ref) == {"said": "changed by hand"}
        place = await storage.locate_record_data(record.output_ref)
        assert place != before
        size = await storage.measure_size()
        assert size.files == 2, "the pack, and the request configuration"
        await storage.save_record(record, {"said": "changed by hand"})
        unused = (await storage.measure_size()).unused
        assert unused == (size.unused or 0) + (place.length or 0)
        place = await storage.locate_record_data(record.output_ref)
        async with viewer(storage) as client:
            assert "KB of it replaced or deleted" in (await client.get("/store/size")).text
    shown = await asyncio.to_thread(call_json, "record", uid, "--store", str(root))
    assert (shown["data"], shown["place"]["line"], shown["place"]["path"]) == (
        {"said": "changed by hand"},
        place.line,
        str(pack),
    )
    text = (await asyncio.to_thread(call, "record", uid, "--store", str(root))).out
    assert f"{pack}, line {place.line} (bytes {place.start} to {(place.start or 0) + (place.length or 0)})" in text
    sound(root.as_uri())


async def test_of_a_lost_pack_no_line_is_counted(tmp_path: Path) -> None:
    async with open_storage(tmp_path) as storage:
        reference = await storage.save_record_data("r1", "run-1", "job-1", {"a": 1})
        assert (await storage.locate_record_data(reference)).line == 1
    pack = tmp_path / "data/packs/000001.jsonl"
    pack.unlink()
    async with open_storage(tmp_path, read_only=True) as storage:
        assert await storage.locate_record_data(reference) == DataPlace(str(pack), 0, 8, None)
