"""What has changed since a run was last called, and what is to be done about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Literal

from starfish_storage.codec import canonical_hash, decode, encode
from starfish_storage.errors import InvalidInputError, RunChangedError
from starfish_storage.generation.calling import BoundFunction
from starfish_storage.generation.inputs import Difference, Feed
from starfish_storage.generation.matching import Matched, Matching
from starfish_storage.generation.options import Options
from starfish_storage.generation.outcomes import OutputChecks
from starfish_storage.generation.segments import segment_identity
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.redaction import redact_secrets
from starfish_storage.runs import RunState
from starfish_storage.runs.segment_changes import describe_changes, is_code_changed
from starfish_storage.runs.segment_history import TAKEN_FROM
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

OnChange = Literal["refuse", "continue", "fork", "match"]
ON_CHANGE: tuple[OnChange, ...] = ("refuse", "continue", "fork", "match")
_MOST_FIELDS = 5


def check_on_change(given: str | None) -> OnChange:
    """Return what to do about a change.

    Raises:
        InvalidInputError: it is none of the ways.
    """
    for way in ON_CHANGE:
        if given is None or given == way:
            return way
    raise InvalidInputError(f"on_change must be one of {', '.join(map(repr, ON_CHANGE))}, not {given!r}.")


async def last_identity(storage: Storage, job: GenerationMasterJob) -> dict[str, Any]:
    """Return what a run was last made of: its last segment, or of a run without one, what it was started with.

    Those that a fork has taken over come before its own, and are of another run.
    """
    segments = await storage.ledger.list_segments(job.master_job_id, newest=1)  # of a run of thousands of workers
    if segments and TAKEN_FROM not in segments[-1].identity:
        return segments[-1].identity
    return {"config": await _config_at_start(storage, job)}


async def configs_of(storage: Storage, job: GenerationMasterJob) -> dict[int | None, str]:
    """Return the identity of the configuration of each segment of a run; None: of what has no segment."""
    found: dict[int | None, str] = {None: canonical_hash(await _config_at_start(storage, job), "config")}
    for one in await storage.ledger.list_segments(job.master_job_id):
        found[one.number] = canonical_hash(one.identity.get("config") or {}, "config")
    return found


async def _config_at_start(storage: Storage, job: GenerationMasterJob) -> dict[str, Any]:
    return as_stored((await storage.get_request_config(job.request_config_ref)).get("config") or {})


async def identity_now(
    function: BoundFunction,
    config: Mapping[str, Any] | None,
    options: Options,
    checks: OutputChecks,
    known: Mapping[str, Any],
    run_id: str,
    tell: Callable[[str], bool],
    *,
    strict: bool,
) -> dict[str, Any]:
    """Return what a run is made of from now on, and warn if its code has changed.

    Args:
        function: called for each input.
        config: the configuration of the run.
        options: its options.
        checks: its checks, with the schema of its outputs.
        known: what it was last made of; empty if it is new.
        run_id: the run.
        tell: shows a text to whoever watches, and returns whether anybody does.
        strict: refuse other code.

    Raises:
        RunChangedError: its code has changed, and that is refused.
    """
    how = options.to_json() | {"output_schema": checks.json_schema}
    identity = await asyncio.to_thread(segment_identity, function.function, config, how)
    _tell_code(run_id, known, identity, tell, strict=strict)
    return identity


async def matched_inputs(
    storage: Storage, state: RunState, feed: Feed, found: Difference, on_change: OnChange
) -> Matched:
    """Make other inputs those of a run, and return what that has changed.

    Raises:
        RunChangedError: that is refused.
    """
    if on_change in ("continue", "match"):
        return await Matching(storage, state, feed).match(cancels=on_change == "match")
    lines = await changes_of_inputs(storage, state, feed, found)
    if lines:
        raise RunChangedError(state.master_job_id, "inputs", lines)
    return Matched()


async def changes_of_inputs(storage: Storage, state: RunState, feed: Feed, found: Difference) -> list[str]:
    """Return how inputs differ from those of a run; not in their order alone, if its list was changed before."""
    run_id = state.master_job_id
    if await _was_matched(storage, run_id) and await Matching(storage, state, feed).finds_the_same():
        return []
    return [await _describe(storage, run_id, found)]


async def _was_matched(storage: Storage, run_id: str) -> bool:
    """Return whether the list of a run was changed before: then its inputs do not stand in the order of any list."""
    return any("inputs" in (one.identity.get("change") or {}) for one in await storage.ledger.list_segments(run_id))


def as_stored(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as it reads when it was stored: JSON without secrets."""
    return redact_secrets(decode(encode(dict(config), "config")))[0]


def changes_of_config(known: Mapping[str, Any], given: Mapping[str, Any] | None) -> list[str]:
    """Return how a configuration differs from that of a run; None says nothing about it.

    >>> changes_of_config({"config": {"model": "small"}}, {"model": "large"})
    ['config.model: "small" -> "large"']
    """
    return [] if given is None else describe_changes(known, {"config": as_stored(given)}, ("config",))


async def _describe(storage: Storage, run_id: str, found: Difference) -> str:
    """Return where inputs differ from those of a run, with the fields of the first one, but not what is in them."""
    stored = await storage.ledger.list_inputs(run_id, first=found.position, limit=1)
    if found.given is None or not stored or stored[0].position != found.position:
        return found.reason
    given = found.given.run_config
    job = await storage.get_execution_job(stored[0].job_id)
    before = {} if job is None else job.run_config or {}
    fields = [name for name in dict.fromkeys([*before, *given]) if _differs(before, given, name)]
    if not fields:
        return f"{found.reason}: it was taken out of the run before"
    more = f" and {len(fields) - _MOST_FIELDS} more" if len(fields) > _MOST_FIELDS else ""
    names = ", ".join(ascii(name) for name in fields[:_MOST_FIELDS])
    return f"{found.reason}: {names}{more} {'differs' if len(fields) == 1 else 'differ'}"


def _differs(before: Mapping[str, Any], given: Mapping[str, Any], name: str) -> bool:
    if (name in before) != (name in given):
        return True
    return canonical_hash({"": before[name]}) != canonical_hash({"": given[name]})


def _tell_code(
    run_id: str, known: Mapping[str, Any], identity: Mapping[str, Any], tell: Callable[[str], bool], *, strict: bool
) -> None:
    """Warn that the code of a run has changed, if it has.

    Most programs configure no logging, and so would never see what is only logged.

    Args:
        run_id: the run.
        known: what it was last made of.
        identity: what it is made of now.
        tell: shows a text to whoever watches, and returns whether anybody does.
        strict: refuse it instead.

    Raises:
        RunChangedError: it has, and is refused.
    """
    if "function" not in known or not is_code_changed(known, identity):
        return
    lines = describe_changes(known, identity, ("code",)) or ["the code of the function"]
    if strict:
        raise RunChangedError(run_id, "code", lines)
    text = f"run {run_id!r} goes on with changed code: {'; '.join(lines)}"
    logger.warning("%s", text, extra={"is_warned": tell(f"warning: {text}")})
