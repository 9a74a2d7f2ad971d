"""Limits of calls, over the database of the metadata."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar, cast

from starfish_storage.codec import ascii_text, decode
from starfish_storage.errors import InvalidInputError, ParentNotFoundError
from starfish_storage.identifiers import check_id
from starfish_storage.interface.limit_rows import CallLimitRow
from starfish_storage.interface.limits import LimitLedger
from starfish_storage.metadata import ledger_rows, values
from starfish_storage.metadata.action_rows import note_action
from starfish_storage.metadata.ledger_access import LedgerAccess
from starfish_storage.metadata.ledger_writer import NEW_RUN, lock_run
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.runs.limits import CallLimit, Grant, Share, SlotAsk

Result = TypeVar("Result")


class SQLLimitLedger(LedgerAccess, LimitLedger):
    """See `LimitLedger`, whatever the engine. Nothing of it is in the row log: it passes, and runs set it anew."""

    async def set_limit(
        self, name: str, *, rpm: float | None = None, tpm: float | None = None, master_job_id: str | None = None
    ) -> CallLimit:
        """See `LimitLedger.set_limit`."""
        values.text("limit", name) if master_job_id is not None else check_id("limit", name)
        calls, tokens = _a_minute("rpm", rpm), _a_minute("tpm", tpm)
        if calls is None and tokens is None:
            raise InvalidInputError(f"limit {name!r} needs a number: give rpm, tpm or both.")
        run = None if master_job_id is None else check_id("master_job_id", master_job_id)

        def change(writer: RowWriter) -> CallLimit:
            if run is not None and not lock_run(writer, run):
                raise ParentNotFoundError("run", run, NEW_RUN)
            now = writer.now()
            there = writer.first_as(CallLimitRow, "lock_limit", (name,))
            if there is not None and (there.rpm, there.tpm) == (calls, tokens):
                return _limit(there)
            before = CallLimit(name, run, None, None, now, now, 1.0, now) if there is None else _limit(there)
            moment = values.timestamp("now", now)
            # From now on: what was granted by other rates may lie an hour ahead.
            row = _row(before)._replace(
                rpm=calls, tpm=tokens, next_call=moment, next_token=moment, part=1.0, shares=None
            )
            writer.execute("save_limit", row)
            if run is None:
                was = "" if there is None else f"; it was {_limit(there)}"
                note_action(writer, "limit", "limit", name, f"{_limit(row)}{was}")
            return _limit(row)

        return await self._write(change)

    async def get_limit(self, name: str) -> CallLimit | None:
        """See `LimitLedger.get_limit`."""
        row = await self._first("get_limit", (values.text("limit", name),))
        return None if row is None else self._read(_limit, row)

    async def list_limits(self) -> list[CallLimit]:
        """See `LimitLedger.list_limits`."""
        return [self._read(_limit, row) for row in await self._all("every_limit", ())]

    async def delete_limit(self, name: str) -> None:
        """See `LimitLedger.delete_limit`."""
        given = values.text("limit", name)

        def delete(writer: RowWriter) -> None:
            if writer.first("lock_limit", (given,)) is not None:
                writer.execute("delete_limit", (given,))
                note_action(writer, "delete", "limit", given)

        await self._write(delete)

    async def take_slots(self, name: str, master_job_id: str, ask: SlotAsk) -> Grant:
        """See `LimitLedger.take_slots`."""

        def take(limit: CallLimit | None, now: datetime, priority: int) -> tuple[CallLimit | None, Grant]:
            if limit is None:
                return None, Grant((0.0,) * ask.calls)
            return limit.granted(ask, now, master_job_id if limit.master_job_id is None else None, priority)

        return await self._change(name, master_job_id, take)

    async def slow_down(self, name: str, master_job_id: str, seconds: float, reason: str) -> datetime | None:
        """See `LimitLedger.slow_down`."""
        pause, why = ledger_rows.pause(seconds).total_seconds(), values.text("reason", reason)

        def slow(limit: CallLimit | None, now: datetime, _: int) -> tuple[CallLimit | None, datetime | None]:
            if limit is None:
                return None, None
            slower = limit.refused(pause, why, now)
            return slower, slower.paused_until

        return await self._change(name, master_job_id, slow)

    async def _change(
        self,
        name: str,
        master_job_id: str,
        change: Callable[[CallLimit | None, datetime, int], tuple[CallLimit | None, Result]],
    ) -> Result:
        """Change a limit by what it is now, and by the priority of a run, and return what comes of it."""
        given, run = values.text("limit", name), values.text("master_job_id", master_job_id)

        def apply(writer: RowWriter) -> Result:
            # Before the limit: a claim in the same group may lock the run too, and in another order, each group would
            # wait for the other.
            priority: int = writer.first_value("lock_priority", (run,)) or 1
            there = writer.first_as(CallLimitRow, "lock_limit", (given,))
            after, result = change(None if there is None else _limit(there), writer.now(), priority)
            if after is not None:
                writer.execute("save_limit", _row(after))
            return result

        return await self._write(apply)


def _a_minute(name: str, value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value < math.inf:
        raise InvalidInputError(f"{name} must be a number of 1 or more, not {value!r}.")
    return float(value)


def _row(limit: CallLimit) -> CallLimitRow:
    return CallLimitRow(
        limit.name,
        limit.master_job_id,
        limit.rpm,
        limit.tpm,
        values.timestamp("next_call", limit.next_call),
        values.timestamp("next_token", limit.next_token),
        limit.part,
        values.timestamp("part_when", limit.part_when),
        values.optional_timestamp("paused_until", limit.paused_until),
        limit.pause_reason,
        _shares_text(limit.shares),
    )


def _limit(row: Row) -> CallLimit:
    name, run, rpm, tpm, next_call, next_token, part, part_when, until, reason, shares = row
    moment = datetime.fromisoformat
    paused = None if until is None else moment(until)
    return CallLimit(
        name,
        run,
        rpm,
        tpm,
        moment(next_call),
        moment(next_token),
        part,
        moment(part_when),
        paused,
        reason,
        _read_shares(shares),
    )


def _shares_text(shares: Mapping[str, Share]) -> str | None:
    if not shares:
        return None
    return ascii_text(
        {run: [one.priority, one.used, values.timestamp("until", one.until)] for run, one in shares.items()}
    )


def _read_shares(text: str | None) -> dict[str, Share]:
    if text is None:
        return {}
    found = cast("dict[str, tuple[int, float, str]]", decode(text.encode()))
    return {run: Share(priority, used, datetime.fromisoformat(until)) for run, (priority, used, until) in found.items()}
