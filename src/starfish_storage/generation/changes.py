"""What has changed since a run was last called, and what is to be done about it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

from starfish_storage.codec import canonical_hash, decode, encode
from starfish_storage.errors import InvalidInputError, RunChangedError
from starfish_storage.generation.inputs import Difference
from starfish_storage.interface import Storage
from starfish_storage.redaction import redact_secrets
from starfish_storage.runs.segment_changes import describe_changes, is_code_changed

logger = logging.getLogger(__name__)

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


async def last_identity(storage: Storage, master_job_id: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run was last made of: its last segment, or of a run without, what it was started with.

    Args:
        storage: holds the run.
        master_job_id: the run.
        config: its request configuration.
    """
    segments = await storage.ledger.list_segments(master_job_id)
    return segments[-1].identity if segments else {"config": config.get("config") or {}}


def as_stored(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as it reads when it was stored: JSON without secrets."""
    return redact_secrets(decode(encode(dict(config), "config")))[0]


def changes_of_config(known: Mapping[str, Any], given: Mapping[str, Any] | None) -> list[str]:
    """Return how a configuration differs from that of a run; None says nothing about it.

    >>> changes_of_config({"config": {"model": "small"}}, {"model": "large"})
    ['config.model: "small" -> "large"']
    """
    return [] if given is None else describe_changes(known, {"config": as_stored(given)}, ("config",))


async def describe_difference(storage: Storage, run_id: str, found: Difference) -> str:
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


def tell_code(run_id: str, known: Mapping[str, Any], identity: Mapping[str, Any], *, strict: bool) -> None:
    """Warn that the code of a run has changed, if it has.

    Args:
        run_id: the run.
        known: what it was last made of.
        identity: what it is made of now.
        strict: refuse it instead.

    Raises:
        RunChangedError: it has, and is refused.
    """
    if "function" not in known or not is_code_changed(known, identity):
        return
    lines = describe_changes(known, identity, ("code",)) or ["the code of the function"]
    if strict:
        raise RunChangedError(run_id, "code", lines)
    logger.warning("run %r goes on with changed code: %s", run_id, "; ".join(lines))
