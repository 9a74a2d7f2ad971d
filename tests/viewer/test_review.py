"""Reviews without a browser: the queue, what is said once, undo, edits, and several at a time."""

from __future__ import annotations

import asyncio
import json
import os

import httpx
import pytest

from starfish_storage import open_storage
from starfish_storage.viewer import record_pages
from starfish_storage.viewer.pages import review_queue

from .markup import Page
from .reviewer import Browser, another, reviewing, said
from .viewing import RUN, make, viewer

QUEUE = f"/review?run={RUN}"


async def test_a_queue_is_judged_to_its_end(store: str):
    async with reviewing(store, author=None) as (storage, client):
        browser = await Browser.on(QUEUE, client)
        assert "Who reviews?" in browser.page.text
        searched = 'placeholder="Search this run"'
        assert searched in browser.response.text
        await browser.press("Begin", author="  Ada \n Lovelace ")
        seen = [browser.uid]
        assert searched in browser.response.text
        assert "What is" in browser.page.text
        for verdict in ("Accept a", "Reject r"):
            answer = await browser.press(verdict)
            assert answer.status_code == 303
            await browser.go(str(browser.response.url))  # loaded again: nothing is said again
            seen.append(browser.uid)
        assert "2 of 3 judged: 1 accepted, 1 rejected" in " ".join(browser.page.text.split())
        await browser.go(browser.page.link("Skip n"))
        assert "nothing more behind the last record" in browser.page.text
        assert searched in browser.response.text
        await browser.go(browser.page.link("Begin again: with those that you have skipped, and new ones"))
        assert browser.uid == seen[2]
        await browser.press("Accept a")
        await browser.go(QUEUE)
        assert "waits for your verdict" in browser.page.text
        uids = [one.record_uid for one in await storage.get_records_for_master_job(RUN)]
        assert seen == uids[::-1]
        assert await said(storage) == [
            ("verdict", value, "Ada Lovelace", True) for value in ("accepted", "rejected", "accepted")
        ]


async def test_a_form_that_is_sent_twice_is_done_once(store: str):
    async with reviewing(store) as (storage, client):
        browser = await Browser.on(QUEUE, client)
        form = browser.page.form("Accept a")
        sent = form.fields | form.buttons["Accept a"]

        async def send() -> httpx.Response:
            return await client.post(form.action, data=sent, headers=browser.origin)

        answers = [await send(), *await asyncio.gather(send(), send())]
        assert {(one.status_code, one.headers["location"]) for one in answers} == {
            (303, answers[0].headers["location"])
        }
        await browser.go(QUEUE)
        form = browser.page.form("Add")
        sent = form.fields | {"label": "odd"}
        await asyncio.gather(send(), send(), send())
        assert await said(storage) == [("verdict", "accepted", "Ada", True), ("label", "odd", "Ada", True)]


async def test_all_that_can_be_said_and_undone(store: str):
    async with reviewing(store) as (storage, client):
        browser = await Browser.on(QUEUE, client)
        first = browser.uid
        await browser.press("Add", label=" <b>odd</b> ")
        await browser.press("4")
        await browser.press("Add", form=1, comment="two\r\nlines")
        assert browser.uid == first
        assert "<b>odd</b>" in browser.page.text
        assert "two\nlines" in browser.page.text
        await browser.press("Reject r")
        assert browser.uid != first
        for left in (3, 2, 1):
            await browser.press("Undo z")
            assert browser.uid == first
            assert [one[3] for one in await said(storage)] == [True] * left + [False] * (4 - left)
        await browser.press("Take back")
        assert not any(one[3] for one in await said(storage))
        assert [one[:2] for one in await said(storage)] == [
            ("label", "<b>odd</b>"), ("rating", 4), ("comment", "two\nlines"), ("verdict", "rejected")
        ]  # fmt: skip
        for label in ("  ", "x" * 201):
            answer = await browser.press("Add", label=label)
            assert answer.status_code == 400
            await browser.go(f"{QUEUE}&at={first}")
        form = browser.page.form("4")
        answer = await client.post(form.action, data={**form.fields, "rating": "9"}, headers=browser.origin)
        assert answer.status_code == 400
        assert (await client.get(f"{QUEUE}&at=nothing")).status_code == 404
        assert (await client.get("/review?run=nothing")).status_code == 404


async def test_a_record_that_was_changed_meanwhile_says_so(store: str):
    async with reviewing(store) as (storage, client), open_storage(store, durability="process") as other:
        browser = await Browser.on(QUEUE, client)
        await other.annotations.edit_record(browser.uid, {"n": "other"}, author="Bob")
        answer = await browser.press("Accept a")
        assert answer.status_code == 409
        assert "was changed after you loaded it" in browser.page.text
        assert "other" in browser.page.text
        await other.annotations.edit_record(browser.page.form("Accept a").fields["at"], {"n": 3}, author="Bob")
        await browser.press("Add", form=1, comment="I was typing this")
        assert any(one.fields.get("comment") == "I was typing this" for one in browser.page.forms)
        assert [one for one in await said(storage) if one[2] == "Ada"] == []
        assert (await browser.press("Accept a")).status_code == 303
        assert ("verdict", "accepted", "Ada", True) in await said(storage)


async def test_an_edit_is_a_version_and_a_conflict_loses_nothing(store: str):
    async with reviewing(store) as (storage, client), open_storage(store, durability="process") as other:
        browser = await Browser.on(QUEUE, client)
        uid = browser.uid
        before = await storage.get_record_data(str((await storage.get_record_metadata(uid)).output_ref))  # type: ignore[union-attr]
        await browser.go(browser.page.link("Edit the data e"))
        text = browser.page.form("Save Ctrl Enter").fields["data"].lstrip("\n")
        assert json.loads(text) == before
        assert "\\u202e" in text
        await other.annotations.edit_record(uid, {"n": "Bob's"}, author="Bob")
        answer = await browser.press("Save Ctrl Enter", data='{"n": 1,}')
        assert answer.status_code == 400
        assert "in line 1, column" in browser.page.text
        assert browser.page.form("Save Ctrl Enter").fields["data"].strip() == '{"n": 1,}'
        answer = await browser.press("Save Ctrl Enter", data='{"n": "Ada\'s"}')  # told of a comma, not of Bob
        assert answer.status_code == 409
        assert "Bob's" in browser.page.text
        assert "Ada's" in browser.page.form("Save Ctrl Enter").fields["data"]
        assert (await browser.press("Save Ctrl Enter")).status_code == 303
        versions = [
            await storage.ledger.get_version_data(uid, one.number) for one in await storage.ledger.list_versions(uid)
        ]
        assert versions == [before, {"n": "Bob's"}, {"n": "Ada's"}]
        await browser.press("Undo z")
        record = await storage.get_record_metadata(uid)
        assert record is not None
        assert await storage.get_record_data(str(record.output_ref)) == {"n": "Bob's"}


async def test_the_table_is_the_queue(store: str, monkeypatch: pytest.MonkeyPatch):
    async with reviewing(store, inputs=6) as (storage, client):
        for record in await storage.get_records_for_master_job(RUN):
            await storage.annotations.add(record.record_uid, "verdict", "rejected", author="Bob")  # not Ada's verdict
        filtered = f"{QUEUE}&field=n&compare=min&value=1&field=n&compare=max&value=4&order=newest"
        browser = await Browser.on(filtered, client)
        seen: list[str] = []
        while "at" in browser.response.url.params:
            seen.append(browser.uid)
            await browser.press("Accept a")
        records = {one.record_uid: one for one in await storage.get_records_for_master_job(RUN, ["completed"])}
        data = [(await storage.get_record_data(str(records[uid].output_ref)))["n"] for uid in seen]
        assert data == [4, 2, 1]  # 3 failed, and has no n
        await browser.go(browser.page.link("Review all completed records of the run"))
        assert "4 of" not in browser.page.text
        assert browser.uid not in seen
        await browser.go(f"{QUEUE}&status=failed")
        assert records.keys().isdisjoint({browser.uid})
        monkeypatch.setattr(review_queue, "LONGEST_LOOK", -1.0)
        monkeypatch.setattr(record_pages, "LONGEST_LOOK", -1.0)
        monkeypatch.setattr(record_pages, "_BATCH", 1)
        browser = await Browser.on(f"{QUEUE}&field=n&compare=is&value=5", client)
        looks = 0
        while browser.page.has_link("Look further"):
            await browser.go(browser.page.link("Look further"))
            looks += 1
        assert looks >= 3
        assert browser.uid == max(records)


async def test_two_reviewers_have_queues_of_their_own_and_lose_nothing(store: str):
    async with reviewing(store, author=None, inputs=3) as (storage, client), another(client) as second:
        ada, bob = await Browser.on(QUEUE, client), await Browser.on(QUEUE, second)
        await asyncio.gather(ada.press("Begin", author="Ada"), bob.press("Begin", author="Bob"))
        for _ in range(3):
            assert ada.uid == bob.uid
            await asyncio.gather(ada.press("Accept a"), bob.press("Reject r"))
        found = await said(storage)
        assert sorted(found) == sorted(
            [("verdict", "accepted", "Ada", True)] * 3 + [("verdict", "rejected", "Bob", True)] * 3
        )
        assert (await storage.annotations.count(RUN)).conflicting == 3
        # Nobody takes back what another has said.
        mine = next(one for one in await storage.annotations.list_for_run(RUN) if one.author == "Ada")
        form = bob.page.form("Undo the last z")
        answer = await second.post(
            form.action, data={**form.fields, "annotation": mine.annotation_id}, headers=bob.origin
        )
        assert answer.status_code == 400
        assert sorted(await said(storage)) == sorted(found)


async def test_a_run_and_a_reviewer_share_a_store(store: str):
    async with reviewing(store, inputs=2) as (storage, client):
        browser = await Browser.on(QUEUE, client)
        judging = browser.press("Accept a")
        await asyncio.gather(judging, make(store, 30, run="other"))
        assert await said(storage) == [("verdict", "accepted", "Ada", True)]
        assert (await storage.count_records_for_master_job("other"))["completed"] == 29


async def test_a_record_shows_what_was_said_of_it_also_to_those_who_only_look(store: str):
    async with reviewing(store, inputs=1) as (_, client):
        browser = await Browser.on(QUEUE, client)
        uid = browser.uid
        await browser.press("Add", label="odd")
        await browser.press("Accept a")
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        found = Page((await client.get(f"/record?uid={uid}")).text)
        assert "accepted" in found.text
        assert "odd" in found.text
        assert "1 accepted" in " ".join(Page((await client.get(f"/run?id={RUN}")).text).text.split())
        response = await client.get(QUEUE)
        assert response.status_code == 400
        assert "view --review" in response.text


async def test_data_of_any_size_and_none(store: str):
    async with open_storage(store, layout="files"):
        pass
    async with reviewing(store, inputs=2) as (storage, client):
        await make(store, 2, run="other")
        large, lost = await storage.get_records_for_master_job(RUN)
        await storage.save_record(large, {"n": 1, "text": "x" * 5_000_000})
        os.remove(str(lost.output_ref))
        page = await client.get(f"{QUEUE}&at={large.record_uid}")
        assert "and begins so" in page.text
        assert len(page.content) < 100_000
        answer = await client.get(f"/review/edit?run={RUN}&at={large.record_uid}")
        assert answer.status_code == 400
        assert "too much data to be edited in a browser" in answer.text
        assert "is lost" in (await client.get(f"{QUEUE}&at={lost.record_uid}")).text
        assert (await client.get(f"/review/edit?run={RUN}&at={lost.record_uid}")).status_code == 404
        page = await client.get(f"/compare?run={RUN}&run=other&only=different")
        assert page.text.count('<section class="pair differs"') == 2
        assert "is lost" in page.text
        assert len(page.content) < 100_000
