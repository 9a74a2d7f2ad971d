"""Which requests are the same: a stored answer is never given to another request, and keys in URLs do not count."""

from __future__ import annotations

import importlib
from typing import Any

import httpx2
import pytest

from generation.runs import data, job_id, numbers, start
from recording.asking import Clients, chain, parsed
from servers.paying import PayingServer
from servers.paying_model import MOVED
from starfish_storage import http
from starfish_storage.generation import Context
from starfish_storage.http.addresses import asked_of
from starfish_storage.interface import Storage
from starfish_storage.runs.exchanges import CallRequest
from starfish_storage.runs.request_differences import request_differences

URL = "https://api.example.com/v1/answer"
KEY = "sk-live-0123456789abcdef"


def key(body: bytes = b"{}", url: str = URL) -> str:
    return asked_of("POST", url, body, keep_request=True).key


def kept(body: bytes, url: str = URL) -> CallRequest:
    packed = asked_of("POST", url, body, keep_request=True).packed
    assert packed is not None
    return CallRequest.unpacked(packed)


def schema(*fields: str, most: int = 1) -> bytes:
    properties = ",".join(f'"{field}":{{"type":"string"}}' for field in fields)
    return f'{{"most":{most},"format":{{"type":"object","properties":{{{properties}}}}}}}'.encode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"", b"null"),
        (b"words", b'"words"'),
        (b"1", b"1.0"),
        (b"1", b"true"),
        (b"18446744073709551616", b"18446744073709551617"),
        (b'{"a":NaN}', b'{"a":null}'),
        (b'{"a":NaN}', b'"{\\"a\\":NaN}"'),
        (schema("reasons", "answer"), schema("answer", "reasons")),
    ],
)
def test_other_bodies_are_other_requests(one: bytes, other: bytes) -> None:
    assert key(one) != key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("?code=python", "?code=java"),
        ("?key=1", "?key=2"),
        ("?a=%ff", "?a=%fe"),
        ("?a=%ff", "?a=%EF%BF%BD"),
        ("/sk-learn-classic", "/sk-learn-modern"),
        ("?model=sk-learn-classic", "?model=sk-learn-modern"),
        ("/a%2Fb", "/a/b"),
    ],
)
def test_other_addresses_are_other_requests(one: str, other: str) -> None:
    assert key(url=URL + one) != key(url=URL + other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{URL}?key={KEY}&n=1", f"{URL}?key={KEY[::-1]}&n=1"),
        ("https://me:hunter2@api.example.com/v1", "https://api.example.com/v1"),
    ],
)
def test_another_key_is_the_same_request(one: str, other: str) -> None:
    assert key(url=one) == key(url=other)


def test_the_order_of_fields_of_a_schema_counts_and_is_explained() -> None:
    one, other = kept(schema("reasons", "answer")), kept(schema("answer", "reasons"))
    assert request_differences(one, other) == ["format.properties in another order"]
    assert key(b'{"a":1,"properties":{"b":1}}') == key(b'{"properties":{"b":1},"a":1}')
    deep = b'{"a":[' * 400 + schema("a") + b"]}" * 400
    assert kept(deep).body == deep.decode()


@pytest.mark.parametrize(
    "body", [f'{{"a":NaN,"api_key":"{KEY}"}}'.encode(), f'"{KEY}"'.encode(), f"key {KEY}".encode()]
)
def test_a_text_is_stored_without_its_keys(body: bytes) -> None:
    found = kept(body, f"{URL}/{KEY}?key=hunter2&a={KEY}")
    assert "[redacted]" in found.body
    assert not any(secret in f"{found.url}{found.body}" for secret in (KEY, "hunter2"))


@pytest.mark.parametrize("content", [None, b"null", b"1", b"true", b"words"])
async def test_a_request_may_have_any_body(storage: Storage, content: bytes | None) -> None:
    client = http.async_client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json={"a": 1})))

    async def answer(n: int) -> dict[str, Any]:
        return {"n": n, "answer": (await client.post(URL, content=content)).json()}

    run = await start(storage, answer, numbers(1))
    assert (run.records, await data(storage)) == ({"completed": 1}, [{"n": 0, "answer": {"a": 1}}])
    assert (await storage.ledger.count_calls(run.master_job_id)).asked == 1


@pytest.mark.parametrize("family", ["httpx2", "httpx"])
async def test_an_answer_after_a_redirect_is_that_of_the_first_request(storage: Storage, family: Any) -> None:
    asked: list[str] = []
    library: Any = importlib.import_module(family)

    def respond(request: Any) -> Any:
        asked.append(request.url.path)
        if request.url.path == "/v1/answer":
            return library.Response(307, headers={"location": "/v2/answer"})
        headers = [(b"content-type", "text/json; x=\u20ac".encode())]  # need not be ASCII
        return library.Response(200, content=request.content, headers=headers)

    client = http.async_client(family, transport=library.MockTransport(respond), follow_redirects=True)

    async def answer(n: int, context: Context) -> dict[str, Any]:
        texts = (await client.post(URL, json={"n": n})).json()
        if context.attempt == 1:
            raise ConnectionResetError("of something else")
        return {"n": n, "answer": texts}

    run = await start(storage, answer, numbers(1))
    assert (run.records, await data(storage)) == ({"completed": 1}, [{"n": 0, "answer": {"n": 0}}])
    assert asked == ["/v1/answer", "/v2/answer"]
    await client.aclose()


@pytest.mark.parametrize(("family", "how"), [("httpx2", "async"), ("httpx", "blocking")])
async def test_a_run_of_an_api_that_redirects_is_replayed(
    storage: Storage, paying_server: PayingServer, clients: Clients, family: str, how: str
) -> None:
    client = clients(family, how)
    client.url = client.url.replace("/v1/", f"{MOVED}/v1/")
    function = chain(client, how, ["question"], parsed)
    await start(storage, function, numbers(1))
    sent = {MOVED: 1, "question 0": 1}
    assert paying_server.requests == sent
    (step,) = await storage.ledger.list_steps(await job_id(storage))
    assert step.name == f"POST 127.0.0.1:{paying_server.port}{MOVED}/v1/chat/completions"
    assert [one.model for one in step.usage] == ["gpt-4o-mini"]
    run = await start(storage, function, numbers(2), master_job_id="again", reuse="project", replay="only")
    assert run.records == {"completed": 1, "failed": 1}
    assert paying_server.requests == sent, "what is not stored is not sent either"
