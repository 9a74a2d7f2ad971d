"""What the page about many machines supposes: the environment of a node."""

from __future__ import annotations

import pytest

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
