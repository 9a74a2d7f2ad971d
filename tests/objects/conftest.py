"""A store with its data behind a network that fails when told to."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.object_stores import SQLiteObjectStore
from servers.proxies import FaultyHttp
from servers.s3 import S3Server

LIMIT = 2.0
"""For how long calls go on trying, in seconds."""


@pytest.fixture
def network(s3_server: S3Server, s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyHttp]:
    with FaultyHttp(s3_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT", proxy.endpoint)
        monkeypatch.setenv("AWS_TIMEOUT", "1s")
        monkeypatch.setenv("STARFISH_STORAGE_RETRY_SECONDS", str(LIMIT))
        yield proxy


@pytest.fixture
def store(tmp_path: Path, network: FaultyHttp, s3_server: S3Server, s3_uri: str) -> SQLiteObjectStore:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ENDPOINT", s3_server.endpoint)  # raw access goes past the faults
        return SQLiteObjectStore(tmp_path, s3_uri)


@pytest.fixture(autouse=True)
def no_secret_is_told(s3_server: S3Server, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever fails in these tests, no logger of any library says the secret."""
    caplog.set_level(logging.DEBUG)
    yield
    assert s3_server.secret_key not in caplog.text
    assert "Signature=" not in caplog.text
