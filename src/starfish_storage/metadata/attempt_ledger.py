"""Attempts and replies to paid steps, over the database of the metadata."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.identifiers import check_id
from starfish_storage.interface.attempts import AttemptLedger
from starfish_storage.metadata import ledger_rows, ledger_writer, step_rows, step_writer, values
from starfish_storage.metadata.ledger_access import LedgerAccess
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.step_writer import SavingStep
from starfish_storage.runs import Attempt, InputAccount, RecordOrigin, StatusStep, Step, StepTotal, Usage
from starfish_storage.times import utc_now


class SQLAttemptLedger(LedgerAccess, AttemptLedger):
    """See `AttemptLedger`, whatever the engine."""

    async def save_attempt(self, attempt: Attempt) -> int:
        """See `AttemptLedger.save_attempt`."""
        now = values.timestamp("now", utc_now())
        ledger_rows.attempt_row(attempt, 1)  # refused here, if at all
        return await self._write(lambda writer: ledger_writer.save_attempt(writer, attempt, now))

    async def add_usage(self, job_id: str, number: int, usage: Sequence[Usage]) -> None:
        """See `AttemptLedger.add_usage`."""
        where = (values.text("job_id", job_id), values.integer("number", number))
        used = [one.checked() for one in usage]
        await self._write(lambda writer: ledger_writer.add_usage(writer, *where, used))

    async def list_attempts(self, job_id: str) -> list[Attempt]:
        """See `AttemptLedger.list_attempts`."""
        found = await self._all("list_attempts", (values.text("job_id", job_id),))
        return [self._read(ledger_rows.attempt, row) for row in found]

    async def account_for_inputs(self, job_ids: Sequence[str]) -> dict[str, InputAccount]:
        """See `AttemptLedger.account_for_inputs`."""
        wanted = [values.text("job_id", job_id) for job_id in job_ids]
        found = await self._database.all_of("account_for_inputs", wanted)
        accounts = [self._read(ledger_rows.input_account, row) for row in found]
        return {account.job_id: account for account in accounts}

    async def find_segments(self, record_uids: Sequence[str]) -> dict[str, int]:
        """See `AttemptLedger.find_segments`."""
        wanted = [values.text("record_uid", uid) for uid in record_uids]
        return dict(await self._database.all_of("find_segments", wanted))

    async def find_origins(self, record_uids: Sequence[str]) -> dict[str, RecordOrigin]:
        """See `AttemptLedger.find_origins`."""
        wanted = [values.text("record_uid", uid) for uid in record_uids]
        found = await self._database.all_of("find_origins", wanted)
        return dict(self._read(ledger_rows.record_origin, row) for row in found)

    async def find_failures(self, record_uids: Sequence[str]) -> dict[str, str]:
        """See `AttemptLedger.find_failures`."""
        wanted = [values.text("record_uid", uid) for uid in record_uids]
        return {str(uid): str(kind) for uid, kind in await self._database.all_of("find_failures", wanted)}

    async def save_step(self, step: Step) -> int:
        """See `AttemptLedger.save_step`."""
        saving = SavingStep(step_rows.step_row(step))
        await self._database.write(WriteOperation(saving.apply, batch=("save_steps", saving)))
        return saving.reply

    async def list_replies(self, job_id: str, name: str, call: int = 1, request_key: str = "") -> list[Step]:
        """See `AttemptLedger.list_replies`."""
        of = (values.text("job_id", job_id), values.text("name", name), values.text("request_key", request_key))
        parameters = (*of, values.integer("call", call))
        return [self._read(step_rows.step, row) for row in await self._all("list_replies", parameters)]

    async def list_steps(self, job_id: str) -> list[Step]:
        """See `AttemptLedger.list_steps`."""
        found = await self._all("list_steps", (values.text("job_id", job_id),))
        steps = [self._read(step_rows.step, row) for row in found]
        return sorted(steps, key=lambda one: (one.attempt, one.saved_when))

    async def mark_step(
        self,
        job_id: str,
        name: str,
        call: int,
        reply: int,
        status: StatusStep,
        reason: str | None = None,
        rejected_by: str | None = None,
        request_key: str = "",
    ) -> None:
        """See `AttemptLedger.mark_step`."""
        row = step_rows.mark_row((job_id, name, request_key, call, reply), status, reason, rejected_by)
        await self._write(lambda writer: step_writer.mark_step(writer, row))

    async def forget_steps(self, master_job_id: str, names: Sequence[str], job_ids: Sequence[str] | None = None) -> int:
        """See `AttemptLedger.forget_steps`."""
        check_id("master_job_id", master_job_id)
        meant = [values.text("name", name) for name in names]
        wanted = None if job_ids is None else frozenset(job_ids)
        return await self._write(lambda writer: step_writer.forget_steps(writer, master_job_id, meant, wanted))

    async def count_steps(self, master_job_id: str) -> list[StepTotal]:
        """See `AttemptLedger.count_steps`."""
        found = await self._all("count_steps", (values.text("master_job_id", master_job_id),))
        return [StepTotal(*row) for row in found]

    async def count_conversions(self, master_job_id: str) -> dict[str, int]:
        """See `AttemptLedger.count_conversions`."""
        return dict(await self._all("count_conversions", (values.text("master_job_id", master_job_id),)))
