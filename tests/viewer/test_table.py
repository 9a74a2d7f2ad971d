"""The table of records: the whole run by any condition, samples, downloads, and pages that lead on as it does."""

from __future__ import annotations

import asyncio
import base64
import json
import tracemalloc
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import QueryParams

from cli.calling import call
from generation.runs import open_store
from starfish_storage import Record, open_storage
from starfish_storage.export import export
from starfish_storage.testing.samples import MASTER_JOB, a_record, save_run
from starfish_storage.viewer.table_state import state_of

from .markup import Page
from .test_pages import many_records, page, uids
from .viewing import HOSTILE_FIELD, RUN, viewer

TABLE = f"/records?run={RUN}"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


async def test_facts_about_records_are_conditions(client: httpx.AsyncClient):
    every = await uids(client, TABLE)
    for query, count in {
        "field=@cost&compare=above&value=0": 5,
        "field=@attempts&compare=min&value=2": 1,  # input 0 ran again
        "field=@error&compare=there&value=": 1,
        "field=@length&compare=below&value=60": 1,
        "field=@length:messages&compare=is&value=4": 4,
        "field=messages.0.role&compare=is&value=user": 4,
        "field=n&compare=not&value=2": 5,
        "where=n%3E1&where=n%3C5&status=completed": 2,
        "where=@verdict%3Dunreviewed": 6,
    }.items():
        for order in ("oldest", "newest", "random&seed=3"):
            found = await uids(client, f"{TABLE}&order={order}&{query}")
            assert len(found) == count, (query, order)
            assert set(found) <= set(every)
    assert "accepted, rejected" in (await client.get(f"{TABLE}&where=@verdict%3Dacepted")).text
    shown = await page(client, f"{TABLE}&where=score%3E%3D0.2&columns=topic,messages.1.tool_calls.0.function.name")
    assert "look_up" in shown.text
    assert "messages.1.tool_calls.0.function.name" in shown.text


async def test_a_sample_is_the_same_for_the_same_seed(store: str):
    async with many_records(store, 400) as (_, client, saved):
        first = await page(client, "/records?run=many&order=random&seed=7&status=completed")
        shown = [text for place, text in first.links.items() if place.startswith("/record?")]
        assert len(shown) == 50
        assert shown == await uids(client, "/records?run=many&order=random&seed=7&status=completed")
        others = await uids(client, first.link("Draw another"))
        assert len(set(others) & set(shown)) < 25
        positions = [saved.index(uid) for uid in shown if uid in saved]
        assert min(positions) < 100
        assert max(positions) > 300
        following = await page(client, first.link("Next"))
        assert not set(shown) & {text for place, text in following.links.items() if place.startswith("/record?")}
        assert await uids(client, following.link("Previous")) == shown


@pytest.mark.parametrize(
    "state", ["order=newest&where=n%3E%3D1", "order=random&seed=9", "status=completed&order=oldest"]
)
async def test_a_record_leads_on_as_its_table_does(client: httpx.AsyncClient, state: str):
    table = await page(client, f"{TABLE}&{state}")
    shown = [place for place in table.links if place.startswith("/record?")]
    for number, place in enumerate(shown):
        record = await page(client, place)
        assert record.has_link("Next record") == (number < len(shown) - 1)
        assert not record.has_link("Next record") or record.link("Next record") == shown[number + 1]
        assert not record.has_link("Previous record") or record.link("Previous record") == shown[number - 1]
        there = (await page(client, record.link("In the table"))).links
        assert [one for one in there if one in shown] == shown[number:]
        if number:
            again = (await page(client, record.link("records"))).links
            assert [one for one in again if one in shown] == shown


@pytest.mark.parametrize(
    "state",
    [
        "",
        "status=completed&order=random&seed=4",
        "field=score&compare=min&value=0.2&field=%40cost&compare=above&value=0",
        "field=topic&compare=has&value=NUM&error=",
    ],
)
async def test_what_is_shown_is_downloaded_and_exported(
    client: httpx.AsyncClient, made: str, state: str, tmp_path: Path
):
    found = await page(client, f"{TABLE}&{state}")
    download = await client.get(found.link("JSON Lines"))
    assert download.headers["content-disposition"] == f'attachment; filename="{RUN}.jsonl"'
    words = state_of(QueryParams(f"run={RUN}&{state}")).words
    every = [] if "--status" in words else ["--all-statuses"]
    assert " ".join(["export", RUN, "FILE.jsonl", *every, *words]) in found.text
    ended = await asyncio.to_thread(call, "export", RUN, str(tmp_path / "x.jsonl"), "--store", made, *every, *words)
    assert ended.status == 0, ended.err
    assert download.content == (tmp_path / "x.jsonl").read_bytes()
    assert len(download.content.splitlines()) == len(await uids(client, f"{TABLE}&{state}&where=n"))


async def test_a_download_holds_what_an_export_would(tmp_path: Path):
    """Halves of characters are replaced, and numbers in texts are no formulas."""
    data = {"text": "cut \ud83d", "least": "-5e3", "sum": "-1+1"}
    async with open_storage((tmp_path / "store").as_uri()) as storage:
        await save_run(storage)
        await storage.save_record(a_record("r1", status="completed"), data)
        await export(storage, tmp_path / "x.jsonl", master_job_ids=[MASTER_JOB])
        async with viewer(storage) as client:
            lines = await client.get(f"/records/download?run={MASTER_JOB}")
            table = await client.get(f"/records/download?run={MASTER_JOB}&form=csv&columns=text,least,sum")
    assert lines.content == (tmp_path / "x.jsonl").read_bytes()
    assert table.text.splitlines()[1].endswith("completed,cut \ufffd,-5e3,'-1+1")


async def test_an_export_is_offered_of_what_has_data(client: httpx.AsyncClient, made: str, tmp_path: Path):
    failures = await page(client, f"{TABLE}&status=failed&where=%40failure%3DValueError")
    assert "export" not in failures.text
    assert f"records {RUN} --status failed --where @failure=ValueError --limit 0 --json" in failures.text
    found = await page(client, f"{TABLE}&column=topic&column=a%2Cb")
    words = ["export", RUN, "FILE.csv", "--all-statuses", "--fields", 'topic,"a,b"']
    assert " ".join(words) in found.text
    words[2] = str(tmp_path / "x.csv")
    ended = await asyncio.to_thread(call, *words, "--store", made)
    assert (ended.status, ended.err) == (0, "No record has the field 'a,b'.\n")
    assert (tmp_path / "x.csv").read_text("utf-8-sig").splitlines()[0] == '"topic","a,b"'


async def test_columns_are_downloaded_as_csv(client: httpx.AsyncClient):
    found = await page(client, f"{TABLE}&where=n%3D1&column=topic&column=score")
    text = (await client.get(found.link("CSV of the columns"))).text
    head, row = text.splitlines()
    assert head == "record_uid,status,topic,score"
    assert row.endswith("completed,numbers,0.1")
    every = (await client.get(f"/records/download?run={RUN}&form=csv")).text
    assert every.splitlines()[0].startswith("record_uid,status,n,topic,score,messages")
    assert (await client.get(f"/records/download?run={RUN}&form=exe")).status_code == 400
    assert (await client.get("/records/download?run=nobody")).status_code == 404
    for form in ("csv&column=topic", "jsonl"):  # a page says so, not a file that breaks off
        assert (await client.get(f"/records/download?run={RUN}&form={form}&status=done")).status_code == 400


async def saved(store: str, **records: object) -> None:
    """Save records of one run."""
    async with many_records(store, 1) as (storage, _, _):
        (job,) = await storage.list_execution_jobs("many")
        for uid, data in records.items():
            record = Record(record_uid=uid, job_id=job.job_id, master_job_id="many", status="completed")
            await storage.save_record(record, data)  # type: ignore[arg-type]


async def test_images_are_shown_from_their_bytes_alone(store: str):
    def address(content: bytes, kind: str = "image/png") -> str:
        return f"data:{kind};base64,{base64.b64encode(content).decode()}"

    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    parts = [
        {"type": "image_url", "image_url": {"url": address(PNG, "text/html")}},
        {"type": "input_image", "image_url": address(b"GIF89a\x01\x00\x01\x00")},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": address(PNG)[22:]}},
        {"type": "tool_result", "content": [{"type": "image", "source": {"data": address(b"RIFF....WEBPVP8 ")[22:]}}]},
        {"type": "image_url", "image_url": {"url": address(svg)}},
        {"type": "image_url", "image_url": {"url": "data:image/svg+xml," + svg.decode()}},
        {"type": "image_url", "image_url": {"url": "https://elsewhere.example/x.png"}},
        {"type": "image_url", "image_url": {"url": address(b"<!doctype html><script>alert(2)</script>")}},
        {"type": "image", "source": {"type": "url", "url": "https://elsewhere.example/y.png"}},
        {"type": "image", "source": "PNG"},
        {"type": "image_url", "image_url": {"url": 'data:image/png;base64,"><script>alert(3)</script>'}},
    ]
    await saved(store, images={"said": [{"role": "user", "content": parts}], "plain": address(PNG), "n": 1})
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        found = await page(client, "/record?uid=images")
        kinds = [one.partition(";")[0] for one in found.images]
        assert kinds == ["data:image/png", "data:image/gif", "data:image/png", "data:image/webp", "data:image/png"]
        assert "https://elsewhere.example/x.png" in found.text


async def test_hostile_ids_and_fields_lead_nowhere_else(store: str):
    uids_saved = ["%00", "a..%2f..b", "-rf", "a&b=c#d", "'--x", "Ünï 💥"]
    fields = [HOSTILE_FIELD, "a=b", "@cost", '"', "..", "\u202eevil", ""]
    await saved(store, **{uid: dict.fromkeys(fields, f"{uid}!") for uid in uids_saved}, lone={"\ud801name": 1})
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        for uid, name in zip(uids_saved, fields[:-1], strict=True):
            typed = f"@{name}" if name.startswith("@") else name
            query = httpx.QueryParams({"run": "many", "field": typed, "compare": "is", "value": f"{uid}!"})
            found = await page(client, f"/records?{query}")
            assert [text for place, text in found.links.items() if place.startswith("/record?")] == [uid]
            assert (await client.get(found.link("JSON Lines"))).json()[name] == f"{uid}!"
            record = await page(client, found.link(uid))
            data = next(one for one in record.links if one.startswith("/record/data"))
            assert (await client.get(data)).json()[name] == f"{uid}!"
        response = await client.get(f"/records?{httpx.QueryParams({'run': 'many', 'column': fields})}")
        assert response.text.count("\\ud801name") > 1
        text = Page(response.text).text  # without the values of inputs, which send back what they hold
        assert "\u202e" not in text
        assert HOSTILE_FIELD in text


@pytest.mark.parametrize("size", [20_000_000, pytest.param(100_000_000, marks=pytest.mark.slow)])
async def test_a_record_of_any_size_is_shown_and_downloaded_in_little_memory(store: str, size: int):
    await saved(store, huge={"text": "x" * size}, small={"n": 1})
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        tracemalloc.start()
        try:
            found = await page(client, "/record?uid=huge")
            assert "too large to be laid out" in found.text
            received = 0
            async with client.stream("GET", "/record/data?uid=huge") as response:
                async for piece in response.aiter_bytes():
                    received += len(piece)
            lines, rest = 0, received
            async with client.stream("GET", "/records/download?run=many&status=completed") as response:
                async for piece in response.aiter_bytes():
                    lines += piece.count(b"\n")
                    rest -= len(piece)
            assert (lines, -1000 < rest < 0) == (3, True)
            table = await page(client, "/records?run=many&where=%40length%3E1000000")
            assert "of data: open the record to see it" in table.text
            assert len(await uids(client, "/records?run=many&where=n%3D1")) == 1
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert received == size + len('{"text":""}\n')
    assert peak < 10_000_000


async def test_damaged_data_is_left_out_and_the_rest_goes_on(store: str):
    async with open_store(store, "files"):
        pass
    await saved(store, lost={"n": 1}, broken={"n": 2}, whole={"n": 3})
    async with open_storage(store, durability="process") as storage:
        places = {one.record_uid: Path(str(one.output_ref)) async for one in storage.iter_records("many")}
    places["lost"].unlink()
    places["broken"].write_bytes(b'{"n": 2')
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        for order in ("oldest", "newest", "random"):
            found = await page(client, f"/records?run=many&order={order}")
            assert "is lost" in found.text
            assert "it is not what was saved" in found.text
            lines = (await client.get(f"/records/download?run=many&order={order}")).text.splitlines()
            assert sorted(json.loads(line)["n"] for line in lines) == [0, 0, 3]
            assert await uids(client, f"/records?run=many&order={order}&where=n%3D3") == ["whole"]
        assert (await client.get("/record/data?uid=broken")).status_code == 500
        assert "it is not what was saved" in (await page(client, "/record?uid=broken")).text
