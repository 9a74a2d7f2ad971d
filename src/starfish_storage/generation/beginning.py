"""Begins a call of `generate`: makes its run, or finds the run that exists."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starfish_storage.errors import InvalidInputError, RunChangedError
from starfish_storage.generation.calling import BoundFunction
from starfish_storage.generation.changes import (
    OnChange,
    as_stored,
    changes_of_config,
    changes_of_inputs,
    configs_of,
    identity_now,
    last_identity,
    matched_inputs,
)
from starfish_storage.generation.forking import Fork, fork_id, is_whole
from starfish_storage.generation.input_files import FileInputs
from starfish_storage.generation.inputs import Difference, Feed, InputCheck
from starfish_storage.generation.lifecycle import is_finished
from starfish_storage.generation.options import Options
from starfish_storage.generation.outcomes import OutputChecks
from starfish_storage.generation.sources import Inputs, length_of, readable_twice
from starfish_storage.generation.spooled import take_in
from starfish_storage.generation.starting import create, state_of
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob, Project
from starfish_storage.runs import RunState
from starfish_storage.times import utc_now


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


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that a call of `generate` is to carry out.

    Attributes:
        state: where it stands.
        feed: the inputs that are not stored yet; None if all are.
        is_over: it has finished, with these inputs.
        identity: what it is made of from now on; empty if it is over.
    """

    state: RunState
    feed: Feed | None
    is_over: bool = False
    identity: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Beginning:
    """Begins a call of `generate`.

    Attributes:
        storage: holds the run, or is to.
        bound: the function.
        inputs: the inputs that were given.
        about: what is stored with a new run.
        checks: the checks of outputs.
        options: the options that were given.
        on_change: what to do if the run has another configuration, or other inputs.
        is_strict: refuse other code.
        tell: shows a text to whoever watches, and returns whether anybody does.
    """

    storage: Storage
    bound: BoundFunction
    inputs: Inputs
    about: About
    checks: OutputChecks
    options: Options
    on_change: OnChange
    is_strict: bool
    tell: Callable[[str], bool]

    async def begin(self, run_id: str) -> Begun:
        """Make the run, or find it and compare it with what was given.

        Raises:
            RunChangedError: it has changed, and that is refused.
        """
        await take_in(self.storage, run_id, self.about.spool)
        check = InputCheck(self.storage.ledger, self.bound.check, self.options)
        job = await self.storage.get_master_job(run_id)
        if job is None:
            return await self._new(run_id, check)
        state = await state_of(self.storage, job)
        feed = Feed(self.storage.ledger, state, self.inputs, check)
        try:
            return await self._found(job, state, feed)
        except BaseException:
            await feed.close()
            raise

    async def _new(self, run_id: str, check: InputCheck) -> Begun:
        await asyncio.to_thread(check.beforehand, self.inputs)
        about = self.about.to_json(self.bound.stored_name, self.inputs, self.options)
        target = length_of(self.inputs) or 0
        state = await create(
            self.storage, run_id, self.about.project, self.about.name, about, self.checks.json_schema, target
        )
        feed = Feed(self.storage.ledger, state, self.inputs, check)
        return Begun(state, feed, identity=await self._identity(self.about.config))

    async def _found(self, job: GenerationMasterJob, state: RunState, feed: Feed) -> Begun:
        """Compare a run that exists: its configuration, its inputs, and, if that matters, its code."""
        run_id = job.master_job_id
        known = await last_identity(self.storage, job)
        lines = changes_of_config(known, self.about.config)
        if lines and self.on_change in ("refuse", "match"):
            others = await self._other_inputs(state, feed) if self.on_change == "refuse" else []
            raise RunChangedError(run_id, "configuration and inputs" if others else "configuration", [*others, *lines])
        if lines and self.on_change == "fork":
            return await self._fork(job, known, feed, None)
        found = await feed.compare()
        if found is not None and self.on_change == "fork":
            return await self._fork(job, known, feed, found)
        if self.is_strict:  # it refuses before anything is written, and also where nothing is left to do
            await self._identity(known.get("config"), known, run_id)
        change: dict[str, Any] = {"config": lines} if lines else {}
        if found is not None:
            matched = await matched_inputs(self.storage, state, feed, found, self.on_change)
            state = await self.storage.ledger.get_run(run_id) or state
            change |= {"inputs": matched.to_json()} if matched.is_change else {}
        has_more = feed.has_more or "inputs" in change
        if not has_more and await is_finished(self.storage, job):
            await feed.close()
            return Begun(state, None, is_over=True)
        config = known.get("config") if self.about.config is None else self.about.config
        identity = await self._identity(config, known, run_id)
        if change:
            identity["change"] = {"on_change": self.on_change, **change}
        return Begun(state, feed if found is None else None, identity=identity)

    async def _other_inputs(self, state: RunState, feed: Feed) -> list[str]:
        """Return how the inputs differ, of a call that is refused anyway: those that reading uses up are not read."""
        if readable_twice(self.inputs) is None:
            return []
        try:
            found = await feed.compare()
            return [] if found is None else await changes_of_inputs(self.storage, state, feed, found)
        except InvalidInputError:
            return []  # a bad input: told once the configuration is settled

    async def _identity(
        self, config: Mapping[str, Any] | None, known: Mapping[str, Any] | None = None, run_id: str = ""
    ) -> dict[str, Any]:
        return await identity_now(
            self.bound, config, self.options, self.checks, known or {}, run_id, self.tell, strict=self.is_strict
        )

    async def _fork(
        self, job: GenerationMasterJob, known: dict[str, Any], feed: Feed, found: Difference | None
    ) -> Begun:
        """Make a run of what was given, and take over what is done for the same input and configuration."""
        storage, run_id = self.storage, job.master_job_id
        config = known.get("config") or {} if self.about.config is None else as_stored(self.about.config)
        name = fork_id(run_id, config, found)
        forked = await storage.get_master_job(name)
        if forked is not None and await is_whole(storage, forked):
            await take_in(storage, name)
            state = await state_of(storage, forked)
            self.tell(f"run {run_id!r} was forked before: this goes on with run {name!r}")
            return await self._found(forked, state, feed.of_run(state))
        identity = await self._identity(config, known, run_id)
        check = InputCheck(storage.ledger, self.bound.check, self.options)
        await asyncio.to_thread(check.beforehand, self.inputs)
        about = self.about.to_json(self.bound.stored_name, self.inputs, self.options)
        about |= {"config": config, "forked_from": run_id}
        now = utc_now()
        new = job.model_copy(
            update={
                "master_job_id": name,
                "name": self.about.name or job.name,
                "status": "pending",
                "request_config_ref": storage.generate_request_config_path(name),
                "output_schema": self.checks.json_schema,
                "target_record_count": length_of(self.inputs) or 0,
                **dict.fromkeys(_COUNTS, 0),
                "creation_time": now if forked is None else forked.creation_time,
                "start_time": now,
                "end_time": None,
                "last_update_time": now,
                "summary": None,
            }
        )
        fork = Fork(storage, run_id, new, about, await configs_of(storage, job))
        state = await fork.make(feed)
        self.tell(f"run {run_id!r} has changed, and was forked: run {name!r} has {fork.taken:,} of its inputs done")
        identity["change"] = {"on_change": "fork", "forked_from": run_id, "taken_over": fork.taken}
        return Begun(state, None, identity=identity)


_COUNTS = ("completed_record_count", "filtered_record_count", "duplicate_record_count", "failed_record_count")
