"""Who is let in: hosts, origins, methods, tokens, and the headers of every response."""

from __future__ import annotations

import hashlib
import json

import httpx
import pytest

from starfish_storage import open_storage
from starfish_storage.viewer.application import STATIC
from starfish_storage.viewer.guard import HEADERS, Access

from .viewing import RUN, viewer

NAMED = Access("0.0.0.0", 0, "the-token")


@pytest.mark.parametrize(
    "host", ["attacker.example", "127.0.0.1.attacker.example", "localhost.example:80", "192.168.0.7", ""]
)
async def test_another_name_is_refused(client: httpx.AsyncClient, host: str):
    response = await client.get("/", headers={"Host": host})
    assert response.status_code in (421, 400)
    assert RUN not in response.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:1", "127.8.8.8", "[::1]:8000"])
async def test_the_names_of_this_machine_are_not(client: httpx.AsyncClient, host: str):
    assert (await client.get("/", headers={"Host": host})).status_code == 200


async def test_other_sites_are_refused(client: httpx.AsyncClient):
    for headers in (
        {"Origin": "http://attacker.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ):
        assert (await client.get("/", headers=headers)).status_code == 403, headers
    own = str(client.base_url)
    assert (await client.get("/", headers={"Origin": own})).status_code == 200
    navigation = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await client.get("/", headers=navigation)).status_code == 200  # a link in a chat leads here


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "STRANGE"])
async def test_it_only_shows(client: httpx.AsyncClient, method: str):
    response = await client.request(method, "/")
    assert response.status_code == 405
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "address", ["/", "/nothing", f"/records?run={RUN}", "/static/1/viewer.css", "/static/1/../../application.py"]
)
async def test_every_response_has_the_headers(client: httpx.AsyncClient, address: str):
    response = await client.get(address)
    for name, value in HEADERS.items():
        assert response.headers[name] == value
    policy = response.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert ("immutable" in response.headers["cache-control"]) == (response.status_code == 200 and "static" in address)
    assert (await client.head(address)).content == b""


@pytest.mark.parametrize(
    "address", ["/static/1/%2e%2e/application.py", "/static/1/..%2fapplication.py", "/static/1//etc/passwd"]
)
async def test_only_static_files_are_given(client: httpx.AsyncClient, address: str):
    response = await client.get(address)
    assert response.status_code == 404
    assert "import" not in response.text


async def test_a_token_becomes_a_cookie(made: str):
    async with open_storage(made, read_only=True) as storage, viewer(storage, NAMED) as client:
        for address in ("/", "/?token=wrong", "/?token=", "/static/1/viewer.css", "/?token=%C3%BC"):
            response = await client.get(address)
            assert (response.status_code, RUN in response.text) == (401, False), address
        response = await client.get(f"/records?run={RUN}&token=the-token&error=a%26b")
        assert response.status_code == 303
        assert response.headers["location"] == f"/records?run={RUN}&error=a%26b"
        cookie = response.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert (await client.get(response.headers["location"])).status_code == 200  # the client has the cookie now
        assert (await client.get(f"{client.base_url}//attacker.example/?token=the-token")).headers["location"] == "/attacker.example/"
        assert (await client.get("/", headers={"Host": "attacker.example"})).status_code == 421
        assert (await client.get("/", headers={"Host": "192.168.0.7:80"})).status_code == 200


def test_vendored_files_are_what_was_published():
    vendor = STATIC / "vendor"
    listed = json.loads((vendor / "versions.json").read_text("utf-8"))
    files = {name: digest for one in listed for name, digest in one["files"].items()}
    assert {name: hashlib.sha256((vendor / name).read_bytes()).hexdigest() for name in files} == files
    licences = {one["license_file"] for one in listed}
    assert {path.name for path in vendor.iterdir()} == {*files, *licences, "versions.json"}
