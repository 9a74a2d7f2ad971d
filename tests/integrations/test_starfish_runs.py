"""Runs of the real framework: they come out as with its own storage, and are runs here."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from integrations.framework import Case, Framework
from starfish_storage import open_storage
from starfish_storage.maintenance import verify

CASES = (
    *("ways_to_say_inputs", "hooks_and_indexes", "failures_and_late_answers", "dry_run", "again_and_again", "in_memory"),
    *("nested", "stops_early"),
)


def start(framework: Framework, root: Path, case: str, store: str | None, **how: Any) -> Case:
    directory = root / case
    directory.mkdir(parents=True)
    return framework.start(directory, "same", case=case, store=store, project=case, **how)


async def test_factories_do_what_they_do_with_its_own_storage(framework: Framework, tmp_path: Path):
    """All at once, in one store and another: each sleeps most of the time."""
    layouts = {name: (tmp_path / name / "store").as_uri() for name in ("files", "packed")}
    own = {case: start(framework, tmp_path / "own", case, None) for case in CASES}
    ours = {
        (layout, case): start(framework, tmp_path / layout, case, store, layout=layout)
        for layout, store in layouts.items()
        for case in CASES
    }
    wanted = {case: one.result() for case, one in own.items()}
    for (layout, case), one in ours.items():
        assert one.result() == wanted[case], (layout, case, one.output())
    for store in layouts.values():
        report = await asyncio.to_thread(verify, store)
        assert report.is_sound, str(report)
        await check_stored(store)


async def check_stored(store: str) -> None:
    """What became of the runs of `hooks_and_indexes` and others, to who looks at the store with what is here."""
    async with open_storage(store, read_only=True) as storage:
        jobs = {
            project.name: await storage.list_master_jobs(project.project_id) for project in await storage.list_projects()
        }
        print({name: [(j.name, j.status, j.target_record_count) for j in js] for name, js in jobs.items()})
