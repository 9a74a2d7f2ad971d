"""Limits of calls and tokens that workers of one run, or of many, share: when the next calls may begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

from starfish_storage.errors import InvalidInputError, shorten

OWN_LIMIT = "run "
"""How the name of a limit begins that is a run's own."""

_MINUTE = 60.0
_MOST_PRIORITY = 1000  # the least is 1, which is the usual one
_AHEAD = 0.25  # seconds' worth of calls that a worker is granted at a time
_LESS = 0.85  # how much of what was used is used after a refusal
_LEAST = 0.02
_MORE = 0.01  # how much of the limit is used more after each second without a refusal
_SAME_REFUSAL = 1.0  # seconds in which refusals are one
_DRY = 0.25  # seconds' worth of calls that are granted: with less, whoever asks gets more
_SOONEST, _LATEST = 0.1, 1.0  # seconds after which a run asks again that has had its share
_STILL = 5.0  # seconds for which a run counts as using the limit after its last call began


@dataclass(frozen=True, slots=True)
class SlotAsk:
    """What a worker asks of a limit.

    Attributes:
        calls: for how many calls; it may be granted fewer.
        tokens: how many tokens each is expected to use.
        more_calls: requests that earlier calls have made beyond the one that each was granted.
        more_tokens: tokens that earlier calls have used beyond what was expected of them; negative: fewer.
    """

    calls: int
    tokens: float = 0.0
    more_calls: float = 0.0
    more_tokens: float = 0.0


@dataclass(frozen=True, slots=True)
class Grant:
    """What a worker is granted.

    Attributes:
        delays: seconds from now until each call may begin, in order; none: it is the turn of other runs.
        paused: seconds for which a provider has asked all calls to wait; 0 if none has.
        reason: why, for people.
        again: seconds after which to ask again, if no call may begin.
    """

    delays: tuple[float, ...]
    paused: float = 0.0
    reason: str | None = None
    again: float = 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """How far a run has used a limit that it shares with others.

    Attributes:
        priority: the weight of its share when it last asked.
        used: what it was granted, in seconds of the whole limit, over its priority. Of the runs that want more, the one
            of which this is lowest comes next.
        until: until when it counts as using the limit, unless it asks again.
    """

    priority: int
    used: float
    until: datetime


@dataclass(frozen=True, slots=True)
class CallLimit:
    """How many calls may begin a minute and how many tokens they may use, spread evenly, and how far that is used.

    Times are by the clock of the store.

    Attributes:
        name: the name that runs share it by.
        master_job_id: the run whose own it is; None: runs share it.
        rpm: calls a minute; None for no limit.
        tpm: tokens a minute; None for no limit.
        next_call: when the next call may begin.
        next_token: when the next token may be used.
        part: how much of the limit was used at ``part_when``: less than all after a provider has refused a call.
        part_when: when that was.
        paused_until: until then no call should begin; None if a provider has never asked for that.
        pause_reason: why.
        shares: of a limit that runs share, those that use it, by their ids.
    """

    name: str
    master_job_id: str | None
    rpm: float | None
    tpm: float | None
    next_call: datetime
    next_token: datetime
    part: float
    part_when: datetime
    paused_until: datetime | None = None
    pause_reason: str | None = None
    shares: Mapping[str, Share] = field(default_factory=dict[str, Share])

    def __str__(self) -> str:
        rates = ((self.rpm, "requests"), (self.tpm, "tokens"))
        return " and ".join(f"{rate:,.10g} {what}" for rate, what in rates if rate is not None) + " a minute"

    def part_at(self, now: datetime) -> float:
        """Return how much of the limit is used now: it grows while no call is refused."""
        return min(1.0, self.part + _MORE * max(0.0, (now - self.part_when).total_seconds()))

    def pause_left(self, now: datetime) -> float:
        """Return for how many seconds no call should begin."""
        return 0.0 if self.paused_until is None else max(0.0, (self.paused_until - now).total_seconds())

    def parts(self, now: datetime) -> dict[str, float]:
        """Return which part of the limit each run gets that uses it now, as far as it wants that much."""
        using = {run: share.priority for run, share in self.shares.items() if share.until > now}
        return {run: priority / sum(using.values()) for run, priority in using.items()}

    def granted(
        self, ask: SlotAsk, now: datetime, run: str | None = None, priority: int = 1
    ) -> tuple[CallLimit, Grant]:
        """Return the limit after a grant, and the grant: no more calls than begin within a moment.

        That is one at least, unless a run asks that has had its share while others want theirs, and the limit is used.

        Args:
            ask: what is asked for.
            now: the time.
            run: who asks, of a limit that runs share.
            priority: of the run.
        """
        part, paused = self.part_at(now), self.pause_left(now)
        a_call = 0.0 if self.rpm is None else _MINUTE / (self.rpm * part)
        a_token = 0.0 if self.tpm is None else _MINUTE / (self.tpm * part)
        each = max(a_call, ask.tokens * a_token)
        shared = None if run is None else Competing.of(self.shares, run, priority, now)
        most = _AHEAD if shared is None else _AHEAD * shared.part
        calls = max(1, min(ask.calls, int(most / each) if each else ask.calls))
        begin = now + timedelta(seconds=paused)
        first_call = max(begin, self.next_call + timedelta(seconds=ask.more_calls * a_call))
        first_token = max(begin, self.next_token + timedelta(seconds=ask.more_tokens * a_token))
        ready = ((first_call - now).total_seconds(), (first_token - now).total_seconds())
        again = 0.0
        if shared is not None and shared.has_had_its_share and (ahead := max(ready) - paused) > _DRY:
            calls, again = 0, min(max(ahead - _DRY, _SOONEST), _LATEST)
        delays = tuple(max(ready[0] + n * a_call, ready[1] + n * ask.tokens * a_token) for n in range(calls))
        used = replace(
            self,
            next_call=first_call + timedelta(seconds=calls * a_call),
            next_token=first_token + timedelta(seconds=calls * ask.tokens * a_token),
        )
        if shared is not None:
            more = ask.more_calls * a_call if each == a_call else ask.more_tokens * a_token
            last = again if not delays else delays[-1]
            used = replace(used, shares=shared.after(calls * each + more, last, now))
        return used, Grant(delays, paused, self.pause_reason if paused else None, again)

    def refused(self, seconds: float, reason: str, now: datetime) -> CallLimit:
        """Return the limit after a provider has refused a call: nothing begins for so long, and then fewer do.

        Refusals within a second are one: they are of calls that were under way together.
        """
        until, part, part_when = now + timedelta(seconds=seconds), self.part, self.part_when
        if part == 1.0 or (now - part_when).total_seconds() > _SAME_REFUSAL:
            part, part_when = max(_LEAST, self.part_at(now) * _LESS), now
        if self.paused_until is not None and self.paused_until >= until:
            return replace(self, part=part, part_when=part_when)
        return replace(self, part=part, part_when=part_when, paused_until=until, pause_reason=reason)


@dataclass(frozen=True, slots=True)
class Competing:
    """A run that asks a limit that others use too: start-time fair queueing, in which the limit's time is the service.

    Attributes:
        run: who asks.
        mine: its share so far.
        others: those of the runs that use the limit now.
    """

    run: str
    mine: Share
    others: Mapping[str, Share]

    @classmethod
    def of(cls, shares: Mapping[str, Share], run: str, priority: int, now: datetime) -> Competing:
        """Return it. One that has not used the limit for a while has saved up nothing: it begins where others are."""
        others = {one: share for one, share in shares.items() if one != run and share.until > now}
        least = min((share.used for share in others.values()), default=0.0)
        before = shares.get(run)
        if before is None or before.until <= now:
            before = Share(priority, max(least, 0.0 if before is None else before.used), now)
        return cls(run, replace(before, priority=priority), others)

    @property
    def part(self) -> float:
        """The part of the limit that the run gets while all want theirs."""
        return self.mine.priority / (self.mine.priority + sum(share.priority for share in self.others.values()))

    @property
    def has_had_its_share(self) -> bool:
        """Whether another run comes first."""
        return any(share.used < self.mine.used for share in self.others.values())

    def after(self, seconds: float, last: float, now: datetime) -> Mapping[str, Share]:
        """Return the shares when the run was granted so many seconds of the limit, the last of them so far from now."""
        until = max(self.mine.until, now + timedelta(seconds=last + _STILL))
        used = self.mine.used + seconds / self.mine.priority
        return {**self.others, self.run: Share(self.mine.priority, used, until)}


def check_priority(given: object) -> int:
    """Return a priority that can be used.

    Raises:
        InvalidInputError: it is not an integer from 1 to 1000.
    """
    if type(given) is int and 1 <= given <= _MOST_PRIORITY:
        return given
    raise InvalidInputError(f"priority must be an integer from 1 to {_MOST_PRIORITY}, not {shorten(given)}.")


def limit_name(master_job_id: str, config: Mapping[str, Any]) -> str:
    """Return the name of the limit that a run has or would have, from its request configuration.

    >>> limit_name("m1", {"options": {"limit": "openai"}}), limit_name("m1", {})
    ('openai', 'run m1')
    """
    options: object = config.get("options")
    shared = cast("dict[str, object]", options).get("limit") if isinstance(options, dict) else None
    return shared if isinstance(shared, str) else f"{OWN_LIMIT}{master_job_id}"
