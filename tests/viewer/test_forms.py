"""Who may write through the viewer: forms of its own, once, within limits; and a store that is locked."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import httpx
import pytest

from starfish_storage import open_storage
from starfish_storage.metadata.sqlite import commit
from starfish_storage.uri import path_of_file_uri
from starfish_storage.viewer import forms
from starfish_storage.viewer.application import ReviewMode
from starfish_storage.viewer.guard import HEADERS, Access

from .reviewer import Browser, another, reviewing, said
from .viewing import RUN, make, viewer

QUEUE = f"/review?run={RUN}"
TYPE = {"Content-Type": "application/x-www-form-urlencoded"}


async def test_only_forms_of_a_page_of_this_session_are_taken(store: str):
    async with reviewing(store) as (storage, client), another(client) as stranger, another(client) as nobody:
        browser, other = await Browser.on(QUEUE, client), await Browser.on(QUEUE, stranger)
        form = browser.page.form("Accept a")
        sent = form.fields | {"verdict": "accepted"}

        async def status(
            by: httpx.AsyncClient = client, headers: dict[str, str] = browser.origin, **changed: str
        ) -> int:
            response = await by.post("/review", data=sent | changed, headers=headers)
            assert {name: response.headers[name] for name in HEADERS} == HEADERS
            return response.status_code

        theirs = other.page.form("Accept a").fields["csrf"]
        for token in ("", "x", theirs, sent["csrf"][:-1], sent["csrf"] + "0", "\u00fc"):
            assert await status(csrf=token) == 403, token
        assert await status(by=stranger) == 403
        assert await status(by=nobody) == 403  # without any cookie
        own = browser.origin["Origin"]
        for headers in (
            {},
            {"Origin": "null"},
            {"Origin": "http://attacker.example"},
            {"Origin": own.replace("http:", "https:")},
            {"Origin": own, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
            {"Origin": own, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
            {"Sec-Fetch-Site": "same-origin"},
        ):
            assert await status(headers=headers) == 403, headers
        assert await status(headers=browser.origin | {"Host": "attacker.example"}) == 421
        await browser.go("/review/author?run=" + RUN)
        await browser.press("Begin", author="Bob")  # the form of Ada is not one of Bob
        assert await status() == 403
        assert await said(storage) == []
        await browser.go(QUEUE)
        assert (await browser.press("Accept a")).status_code == 303
        assert await said(storage) == [("verdict", "accepted", "Bob", True)]


async def test_cookies_are_for_this_viewer_alone(store: str):
    async with reviewing(store, author=None) as (_, client):
        session = (await client.get(QUEUE)).headers["set-cookie"]
        browser = await Browser.on(QUEUE, client)
        answer = await browser.press("Begin", author="Ada, of <b>x</b>; \u00fc")
        assert "Ada, of <b>x</b>; \u00fc" in browser.page.text
        for cookie in (session, answer.headers["set-cookie"]):
            assert "HttpOnly" in cookie
            assert "SameSite=strict" in cookie
        for name in ("", " ", "x" * 101, "a\x1bb", "a\u202eb"):
            await browser.go(f"/review/author?run={RUN}")
            assert (await browser.press("Begin", author=name)).status_code == 400, name
        for hostile in ("a%1Bb", "%FF", "x" * 300):
            client.cookies.set("starfish_storage_author", hostile)
            assert "Who reviews?" in (await client.get(QUEUE)).text, hostile


async def test_sizes_types_and_methods(store: str, monkeypatch: pytest.MonkeyPatch):
    async with reviewing(store) as (storage, client):
        browser = await Browser.on(QUEUE, client)
        sent = browser.page.form("Accept a").fields
        large = await client.post("/review", data={**sent, "comment": "x" * forms.SMALL}, headers=browser.origin)
        assert large.status_code == 413
        assert "Nothing was changed" in large.text

        async def chunks() -> object:
            for _ in range(100):
                yield b"a=" + b"b" * 10_000 + b"&"

        endless = await client.post("/review", content=chunks(), headers=browser.origin | TYPE)  # type: ignore[arg-type]
        assert endless.status_code == 413
        for kind in ("text/plain", "multipart/form-data; boundary=x", "application/json"):
            given = browser.origin | {"Content-Type": kind}
            assert (await client.post("/review", content=b"csrf=x", headers=given)).status_code == 415, kind
        for body in (b"\xff\xfe", b"a=%ff", b"&".join([b"a=b"] * 2000)):
            response = await client.post("/review", content=body, headers=browser.origin | TYPE)
            assert response.status_code == 400, body[:20]
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "STRANGE"):
            for address in ("/review", "/"):
                response = await client.request(method, address, headers=browser.origin)
                assert response.status_code == 405
                assert "access-control-allow-origin" not in response.headers
        for address in ("/", "/run", "/record", "/compare", "/static/1/viewer.css", "/events"):
            assert (await client.post(address, data=sent, headers=browser.origin)).status_code == 405, address
        assert (await client.get("/review/undo")).status_code == 405
        monkeypatch.setattr(forms, "_REMEMBERED", 1)
        assert (await browser.press("Accept a")).status_code == 303
        assert (await browser.press("Accept a")).status_code == 303
        assert len(await said(storage)) == 2


async def test_a_token_is_needed_to_write_too(store: str):
    await make(store, 1)
    named = Access("0.0.0.0", 0, "the-token")
    async with (
        open_storage(store, durability="process") as storage,
        viewer(storage, named, review=ReviewMode("Ada")) as client,
    ):
        origin = {"Origin": str(client.base_url).rstrip("/")}
        assert (await client.post("/review", data={}, headers=origin)).status_code == 401
        browser = await Browser.on(f"{QUEUE}&token=the-token", client)
        assert (await browser.press("Accept a")).status_code == 303


async def test_a_viewer_that_only_shows_takes_no_form(store: str):
    await make(store, 1)
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        origin = {"Origin": str(client.base_url).rstrip("/")}
        for address in ("/review", "/review/edit", "/review/undo", "/review/author", "/retry"):
            response = await client.post(address, data={"csrf": ""}, headers=origin)
            assert response.status_code == 405
            assert "--review" in response.text
            assert "set-cookie" not in (await client.get(address)).headers
        for address in (f"/run?id={RUN}", f"/records?run={RUN}"):
            assert "/review" not in (await client.get(address)).text


async def test_a_store_that_is_locked_says_so_and_the_form_can_be_sent_again(
    store: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(commit, "BUSY_TIMEOUT_MS", 20)
    async with reviewing(store) as (storage, client):
        browser = await Browser.on(QUEUE, client)
        form = browser.page.form("Accept a")
        sent = form.fields | form.buttons["Accept a"]
        (lock,) = Path(path_of_file_uri(store)).glob("*writer*lock*")
        descriptor = os.open(lock, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            response = await client.post("/review", data=sent, headers=browser.origin)
            assert response.status_code == 503
            assert "has been locked by" in response.text
            assert "go back, and send it again" in response.text
            assert (await client.get(QUEUE, follow_redirects=True)).status_code == 200  # what only reads goes on
        finally:
            os.close(descriptor)
        assert await said(storage) == []
        assert (await client.post("/review", data=sent, headers=browser.origin)).status_code == 303
        assert (await client.post("/review", data=sent, headers=browser.origin)).status_code == 303
        assert await said(storage) == [("verdict", "accepted", "Ada", True)]
