"""Which values look like a key, under a name that may be that of content."""

import pytest

from starfish_storage.redaction import MARKER, paths_of_keys

KEYS = [
    *("sk-1", "sk-proj-abcdefghij", "hf_abcdef", "ghp_abcdefghijkl", "xoxb-1-a", "AKIAIOSFODNN7EXAMPLE", "SG.abc"),
    *("Bearer abcdefgh", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "-----BEGIN RSA PRIVATE KEY-----\n..."),
    *("9f86d081884c7d659a2feaa0c55ad015", "123e4567-e89b-12d3-a456-426614174000", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXA"),
    "postgres://user:hunter2@host/db",
]
NO_KEYS = [
    *("", "un", "hunter2", "tokenise", "skating", "correct horse battery staple", "a" * 50, "1" * 50, MARKER),
    *("The password is 9f86d081 and nothing else.", "2026-01-31T12:00:00Z", 12345678901234567890123, None, True),
    *("thequickbrownfoxjumpsoverthelazydog", "www.example.org", "user@example.org"),
]


@pytest.mark.parametrize("value", KEYS)
def test_values_that_look_like_a_key(value: str) -> None:
    assert paths_of_keys({"token": value, "text": value}) == ["$.token"]


@pytest.mark.parametrize("value", NO_KEYS, ids=repr)
def test_values_that_look_like_none(value: object) -> None:
    assert paths_of_keys({"token": value, "in": [{"password": value}]}) == []
