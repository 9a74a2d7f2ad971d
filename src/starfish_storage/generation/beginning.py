"""Begins a call of `generate`: makes its run, or finds the run that exists."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starfish_storage.generation.calling import BoundFunction
from starfish_storage.generation.input_files import FileInputs
from starfish_storage.generation.inputs import Feed, InputCheck
from starfish_storage.generation.lifecycle import FINISHED
from starfish_storage.generation.options import Options
from starfish_storage.generation.outcomes import OutputChecks
from starfish_storage.generation.sources import Inputs, length_of
from starfish_storage.generation.spooled import take_in
from starfish_storage.generation.starting import create, state_of
from starfish_storage.interface import Storage
from starfish_storage.models import Project
from starfish_storage.runs import RunState


@dataclass(frozen=True, slots=True)
class About:
    """What is stored with a new run, beside its options; and the spool of one that exists."""

    project: str | Project
    name: str | None
    source: str | None
    config: Mapping[str, Any] | None
    spool: str | os.PathLike[str] | None

    def to_json(self, function: str, inputs: Inputs, options: Options) -> dict[str, Any]:
        """Return the request configuration, with everything that resuming needs."""
        source = self.source
        if source is None and isinstance(inputs, FileInputs):
            source = os.path.abspath(inputs.path)  # the run may be resumed in another directory
        return {"function": function, "inputs": source, "options": options.to_json(), "config": dict(self.config or {})}


async def begun(
    storage: Storage,
    run_id: str,
    bound: BoundFunction,
    inputs: Inputs,
    about: About,
    checks: OutputChecks,
    options: Options,
) -> tuple[RunState, Feed | None]:
    """Return where a run stands and its feed, or None if the run has finished. Makes the run if it does not exist."""
    await take_in(storage, run_id, about.spool)
    check = InputCheck(storage.ledger, bound.check, options)
    job = await storage.get_master_job(run_id)
    state = None if job is None else await state_of(storage, job)
    if state is None:
        await asyncio.to_thread(check.beforehand, inputs)
        config = about.to_json(bound.stored_name, inputs, options)
        target = length_of(inputs) or 0
        state = await create(storage, run_id, about.project, about.name, config, checks.json_schema, target)
    elif job is not None and job.status in FINISHED:
        return state, None
    return state, Feed(storage.ledger, state, inputs, check)
