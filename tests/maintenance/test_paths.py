"""Stores are named to the functions of maintenance as they are to `open_storage`."""

from __future__ import annotations

from pathlib import Path

import pytest

from maintenance import stores
from starfish_storage import InvalidUriError
from starfish_storage.maintenance import backup, collect, plan_repair, repair, restore, verify


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    await stores.make(tmp_path / "store")
    return tmp_path / "store"


async def test_every_function_takes_paths(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for number, store in enumerate(("store", "~/store", root, root.as_uri())):
        report = verify(store)
        assert report.is_sound
        assert report.storage_uri == root.as_uri()
        assert (
            collect(store).storage_uri == plan_repair(store).storage_uri == repair(store).storage_uri == root.as_uri()
        )
        assert backup(store, f"~/copy-{number}").destination == str(tmp_path / f"copy-{number}")
        assert restore(Path(f"copy-{number}"), f"~/restored-{number}").backup == str(tmp_path / f"copy-{number}")
        assert verify(Path(f"restored-{number}")).records == report.records
    restore("copy-0", "apart", data_uri="~/apart-data")
    assert verify("apart", Path("apart-data")).is_sound
    with pytest.raises(InvalidUriError):
        verify("")
