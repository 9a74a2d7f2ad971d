"""Requests and responses of recorded calls as text, and back."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starfish_storage.errors import InvalidDataError
from starfish_storage.runs.exchanges import LARGEST_BODY, CallRequest, CallResponse

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_a_request_comes_back_and_keeps_its_key(body):
    request = CallRequest("POST", "https://api.example.com/v1/chat/completions", body)
    assert CallRequest.unpacked(request.packed()) == request
    assert request.keyed() == (request.key, request.packed())


@given(st.binary())
def test_a_response_comes_back(body):
    response = CallResponse(200, "application/octet-stream", body)
    assert CallResponse.of_result(response.to_result()) == response


def test_the_key_changes_with_each_part_and_not_with_the_order_of_keys():
    key = CallRequest("POST", "https://a/v1", {"model": "m", "n": 1}).key
    assert key == CallRequest("POST", "https://a/v1", {"n": 1, "model": "m"}).key
    others = [
        CallRequest("GET", "https://a/v1", {"model": "m", "n": 1}),
        CallRequest("POST", "https://a/v2", {"model": "m", "n": 1}),
        CallRequest("POST", "https://a/v1", {"model": "m", "n": 1.0}),  # a provider may tell the two apart
        CallRequest("POST", "https://a/v1", {"model": "m"}),
        CallRequest("POST", "https://a/v1", None),
    ]
    assert len({key, *(one.key for one in others)}) == len(others) + 1


def test_the_key_is_the_one_that_stores_have():
    request = CallRequest("POST", "https://api.openai.com/v1/chat/completions", {"model": "gpt-4.1", "messages": ["é"]})
    assert request.key == "374a0e46549681ed8026171d30c1040250eb07626cbb1f93f8d87e5f985ba508"


@pytest.mark.parametrize(
    "text",
    ["", "é", "no base64!", base64.b64encode(b"no zlib").decode(), base64.b64encode(zlib.compress(b"secret")).decode(),
     base64.b64encode(zlib.compress(b"[1]")).decode(), base64.b64encode(zlib.compress(b'{"a": 1}')[:-4]).decode()],
)  # fmt: skip
def test_foreign_text_is_no_request_and_is_not_quoted(text):
    with pytest.raises(ValueError) as raised:
        CallRequest.unpacked(text)
    assert "secret" not in repr(raised.value) + repr(raised.value.__context__)


def test_what_would_unpack_to_more_than_was_ever_packed_is_refused():
    bomb = base64.b64encode(zlib.compress(bytes(LARGEST_BODY + 1), 1)).decode()
    with pytest.raises(ValueError, match="too large"):
        CallResponse.of_result({"result": {"status": 200, "media_type": "text/plain", "body": bomb}})


@pytest.mark.parametrize(
    "result", [{}, {"result": "text"}, {"result": {"status": "200", "media_type": "", "body": ""}}]
)
def test_what_once_returned_is_no_response(result):
    with pytest.raises(ValueError, match="not a stored response"):
        CallResponse.of_result(result)


@pytest.mark.parametrize(
    ("media_type", "body", "content"),
    [
        ("application/json", b'{"a":[1,2]}', {"a": [1, 2]}),
        ("application/problem+json; charset=utf-8", b"1", 1),
        ("application/json", b"{", "{"),
        ("application/jsonl", b"{}", "{}"),
        ("text/event-stream", b"data: {}\n\n", "data: {}\n\n"),
        ("text/plain", b"\xff", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_the_content_is_json_where_the_body_is(media_type, body, content):
    assert CallResponse(200, media_type, body).content == content


def test_a_body_that_is_no_json_is_refused():
    with pytest.raises(InvalidDataError):
        CallRequest("POST", "https://a", {"a": float("nan")}).packed()
