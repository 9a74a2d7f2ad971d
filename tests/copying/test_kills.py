"""A copy that is killed and said again: everything is there, once; and never a row that points to nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from copying import stores
from copying.stores import whole
from durability import processes
from maintenance.conftest import make_store
from maintenance.remote_stores import RemoteStore
from starfish_storage import LocalStorage, open_storage
from starfish_storage.maintenance import verify

__all__ = ["make_store"]

_HALF_WAY = {"request_config_missing", "job_count_differs", "pack_tail", "pack_unknown"}
"""What may be found in a copy that is not at its end; its master job says so, being pending."""


def copying(source: Path, target: str, kill_at: int = 0, how: str = "before") -> tuple[int, str]:
    """Copy in a process, which is killed at a write; return its exit status and what it counted."""
    arguments = ["-m", "copying.copying_process", source.as_uri(), target, str(kill_at), how]
    status, out, error = processes.run(arguments)
    assert status in (0, -signal.SIGKILL), error
    return status, out.strip()


@pytest.mark.parametrize("how", [pytest.param("before", marks=pytest.mark.slow), "during"])
async def test_a_copy_that_is_killed_goes_on(tmp_path: Path, how: str) -> None:
    async with await stores.make(tmp_path / "a") as source:
        expected = await whole(source)
    target, kills = (tmp_path / "b").as_uri(), 0
    for kill_at in (1, 2, 4, 5, 6, 8, 9, 7, 11, 5):
        status, _ = copying(tmp_path / "a", target, kill_at, how)
        if status == 0:
            break
        kills += 1
        async with LocalStorage(target) as opened:
            found = await whole(opened)
        assert not any(isinstance(one[-1], Exception) for key, one in found.items() if key[0] == "record")
        assert {finding.kind for finding in verify(target).findings} <= _HALF_WAY
    assert kills > 5
    assert copying(tmp_path / "a", target)[0] == 0
    async with LocalStorage(target) as opened:
        assert await whole(opened) == expected
    # A pack of which nothing was committed stays until `collect` is sure that nobody is at it.
    assert {finding.kind for finding in verify(target).findings} <= {"pack_unknown"}
    assert copying(tmp_path / "a", target) == (0, "0 0 69")


async def test_into_servers(tmp_path: Path, make_store: Callable[[str], RemoteStore]) -> None:
    async with await stores.make(tmp_path / "a") as source:
        expected = await whole(source)
    remote = make_store("postgres, s3")
    target = f"{remote.uri} {remote.data_uri}"
    for kill_at, how in ((3, "before"), (8, "during"), (9, "during"), (11, "during")):
        assert copying(tmp_path / "a", target, kill_at, how)[0] == -signal.SIGKILL
    assert copying(tmp_path / "a", target)[0] == 0
    async with open_storage(remote.uri, remote.data_uri) as opened:
        assert await whole(opened) == expected
    assert remote.verify().findings == ()
    assert copying(tmp_path / "a", target) == (0, "0 0 69")


async def test_two_processes_at_a_time(tmp_path: Path) -> None:
    async with await stores.make(tmp_path / "a") as source:
        expected = await whole(source)
    target = (tmp_path / "b").as_uri()
    arguments = ["-m", "copying.copying_process", (tmp_path / "a").as_uri(), target, "0", "before"]
    running = [processes.start(arguments) for _ in range(2)]
    for process in running:
        with process:
            _, error = process.communicate(timeout=60)
            assert process.returncode == 0, error
    async with LocalStorage(target) as opened:
        assert await whole(opened) == expected
    assert verify(target).findings == ()
