"""The commands take PostgreSQL and S3 as they take directories."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from durability import processes
from maintenance import stores
from maintenance.conftest import KINDS, filled
from maintenance.remote_stores import RemoteStore

Maker = Callable[[str], RemoteStore]


def command(*arguments: str, **variables: str) -> tuple[int, str, str]:
    return processes.run(["-m", "starfish_storage", *arguments], 60, **variables)


@pytest.mark.parametrize("kind", KINDS)
async def test_verify_and_collect(make_store: Maker, kind: str) -> None:
    store = await filled(make_store(kind))
    place = ("--data-uri", store.data_uri)
    status, out, errors = command("verify", "--store", store.uri, *place)
    assert (status, out.splitlines()[-1], errors) == (0, "sound", "")
    if store.server is not None:
        assert store.server.password not in out
    orphan = store.orphan()
    store.age(orphan, 8 * 24 * 3600)  # in vain where it is a file
    store.look_again()
    status, out, errors = command("collect", "--dry-run", "--json", *place, STARFISH_STORAGE_URI=store.uri)
    found = json.loads(out)
    assert (status, errors, len(found["removed"]) + found["younger"]) == (0, "", 1)
    store.remove(str(store.file_of("r0005").relative_to(store.data)))
    status, out, errors = command("--store", store.uri, "verify", "--json", *place)
    assert (status, errors) == (1, "")
    found = json.loads(out)
    assert (found["is_sound"], found["records"]) == (False, stores.RECORDS)
    assert [one["kind"] for one in found["findings"] if one["is_damage"]] == ["data_missing"]


@pytest.mark.parametrize("kind", ["postgres, files"])
async def test_what_cannot_be_done_is_said_in_a_line(make_store: Maker, kind: str, tmp_path: Path) -> None:
    store = await filled(make_store(kind))
    place = ("--data-uri", store.data_uri)
    for arguments, words in (
        (("repair", "--store", store.uri, "--yes", *place), "point-in-time recovery"),
        (("backup", str(tmp_path / "backup"), "--store", store.uri, *place), "pg_dump"),
        (("restore", str(tmp_path), "--store", store.uri, *place), "pg_restore"),
        (("verify", "--store", store.uri), "--data-uri"),
        (("verify", "--store", f"{store.uri}_not", *place), "does not hold a store"),
        (("collect", "--store", store.uri, *place, "--days", "0"), "an hour"),
    ):
        status, out, errors = command(*arguments)
        assert (status, out) == (2, ""), arguments
        assert errors.startswith("error: ")
        assert words in errors
        assert "Traceback" not in errors
        assert store.server is not None
        assert store.server.password not in errors
