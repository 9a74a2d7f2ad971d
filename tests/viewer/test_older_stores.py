"""Stores of earlier releases, of Starfish, and of killed runs: every link leads to a page."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from migrations.stores import on_disk, unpack
from starfish_storage import open_storage
from starfish_storage.cli.place import Place
from starfish_storage.cli.view import notice_of
from starfish_storage.publishing import bundle

from .bundles import records
from .markup import Page
from .viewing import viewer

_MOST_PAGES = 12  # of one path


async def walk(client: httpx.AsyncClient) -> dict[str, list[str]]:
    """Follow the links within the viewer, from the first page on; return the addresses by their paths."""
    waiting, seen, found = deque(["/"]), {"/"}, dict[str, list[str]]()
    while waiting:
        address = waiting.popleft()
        if len(found.get(urlsplit(address).path, [])) == _MOST_PAGES:
            continue
        response = await client.get(address)
        assert response.status_code == 200, (address, response.text)
        found.setdefault(urlsplit(address).path, []).append(address)
        if response.headers["content-type"].startswith("text/html"):
            links = [one for one in Page(response.text).links if one.startswith("/") and one not in seen]
            seen.update(links)
            waiting += links
    return found


def content(root: Path) -> dict[str, tuple[object, ...]]:
    """Return what is on the disk. Readers note themselves in the index of a log that lies there; it is no content."""
    return {name: state for name, state in on_disk(root).items() if not name.endswith("-shm")}


@pytest.mark.parametrize(
    ("name", "notice"),
    [
        ("v1", "This store is of format 1, of an earlier release."),
        ("v4-not-closed", "This store is of format 4"),
        ("starfish-0.1.3", "Starfish wrote this store. It is shown from a migrated copy"),
    ],
)
async def test_an_older_store_is_shown_and_not_changed(tmp_path: Path, name: str, notice: str):
    root = tmp_path / "store"
    unpack(name, root)
    before = content(root)
    said = notice_of(Place(root.as_uri()))
    assert said.startswith(notice)
    async with open_storage(root, read_only=True) as storage, viewer(storage, notice=said) as client:
        assert notice in Page((await client.get("/")).text).text
        jobs = await storage.list_master_jobs()
        found = await walk(client)
        for number, job in enumerate(jobs):
            report = await bundle(storage, job.master_job_id, tmp_path / f"bundle-{number}")
            counts = await storage.count_records_for_master_job(job.master_job_id)
            assert len(records(tmp_path / f"bundle-{number}")) == report.records == sum(counts.values())
    assert {"/", "/run", "/records", "/record", "/record/data"} <= found.keys()
    assert {job.master_job_id for job in jobs} == {parse_qs(urlsplit(one).query)["id"][0] for one in found["/run"]}
    assert content(root) == before
