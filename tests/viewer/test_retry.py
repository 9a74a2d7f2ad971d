"""Running again what the table shows: inputs go back to pending, and the command that is shown runs them."""

from __future__ import annotations

from typing import Any

import pytest

from starfish_storage.generation import resume
from starfish_storage.runs import Actor, Worker, this_actor
from starfish_storage.viewer.pages import retry

from .markup import Page
from .reviewer import Browser, reviewing
from .viewing import RUN


async def answers(n: int) -> dict[str, Any]:
    return {"n": n, "again": True}


async def test_what_is_shown_runs_again(store: str):
    async with reviewing(store, inputs=6) as (storage, client):
        table = Page((await client.get(f"/records?run={RUN}&field=score&compare=min&value=0.4")).text)
        browser = await Browser.on(table.link("Run these again"), client)
        assert "2 inputs, of the records that the table shows" in " ".join(browser.page.text.split())
        assert await storage.ledger.count_inputs(RUN) == {"completed": 5, "failed": 1}
        answer = await browser.press("Put 2 back to pending")
        assert answer.status_code == 303
        for _ in "12":  # also if the page is loaded again
            assert "2 inputs went back to pending" in browser.page.text
            assert "Nobody works on the run" in browser.page.text
            assert f"resume {RUN}" in browser.page.text
            assert await storage.ledger.count_inputs(RUN) == {"completed": 3, "failed": 1, "pending": 2}
            await browser.go(str(browser.response.url))
        job = await storage.get_master_job(RUN)
        assert job is not None
        assert job.status == "pending"
        run = await resume(storage, RUN, answers, progress="quiet")
        assert (run.done_before, run.inputs) == (4, {"completed": 5, "failed": 1})
        again = await storage.get_records_for_master_job(RUN, ["completed"])
        data = await storage.get_records_data([str(one.output_ref) for one in again])
        assert sorted(one["n"] for one in data if one.get("again")) == [4, 5]
        uid = next(one.record_uid for one, of in zip(again, data, strict=True) if of["n"] == 4)
        assert len(await storage.ledger.list_versions(uid)) == 2  # what was replaced is kept


async def test_it_ends_in_time_and_goes_on(store: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retry, "LONGEST_RESET", -1.0)
    monkeypatch.setattr(retry, "LONGEST_LOOK", -1.0)
    monkeypatch.setattr("starfish_storage.viewer.record_pages.PAGE", 1)
    async with reviewing(store, inputs=4) as (storage, client):
        browser = await Browser.on(f"/retry?run={RUN}&status=completed", client)
        assert "At least 1" in browser.page.text
        await browser.press("Put them all back to pending")
        presses = 1
        while "time was up" in browser.page.text:
            await browser.press("Go on with the rest")
            presses += 1
        assert presses >= 3
        assert "3 inputs went back to pending" in browser.page.text
        assert await storage.ledger.count_inputs(RUN) == {"pending": 3, "failed": 1}


async def test_workers_take_them_up(store: str):
    async with reviewing(store, inputs=2) as (storage, client):
        await storage.update_master_job_status(RUN, "running", await storage.ledger.now())
        now = await storage.ledger.now()
        worker = Worker("w", RUN, "a process", now, now, who=Actor("gen-7f", "ada", None, "0.1.0"))
        await storage.ledger.save_worker(worker, lease=600)
        await storage.ledger.stop_worker("w", "a new image")
        browser = await Browser.on(f"/retry?run={RUN}&status=completed", client)
        assert "the workers of the run take them up" in browser.page.text
        await browser.press("Put 2 back to pending")
        assert "The run has workers, which take them up now" in browser.page.text
        job = await storage.get_master_job(RUN)
        assert job is not None
        assert job.status == "running"
        page = (await client.get(f"/run?id={RUN}")).text
        for shown in ("ada@gen-7f", "0.1.0", "(stops: a new image)", "<td>retry</td>", "2 inputs", str(this_actor())):
            assert shown in page


async def test_what_cannot_run_again(store: str):
    async with reviewing(store, inputs=2) as (storage, client):
        own = await storage.get_master_job(RUN)
        assert own is not None
        ref = storage.generate_request_config_path("imported")
        await storage.save_request_config(ref, {"import": {"form": "jsonl"}})
        update = {"master_job_id": "imported", "request_config_ref": ref}
        await storage.log_master_job_start(own.model_copy(update=update))
        response = await client.get("/retry?run=imported")
        assert response.status_code == 400
        assert "was not started by generate()" in response.text
        await storage.ledger.start_run("imported")
        assert "was imported" in (await client.get("/retry?run=imported")).text
        assert (await client.get("/retry?run=nothing")).status_code == 404
        browser = await Browser.on(f"/retry?run={RUN}&status=filtered", client)
        assert not any(one.action == "/retry" for one in browser.page.forms)
