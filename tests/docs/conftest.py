"""What pages suppose: the environment of a node, and of a program that calls a model."""

from __future__ import annotations

import pytest

from servers.paying import PayingServer
from servers.postgres import PostgresServer
from starfish_storage.uri import without_password


@pytest.fixture
def nodes_environment(
    postgres_uri: str, postgres_server: PostgresServer, s3_uri: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """Return the URIs of a store that does not exist yet; what opens it is in the environment only."""
    uri = without_password(postgres_uri)
    monkeypatch.setenv("STARFISH_STORAGE_URI", uri)
    monkeypatch.setenv("DATA_URI", s3_uri)
    monkeypatch.setenv("PGPASSWORD", postgres_server.password)
    return uri, s3_uri


@pytest.fixture
def model_of_openai(paying_server: PayingServer, monkeypatch: pytest.MonkeyPatch) -> PayingServer:
    """A model that OpenAI's SDK finds where its own would be."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{paying_server.url}/v1")
    return paying_server
