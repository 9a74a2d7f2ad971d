"""Who is let in: hosts, origins, methods, tokens, and the headers of every response."""

from __future__ import annotations

import hashlib
import json

import httpx

from starfish_storage import open_storage
from starfish_storage.viewer.application import STATIC
from starfish_storage.viewer.guard import HEADERS, Access

from .viewing import RUN, viewer

NAMED = Access("0.0.0.0", 0, "the-token")


async def test_another_name_is_refused(client: httpx.AsyncClient):
    for host in ("attacker.example", "127.0.0.1.attacker.example", "localhost.example:80", "192.168.0.7", ""):
        response = await client.get("/", headers={"Host": host})
        assert (response.status_code, RUN in response.text) == (421, False), host


async def test_the_names_of_this_machine_are_not(client: httpx.AsyncClient):
    for host in ("localhost", "LOCALHOST:9", "127.0.0.1:1", "127.8.8.8", "[::1]:8000"):
        assert (await client.get("/", headers={"Host": host})).status_code == 200, host


async def test_other_sites_are_refused(client: httpx.AsyncClient):
    for headers in (
        {"Origin": "http://attacker.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},  # another port of this machine
    ):
        assert (await client.get("/", headers=headers)).status_code == 403, headers
    own = str(client.base_url)
    assert (await client.get("/", headers={"Origin": own})).status_code == 200
    navigation = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await client.get("/", headers=navigation)).status_code == 200  # a link in a chat leads here


async def test_it_only_shows(client: httpx.AsyncClient):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "STRANGE"):
        response = await client.request(method, "/", headers={"Origin": str(client.base_url)})
        assert response.status_code == 405
        assert "POST" not in response.headers["allow"]
        assert "access-control-allow-origin" not in response.headers


async def test_requests_of_strange_sizes(client: httpx.AsyncClient):
    body = b"x" * 1_000_000
    elsewhere = await client.request("GET", "/events?run=x", headers={"Host": "elsewhere.example"}, content=body)
    assert elsewhere.status_code == 421
    assert (await client.request("POST", "/events", content=body)).status_code == 405
    assert (await client.request("GET", "/keys", content=body)).status_code == 200  # which nobody reads


async def test_every_response_has_the_headers(client: httpx.AsyncClient):
    policy = HEADERS["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert not any("unsafe" in one or "*" in one for one in policy)
    for address, status in {"/": 200, "/nothing": 404, "/records?run=x": 404, "/static/1/viewer.css": 200}.items():
        response = await client.get(address)
        assert response.status_code == status
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
        assert response.headers["cache-control"].endswith("immutable" if "css" in address else "no-store")
        assert (await client.head(address)).content == b""
    response = await client.post("/")
    assert {name: response.headers[name] for name in HEADERS} == HEADERS


async def test_only_static_files_are_given(client: httpx.AsyncClient):
    for path in (b"/static/1/../../application.py", b"/static/1/%2e%2e/application.py", b"/static/1//etc/passwd"):
        response = await client.get(client.base_url.copy_with(raw_path=path))  # as it is, without resolving it
        assert response.status_code == 404, path
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
        response = await client.get(f"{client.base_url}//attacker.example/?token=the-token")
        assert response.headers["location"] == "/attacker.example/"
        assert (await client.get("/", headers={"Host": "attacker.example"})).status_code == 421
        assert (await client.get("/", headers={"Host": "192.168.0.7:80"})).status_code == 200


def test_vendored_files_are_what_was_published():
    vendor = STATIC / "vendor"
    listed = json.loads((vendor / "versions.json").read_text("utf-8"))
    files = {name: digest for one in listed for name, digest in one["files"].items()}
    assert {name: hashlib.sha256((vendor / name).read_bytes()).hexdigest() for name in files} == files
    licences = {one["license_file"] for one in listed}
    assert {path.name for path in vendor.iterdir()} == {*files, *licences, "versions.json"}
