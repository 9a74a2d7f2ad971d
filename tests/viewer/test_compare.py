"""Runs side by side: which inputs belong together, what differs, who wins, and pages of bounded length."""

from __future__ import annotations

import random
import re
from typing import Any

import httpx
import pytest

from generation.runs import NEVER, open_store
from starfish_storage import GenerationJob, Record, open_storage
from starfish_storage.generation import generate
from starfish_storage.viewer import comparing, matching, wins
from starfish_storage.viewer.word_diff import Effort, differing

from .markup import Page
from .viewing import HOSTILE, RUN, make, viewer

BOTH = "/compare?run=one&run=two"


async def two_runs(store: str, one: list[dict[str, Any]], two: list[dict[str, Any]]) -> None:
    """Make two runs: what the second makes of inputs above 2 differs, and it fails at 5."""

    async def first(n: int, **_: Any) -> dict[str, Any]:
        return {"text": f"It is the number {n}.", "n": n, "html": HOSTILE}

    async def second(n: int, **_: Any) -> dict[str, Any]:
        if n == 5:
            raise TimeoutError("too late")
        return {"n": n, "text": f"It is a number {n}." if n > 2 else f"It is the number {n}.", "html": HOSTILE}

    async with open_store(store) as storage:
        for run, function, inputs in (("one", first, one), ("two", second, two)):
            await generate(storage, function, inputs, project="p", master_job_id=run, progress="quiet", retry=NEVER)


def rows(page: Page, html: str) -> list[tuple[str, str]]:
    """Return the position and the mark of each row."""
    heads = [" ".join(one.split("</h2>")[0].split()) for one in re.split("<h2>(?:Input|Record)", html)[1:]]
    return [(one.split()[0], one.split(">")[1].split("<")[0]) for one in heads]


async def found(client: httpx.AsyncClient, address: str) -> tuple[Page, list[tuple[str, str]]]:
    response = await client.get(address)
    assert response.status_code == 200, response.text
    page = Page(response.text)
    return page, rows(page, response.text)


async def test_inputs_are_matched_by_what_they_are(store: str):
    inputs = [{"n": n, "nested": {"a": 1, "b": [n]}} for n in range(6)]
    turned = [{"nested": {"b": one["nested"]["b"], "a": 1}, "n": one["n"]} for one in reversed(inputs)]
    await two_runs(store, inputs, [*turned, {"n": 9}])
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        page, shown = await found(client, BOTH)
        same, differs = [(str(n), "same") for n in range(3)], [(str(n), "differs") for n in (3, 4)]
        assert shown == [*same, *differs, ("5", "failed"), ("6", "same")]
        assert "This run does not have the input." in page.text
        assert "TimeoutError: too late" in page.text
        assert (await found(client, f"{BOTH}&only=different"))[1] == [*differs, ("5", "failed")]
        assert (await found(client, f"{BOTH}&only=failed"))[1] == [("5", "failed")]
        html = (await client.get(f"{BOTH}&only=different")).text
        assert "It is <mark>the</mark> number 3." in html
        assert "It is <mark>a</mark> number 3." in html
        assert (
            html.count('class="alike"') == 2 * 4
        )  # the other fields of 3 and 4, in both runs; nothing beside a failure
        assert "<script>alert(1)" not in html
        assert "&lt;script&gt;alert(1)" in html
        page, shown = await found(client, f"{BOTH}&run=one")  # named twice, shown once
        assert len(shown) == 7
        assert (await client.get(f"{BOTH}&run=none")).status_code == 404
        assert (await client.get(f"{BOTH}&only=odd")).status_code == 400
        assert (await client.get(f"{BOTH}&after=x")).status_code == 400
        assert (await client.get(f"{BOTH}&after=none&after=")).status_code == 404
        assert (await client.get("/compare?" + "&".join(f"run={n}" for n in range(7)))).status_code == 400


async def test_two_runs_are_chosen(store: str):
    await two_runs(store, [{"n": 1}], [{"n": 1}])
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        run = Page((await client.get("/run?id=one")).text)
        choice = Page((await client.get(run.link("Compare"))).text)
        assert choice.form("Compare").fields == {"run": "one"}
        assert "two" in choice.text
        assert "Completed" in choice.text  # and not all records, failures included
        assert "No run fits" in (await client.get("/compare?run=one&q=nothing")).text
        assert "Choose two or more runs" in (await client.get("/compare")).text


async def test_pages_hold_each_input_once(store: str, monkeypatch: pytest.MonkeyPatch):
    """Also in the middle of equal ones, of which the first run has more; and when time is up at once."""
    monkeypatch.setattr(comparing, "PAGE", 3)
    monkeypatch.setattr(comparing, "_PORTION", 2)
    monkeypatch.setattr(comparing, "_BATCH", 2)
    one = [{"n": n % 4} for n in range(14)]
    await two_runs(store, one, [{"n": n % 4} for n in range(9)] + [{"n": 7}] * 2)
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        address: str | None = BOTH
        number = missing = pages = 0
        records: list[str] = []
        shown_on: list[set[str]] = []
        last = BOTH
        while address is not None:
            last = address
            page, shown = await found(client, address)
            pages += 1
            shown_on.append({place for place in page.links if place.startswith("/record?")})
            number += len(shown)
            missing += page.text.count("This run does not have the input.")
            records += [place for place in page.links if place.startswith("/record?")]
            address = page.link("Next") if page.has_link("Next") else None
        assert (number, missing) == (16, 7)  # 14, and 2 more; of the 14, the second run has 9
        assert pages == 6
        assert len(set(records)) == len(records) == 14 + 11
        page, _ = await found(client, last)
        for before in reversed(shown_on[:-1]):
            page, _ = await found(client, page.link("Previous"))
            assert {place for place in page.links if place.startswith("/record?")} == before
        assert not page.has_link("Previous")
        assert page.link("Next") == Page((await client.get(BOTH)).text).link("Next")
        assert (await client.get(f"{BOTH}&came=x")).status_code == 400
        monkeypatch.setattr(comparing, "LONGEST_LOOK", -1.0)
        address, looks = f"{BOTH}&only=different", 0
        seen: list[tuple[str, str]] = []
        while address is not None:
            page, shown = await found(client, address)
            seen += shown
            looks += 1
            words = next((one for one in ("Look further", "Next") if page.has_link(one)), None)
            address = None if words is None else page.link(words)
        assert len(seen) == 2  # input 3, twice in both
        assert looks >= 16 // 2


async def test_wins_come_from_reviews(store: str, monkeypatch: pytest.MonkeyPatch):
    inputs = [{"n": n} for n in (1, 2, 3, 4)]
    await two_runs(store, inputs, inputs[::-1])
    async with open_storage(store, durability="process") as storage, viewer(storage) as client:
        assert "Wins are counted once" in (await client.get(BOTH)).text
        uid: dict[tuple[str, int], str] = {}
        for run in ("one", "two"):
            for record in await storage.get_records_for_master_job(run):
                data = await storage.get_record_data(str(record.output_ref))
                uid[run, data["n"]] = record.record_uid
        add = storage.annotations.add
        await add(uid["one", 1], "verdict", "rejected", author="Ada")
        await add(uid["two", 1], "verdict", "accepted", author="Ada")
        await add(uid["one", 2], "verdict", "accepted", author="Ada")
        await add(uid["one", 2], "verdict", "rejected", author="Bob")
        await add(uid["two", 2], "verdict", "accepted", author="Bob")
        await add(uid["one", 3], "rating", 4, author="Ada")
        await add(uid["two", 3], "rating", 2, author="Ada")
        await add(uid["two", 3], "rating", 4, author="Ada")  # the newest counts
        await add(uid["one", 4], "verdict", "accepted", author="Ada")  # the other was not reviewed
        withdrawn = await add(uid["two", 4], "verdict", "accepted", author="Ada")
        await storage.annotations.withdraw(withdrawn.annotation_id, author="Ada")
        counted = await wins.count_wins(storage, ["one", "two"])
        assert counted == wins.Wins([0, 2], ties=1, counted=3)
        page, _ = await found(client, BOTH)
        assert "of 3 inputs that were reviewed in several of the runs, 1 tie." in page.text
        assert "rejected" in page.text
        monkeypatch.setattr(wins, "_PORTION", 2)
        assert await wins.count_wins(storage, ["one", "two"]) == counted
        monkeypatch.setattr(wins, "LONGEST_COUNT", -1.0)
        assert not (await wins.count_wins(storage, ["one", "two"])).is_whole


async def test_runs_without_stored_inputs_are_matched_by_a_field(store: str, monkeypatch: pytest.MonkeyPatch):
    await make(store, 2)
    async with open_storage(store, durability="process") as storage, viewer(storage) as client:
        own = await storage.get_master_job(RUN)
        assert own is not None
        for run in ("bare", "other", "logged"):
            await storage.log_master_job_start(own.model_copy(update={"master_job_id": run}))
        await storage.log_execution_job_start(GenerationJob(job_id="a", master_job_id="logged", run_config={"n": 1}))
        page, shown = await found(client, f"/compare?run={RUN}&run=logged")  # an input is one, also without a ledger
        assert len(shown) == 2
        assert page.text.count("This run does not have the input.") == 1
        assert "No record yet." in page.text
        for run, numbers in (("bare", range(5)), ("other", (3, 4, 4, 9))):
            await storage.log_execution_job_start(GenerationJob(job_id=run, master_job_id=run))
            for place, n in enumerate(numbers):
                record = Record(record_uid=f"{run}-{place}", job_id=run, master_job_id=run, status="completed")
                await storage.save_record(record, {"q": {"n": n}, "text": f"It is {run if n == 4 else n}."})
        both = "/compare?run=bare&run=other"
        assert "Name a field above" in (await client.get(both)).text
        await settled(client, f"{both}&by=q")
        page, shown = await found(client, f"{both}&by=q")
        assert len(shown) == 7  # 0 to 4, the second 4, and 9
        assert page.text.count("This run does not have it.") == 5
        html = (await client.get(f"{both}&by=q&only=different")).text
        assert html.count("<h2>") == 1
        assert "<mark>bare</mark>" in html
        await storage.annotations.add("bare-3", "verdict", "accepted", author="Ada")
        await storage.annotations.add("other-0", "verdict", "rejected", author="Ada")
        assert "of 1 inputs that were reviewed" in (await client.get(f"{both}&by=q")).text
        await settled(client, f"{both}&by=none")
        assert "No record of these runs has this field" in (await client.get(f"{both}&by=none")).text
        for run, end in (("bare", "a"), ("other", "b")):
            record = Record(record_uid=f"{run}-long", job_id=run, master_job_id=run, status="completed")
            await storage.save_record(record, {"long": 1, "text": "x" * 5000 + end})
        await settled(client, f"{both}&by=long")
        assert (await client.get(f"{both}&by=long")).text.count("2,001 more characters, in which they differ") == 2
        monkeypatch.setattr(comparing, "PAGE", 2)
        seen, address = 0, f"{both}&by=q"
        while address:
            page, shown = await found(client, address)
            seen += len(shown)
            address = page.link("Next") if page.has_link("Next") else ""
        assert seen == 7
        assert (await client.get(f"{both}&by=q&after=x&after=")).status_code == 404
        monkeypatch.setattr(matching, "MOST_MATCHED", 2)
        monkeypatch.setattr(matching, "_BATCH", 1)
        assert not (await matching.keyed_run(storage, "bare", "q")).is_whole


async def settled(client: httpx.AsyncClient, address: str) -> None:
    """Load a page until what it counts is counted."""
    for _ in range(1000):
        if "are being read" not in (await client.get(address)).text:
            return
    raise AssertionError("it is never counted")


async def test_a_store_on_a_server(postgres_uri: str, tmp_path: Any):
    await two_runs(f"{postgres_uri} {tmp_path.as_uri()}", [{"n": n} for n in (1, 3)], [{"n": n} for n in (3, 5)])
    async with open_storage(postgres_uri, data_uri=tmp_path.as_uri()) as storage, viewer(storage) as client:
        assert sorted((await found(client, BOTH))[1]) == [("0", "same"), ("1", "differs"), ("1", "failed")]


def test_words_that_differ():
    chance = random.Random(1)
    for _ in range(300):
        texts = ["".join(chance.choice("ab ,\u4e2d") for _ in range(chance.randrange(16))) for _ in "12"]
        old, new = differing(texts[0], texts[1], Effort())
        assert ["".join(span.text for span in one) for one in (old, new)] == texts
        assert "".join(one.text for one in old if not one.differs) == "".join(
            one.text for one in new if not one.differs
        )
        assert any(one.differs for one in (*old, *new)) == (texts[0] != texts[1])
    old, new = differing("one two three four", "one 2 three four five", Effort())
    assert [one.text for one in old if one.differs] == ["two"]
    assert [one.text for one in new if one.differs] == ["2", " five"]
    effort = Effort()
    hostile = differing("a " * 3000, "b " * 3000, effort)  # the worst for each algorithm: every blank fits every other
    assert [one.differs for one in hostile[0]] == [True, False]
    assert effort.steps > 0
    spent = Effort(0)
    assert [one.differs for one in differing("a x b", "a y b", spent)[0]] == [False, True, False]
