"""The segments of a run one after the other: what changed, and those that are alike as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from starfish_storage.runs.segment_changes import describe_changes
from starfish_storage.runs.segments import Segment
from starfish_storage.wording import number_of

TAKEN_FROM = "taken_from"
"""Key of the identity of a segment that a fork has taken over with attempts: the run that it is of."""


@dataclass(slots=True)
class Stretch:
    """Segments of a run that follow each other and are made of the same things.

    Attributes:
        first: the number of the first of them.
        last: the number of the last.
        start_time: when the first was stored (UTC).
        identity: what the last is made of.
        starts: how many they are: of segments that a fork took over, some may be left out.
        hosts: where they ran.
        changes: what changed before the first, in lines; of the first segment of a run, nothing.
    """

    first: int
    last: int
    start_time: datetime
    identity: Mapping[str, Any]
    starts: int = 0
    hosts: list[str] = field(default_factory=list[str])
    changes: list[str] = field(default_factory=list[str])

    @property
    def numbers(self) -> str:
        """Their numbers, such as ``"2-31"``."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    @property
    def where(self) -> str:
        """The host, or how often somebody went on with the run, and on how many hosts."""
        if self.starts == 1:
            return self.hosts[0] if self.hosts else ""
        where = self.hosts[0] if len(self.hosts) == 1 else f"{len(self.hosts)} hosts"
        return f"{number_of(self.starts, 'start')} on {where}"


def stretches(segments: Iterable[Segment]) -> list[Stretch]:
    """Return the segments of a run, by number, as stretches."""
    found: list[Stretch] = []
    for segment in segments:
        lines = changes_of(found[-1].identity if found else None, segment.identity)
        host = segment.identity.get("host")
        if not found or lines or found[-1].identity.get(TAKEN_FROM) != segment.identity.get(TAKEN_FROM):
            found.append(Stretch(segment.number, segment.number, segment.start_time, segment.identity, changes=lines))
        found[-1].last, found[-1].identity = segment.number, segment.identity
        found[-1].starts += 1
        if isinstance(host, str) and host not in found[-1].hosts:
            found[-1].hosts.append(host)
    return found


def changes_of(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[str]:
    """Return what changed from one segment to the next, inputs included; of the first (None before it), nothing."""
    lines = [] if old is None else describe_changes(old, new)
    change = new.get("change")
    if not isinstance(change, dict):
        return lines
    made = cast("dict[str, Any]", change)
    inputs = made.get("inputs")
    if isinstance(inputs, dict):
        counts = cast("dict[str, Any]", inputs).items()
        told = ", ".join(f"{count:,} {name}" for name, count in counts if isinstance(count, int) and count)
        lines = [*lines, f"inputs: {told or 'changed'}"]
    if isinstance(made.get("forked_from"), str):
        taken = made.get("taken_over")
        more = f", with {number_of(taken, 'finished input')}" if isinstance(taken, int) else ""
        lines = [*lines, f"forked from run {made['forked_from']}{more}"]
    return lines


def made_of(identity: Mapping[str, Any]) -> str:
    """Return in a few words what a segment is made of: its function, and the commit or the digest of its code.

    >>> made_of({"function": {"name": "answers:answer"}, "git": {"commit": "1a2b3c4d5e6f", "clean": False}})
    'answers.answer, commit 1a2b3c4d5e and changes'
    """
    function, git = identity.get("function"), identity.get("git")
    parts: list[str] = []
    if isinstance(function, dict):
        parts.append(str(cast("dict[str, Any]", function).get("name")).replace(":", "."))
    if isinstance(git, dict):
        tree = cast("dict[str, Any]", git)
        parts.append(f"commit {str(tree.get('commit'))[:10]}{' and changes' if tree.get('clean') is False else ''}")
    if TAKEN_FROM in identity:
        parts.append(f"in run {identity[TAKEN_FROM]}")
    return ", ".join(parts)


def newest(found: Sequence[Stretch], most: int) -> tuple[Sequence[Stretch], int]:
    """Return the newest stretches, and how many segments came before them."""
    shown = found[-most:]
    return shown, sum(one.starts for one in found[: len(found) - len(shown)])
