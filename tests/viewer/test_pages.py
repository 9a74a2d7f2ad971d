"""The pages over a real store: what they show, that each state is in the URL, and that hostile text stays text."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from generation.runs import open_store
from starfish_storage import GenerationJob, LocalStorage, Record, open_storage
from starfish_storage.interface import Storage
from starfish_storage.publishing import bundle
from starfish_storage.uri import path_of_file_uri
from starfish_storage.viewer import record_pages

from .bundles import records
from .markup import Page
from .viewing import HOSTILE_FIELD, RUN, make, viewer


async def page(client: httpx.AsyncClient, address: str, status: int = 200) -> Page:
    response = await client.get(address)
    assert response.status_code == status, response.text
    return Page(response.text)


async def uids(client: httpx.AsyncClient, address: str) -> list[str]:
    return [text for place, text in (await page(client, address)).links.items() if place.startswith("/record?")]


async def uid_of(client: httpx.AsyncClient, n: int) -> str:
    (uid,) = await uids(client, f"/records?run={RUN}&field=n&compare=is&value={n}")
    return uid


async def test_the_store_page_finds_runs(client: httpx.AsyncClient):
    found = await page(client, "/")
    assert found.has_link(RUN)
    assert "5 of 6" not in found.text
    assert "6 of 6" in found.text
    assert not (await page(client, "/?q=another")).has_link(RUN)
    assert (await page(client, "/?q=RUN&project=p&status=completed_with_errors")).has_link(RUN)
    assert "No run fits" in (await page(client, "/?status=running")).text
    assert "unknown master-job status" in (await page(client, "/?status=strange", 400)).text
    assert (await client.get(f"/?after={RUN}&before={RUN}")).status_code == 400
    assert "begin at the first page" in (await page(client, "/?after=gone", 404)).text


async def test_an_empty_store_says_how_to_begin(store: str):
    async with open_storage(store) as storage, viewer(storage) as client:
        assert "generate FILE.py:function INPUTS.jsonl" in (await page(client, "/")).text


async def test_runs_come_in_pages(store: str):
    async with open_storage(store, durability="process") as storage:
        await make(store, 1)
        job = await storage.get_master_job(RUN)
        assert job is not None
        for number in range(60):
            more = {"master_job_id": f"more-{number}", "creation_time": datetime(2026, 1, 1, tzinfo=UTC)}
            await storage.log_master_job_start(job.model_copy(update=more))
        async with viewer(storage) as client:
            first = await page(client, "/")
            second = await page(client, first.link("Older runs"))
    runs = [{link for link in one.links if link.startswith("/run?")} for one in (first, second)]
    assert [len(one) for one in runs] == [50, 11]
    assert not runs[0] & runs[1]
    assert second.has_link("Newer runs")


async def test_the_page_of_a_run(client: httpx.AsyncClient):
    found = await page(client, f"/run?id={RUN}")
    for words in ("6 of 6", "$1.25", "completed 5", "failed 1", "ValueError", "Paid steps", "topic", "numbers.py"):
        assert words in found.text or words == "numbers.py", words
    assert "Schema of a record" not in found.text  # it has none
    assert "Ended" in found.text
    assert f"retry {RUN}" in found.text
    assert f"export {RUN} FILE.jsonl" in found.text
    assert f"records {RUN} --status failed" in found.text
    assert f"view --bundle {RUN} DIRECTORY" in found.text
    assert f'data-events="/events?run={RUN}"' in (await client.get(f"/run?id={RUN}")).text  # it may begin again


@pytest.mark.parametrize(
    "address", ["/run?id=x", "/run", "/records?run=x", "/record?uid=..%2F..%00", "/record/data?uid=%"]
)
async def test_what_is_not_there(client: httpx.AsyncClient, address: str):
    found = await page(client, address, 404)
    assert "does not exist" in found.text
    assert found.has_link("All runs of the store")


async def test_a_part_of_a_page_gets_a_part(client: httpx.AsyncClient):
    response = await client.get("/run/progress?id=x", headers={"HX-Request": "true"})
    assert response.status_code == 404
    assert "<html" not in response.text


async def test_the_records_of_a_run_can_be_filtered(client: httpx.AsyncClient):
    table = f"/records?run={RUN}"
    every = await uids(client, table)
    assert len(every) == 6
    assert "$0.25" in (await page(client, table)).text
    assert await uids(client, f"{table}&order=newest") == every[::-1]
    assert len(await uids(client, f"{table}&status=failed")) == 1
    assert len(await uids(client, f"{table}&error=NO%20answer")) == 1
    assert len(await uids(client, f"{table}&error=other")) == 0
    for query, count in {
        "field=n&compare=is&value=2": 1,
        "field=score&compare=min&value=0.2": 3,
        "field=score&compare=min&value=0.2&field=n&compare=max&value=4": 2,
        "field=topic&compare=has&value=OTHER": 1,
        "field=messages&compare=has&value=look_up": 4,  # wherever it stands in it
        "field=topic&compare=lacks&value=": 1,  # the failed one has no data
        "field=&compare=has&value=x": 6,
    }.items():
        for order in ("oldest", "newest"):
            assert len(await uids(client, f"{table}&order={order}&{query}")) == count, query
    for wrong in (
        "field=n",
        "field=n&compare=like&value=2",
        "field=@costs&compare=min&value=1",
        "where=%3D",
        "order=strange",
        "seed=x",
        "status=strange",
        "after=x&before=x",
    ):
        assert (await client.get(f"{table}&{wrong}")).status_code == 400, wrong
    assert (await client.get(f"{table}&after=x")).status_code == 404


async def test_columns_are_chosen_in_the_url(client: httpx.AsyncClient):
    text = (await client.get(f"/records?run={RUN}&column=topic")).text
    assert '<th scope="col" class="key">topic</th>' in text
    assert '<th scope="col" class="key">score</th>' not in text
    text = (await client.get(f"/records?run={RUN}&column=score&column=topic&column=messages.0.role")).text
    assert '<th scope="col" class="key num">score</th><th scope="col" class="key">topic</th>' in text
    assert '<td class="field num" dir="auto"><div class="clamp">0.1</div></td><td class="field" dir="auto">' in text
    assert "It is `1`." in (await page(client, f"/records?run={RUN}&column=messages")).text  # what was said last
    assert HOSTILE_FIELD in (await page(client, f"/records?run={RUN}")).text


@asynccontextmanager
async def many_records(store: str, count: int) -> AsyncGenerator[tuple[Storage, httpx.AsyncClient, list[str]]]:
    """A run with so many records, of which several begin at the same time."""
    await make(store, 1, "many")
    async with open_store(store) as storage:
        (job,) = await storage.list_execution_jobs("many")
        records = [
            Record(
                record_uid=f"r{number:04}",
                job_id=job.job_id,
                master_job_id="many",
                status="failed" if number % 10 == 0 else "completed",
                start_time=datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=number // 7),
            )
            for number in range(count)
        ]
        await storage.save_records([(record, {"n": number}) for number, record in enumerate(records)])
        async with viewer(storage) as client:
            yield storage, client, [one.record_uid for one in records]


@pytest.mark.parametrize("order", ["oldest", "newest"])
async def test_pages_go_forth_and_back_and_do_not_move(store: str, order: str):
    async with many_records(store, 173) as (storage, client, saved):
        made = [*saved, (await storage.get_records_for_master_job("many", limit=1))[0].record_uid]
        expected = made if order == "oldest" else made[::-1]
        address, pages = f"/records?run=many&order={order}", [(await page(client, f"/records?run=many&order={order}"))]
        while pages[-1].has_link("Next"):
            pages.append(await page(client, pages[-1].link("Next")))
        shown = [[text for place, text in one.links.items() if place.startswith("/record?")] for one in pages]
        assert [len(one) for one in shown] == [50, 50, 50, 24]
        assert [one for uids_shown in shown for one in uids_shown] == expected
        back = await page(client, pages[2].link("Previous"))
        assert [text for place, text in back.links.items() if place.startswith("/record?")] == shown[1]
        first = await page(client, back.link("Previous"))
        assert [text for place, text in first.links.items() if place.startswith("/record?")] == shown[0]
        assert not first.has_link("Previous")
        assert await uids(client, pages[-1].link("First page")) == shown[0]

        (job,) = await storage.list_execution_jobs("many")
        late = Record(record_uid="late", job_id=job.job_id, master_job_id="many", status="completed")
        await storage.save_record(late, {"n": -1})
        if order == "oldest":
            assert await uids(client, address) == shown[0]
            assert (await uids(client, pages[-2].link("Next")))[-1] == "late"
        else:
            assert await uids(client, pages[0].link("Next")) == shown[1]


async def test_a_look_that_takes_long_ends_and_goes_on(store: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(record_pages, "LONGEST_LOOK", -1.0)
    monkeypatch.setattr(record_pages, "_BATCH", 1)
    async with many_records(store, 8) as (_, client, _):
        for order in ("oldest", "newest"):
            found = await page(client, f"/records?run=many&field=n&compare=is&value=7&order={order}")
            looks, seen = 1, await uids(client, f"/records?run=many&field=n&compare=is&value=7&order={order}")
            while found.has_link("Look further"):
                assert f"{looks} of 9 records were compared" in found.text
                address = found.link("Look further")
                found, seen = await page(client, address), seen + await uids(client, address)
                looks += 1
            assert (looks, seen) == (10, ["r0007"])


async def test_the_page_of_a_record_shows_its_data_as_what_it_is(client: httpx.AsyncClient):
    every = await uids(client, f"/records?run={RUN}")
    response = await client.get(f"/record?uid={await uid_of(client, 1)}")
    found = Page(response.text)
    for words in (
        "What is",
        "look_up",
        "a number",
        "It is",
        "print(1)",
        "small-1",
        "$0.25",
        "topic",
        "As it is stored",
    ):
        assert words in found.text, words
    assert "<strong>1</strong>" in response.text
    assert found.text.count("As it is stored") == 3  # not below what reads the same
    assert 'placeholder="Search this run"' in response.text
    assert f'<input type="hidden" name="run" value="{RUN}"><input type="search" name="q"' in response.text
    assert f"retry {RUN} --input" in found.text
    found = await page(client, f"/record?uid={every[1]}")
    assert found.link("Next record") == f"/record?run={RUN}&uid={every[2]}"
    assert found.link("Previous record") == f"/record?run={RUN}&uid={every[0]}"
    assert not (await page(client, f"/record?uid={every[0]}")).has_link("Previous record")
    assert not (await page(client, f"/record?uid={every[-1]}")).has_link("Next record")


async def test_a_failed_record_shows_where(client: httpx.AsyncClient):
    (failed,) = await uids(client, f"/records?run={RUN}&status=failed")
    found = await page(client, f"/record?uid={failed}")
    assert "It has no data" in found.text
    assert "Where attempt 1 failed" in found.text
    assert "raise ValueError" in found.text
    assert (await client.get(f"/record/data?uid={failed}")).status_code == 404


async def test_versions_are_compared(client: httpx.AsyncClient):
    first = await uid_of(client, 0)
    found = await page(client, f"/record?uid={first}")
    earlier = await page(client, found.link("1"))
    assert '-  "topic": "numbers"' in earlier.text
    assert '+  "topic": "other"' in earlier.text
    old = (await client.get(f"/record/data?uid={first}&version=1")).json()
    assert old["topic"] == "numbers"
    assert (await client.get(f"/record?uid={first}&version=9")).status_code == 404
    assert (await client.get(f"/record?uid={first}&version=x")).status_code == 400


async def test_hostile_text_stays_text(client: httpx.AsyncClient):
    """`Page` refuses scripts, handlers, images and addresses of other schemes on every page of these tests."""
    hostile = await uid_of(client, 2)
    response = await client.get(f"/record?uid={hostile}")
    found = Page(response.text)
    assert "<script>alert(1)</script>" in found.text
    assert HOSTILE_FIELD in found.text
    assert "\\x1b[31mred \\u202edesrever" in found.text
    assert "\x1b" not in response.text
    assert "\u202e" not in response.text
    assert "javascript:alert(2)" in found.text
    assert (await client.get(f"/record/data?uid={hostile}")).json()[HOSTILE_FIELD].endswith("\u202edesrever")


async def test_data_of_any_size(store: str):
    await make(store, 1)
    async with open_storage(store, durability="process") as storage:
        (record,) = await storage.get_records_for_master_job(RUN)
        deep: object = "bottom"
        for _ in range(200):
            deep = {"in": deep}
        data = {"long": "x" * 3_000_000, "many": list(range(100_000)), "deep": deep, "lone": "\ud800"}
        await storage.save_record(record, data)
        async with viewer(storage) as client:
            response = await client.get(f"/record?uid={record.record_uid}")
            assert response.status_code == 200
            assert len(response.content) < 2_000_000
            text = Page(response.text).text
            assert "2,980,000 more characters" in text
            assert "more: see the raw JSON" in text
            raw = await client.get(f"/record/data?uid={record.record_uid}")
            assert raw.headers["content-disposition"].startswith("attachment")
            assert len(raw.content) > 3_000_000
            assert len((await client.get(f"/records?run={RUN}")).content) < 20_000
            assert json.loads(raw.content.decode("utf-8", "surrogatepass")) == data


async def test_data_that_is_gone_is_one_problem_and_the_rest_is_shown(store: str):
    await make(store, 2, layout="files")
    async with open_storage(store, durability="process") as storage:
        records = await storage.get_records_for_master_job(RUN)
        lost = str(records[0].output_ref)
    os.remove(lost)
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        for order in ("oldest", "newest"):
            found = await page(client, f"/records?run={RUN}&order={order}")
            assert "is lost" in found.text
            assert "numbers" in found.text
        found = await page(client, f"/record?uid={records[0].record_uid}")
        assert "is lost" in found.text
        assert "small-1" in found.text
        assert (await client.get(f"/record/data?uid={records[0].record_uid}")).status_code == 404


async def test_a_run_that_writes_is_seen_and_nothing_is_written(store: str):
    await make(store, 2)
    root = Path(path_of_file_uri(store))
    async with (
        open_storage(store, durability="process") as writing,
        open_storage(store, read_only=True) as storage,
        viewer(storage) as client,
    ):
        assert len(await uids(client, f"/records?run={RUN}")) == 2
        (job, *_) = await writing.list_execution_jobs(RUN)
        late = Record(record_uid="late", job_id=job.job_id, master_job_id=RUN, status="completed")
        await writing.save_record(late, {"n": 99})
        assert (await uids(client, f"/records?run={RUN}"))[-1] == "late"
        assert "99" in (await page(client, "/record?uid=late")).text
        await writing.update_master_job_status(RUN, "running", datetime.now(UTC))
        assert "Nobody works on it" in (await client.get(f"/run/progress?id={RUN}")).text
        await writing.log_execution_job_start(GenerationJob(job_id="new", master_job_id=RUN, run_config={"n": 7}))
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        for address in ("/", f"/run?id={RUN}", f"/records?run={RUN}", "/record?uid=late", "/record/data?uid=late"):
            assert (await client.get(address)).status_code == 200
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()} == before


async def test_a_store_on_servers(postgres_uri: str, s3_uri: str, tmp_path: Path):
    async with many_records(f"{postgres_uri} {s3_uri}", 60) as (storage, client, saved):
        assert "many" in (await page(client, "/")).text
        assert "1 of 1" in (await page(client, "/run?id=many")).text
        for order, first in (("oldest", saved[:50]), ("newest", saved[:10:-1])):
            found = await page(client, f"/records?run=many&order={order}")
            shown = [text for place, text in found.links.items() if place.startswith("/record?")]
            assert [one for one in shown if one in saved] == first[: len(shown)]
            following = await page(client, found.link("Next"))
            assert await uids(client, following.link("Previous")) == shown
        assert len(await uids(client, "/records?run=many&status=failed&field=n&compare=min&value=30")) == 3
        assert "raw" in (await page(client, f"/record?uid={saved[0]}")).text.lower()
        assert (await client.get(f"/record/data?uid={saved[7]}")).json() == {"n": 7}
        assert (await bundle(storage, "many", tmp_path / "out", where=["n>=50"])).records == 10
        assert [one.uid for one in records(tmp_path / "out")] == saved[50:]


async def test_a_page_that_fails_says_so_and_shows_nothing_else(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    async def fails(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(LocalStorage, "list_projects", fails)
    response = await client.get("/")
    assert response.status_code == 500
    assert "The viewer failed" in Page(response.text).text
    assert "a secret" not in response.text
    assert (await client.get(f"/run?id={RUN}")).status_code == 200
