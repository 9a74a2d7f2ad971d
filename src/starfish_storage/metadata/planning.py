"""Planning how an outcome is stored: what it writes, what stays, and what becomes a version.

Files are written before the transaction that decides about them, so what there is of the input is looked at first. The
transaction looks again (`Earlier.check`); where something has changed, it is planned anew. A worker holds the input
meanwhile, so that this is rare.
"""

from __future__ import annotations

from starfish_storage.codec import content_digest, encode
from starfish_storage.errors import DataLostError, StoreDamagedError
from starfish_storage.interface import DataHandler, DataWrite
from starfish_storage.interface.rows import AttemptRow, RecordRow, WholeRecordRow
from starfish_storage.interface.version_rows import RecordVersionRow
from starfish_storage.keys import new_version, owner_uid, record_key, version_key
from starfish_storage.metadata import values
from starfish_storage.metadata.database import Database
from starfish_storage.metadata.earlier import Earlier, version_of
from starfish_storage.metadata.finishing import Finishing
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.stored_data import read_stored
from starfish_storage.metadata.unique_keys import names_of_keys
from starfish_storage.runs import Budget, Outcome, output_record_uid, status_of_input
from starfish_storage.statuses import RECORD_STATUSES, StatusExecutionJob, StatusRecord


class Planning:
    """Plans how one outcome is stored.

    Args:
        database: knows what there is.
        data: where record data lies.
        outcome: the outcome of the input.
        attempt: the row of its attempt, but for the number.
        now: the time.
        claim_next: claim the next input as well.
        budget: what the run may cost, for that claim.
    """

    def __init__(
        self,
        database: Database,
        data: DataHandler,
        outcome: Outcome,
        attempt: AttemptRow,
        now: str,
        claim_next: bool = False,
        budget: Budget | None = None,
    ) -> None:
        self.outcome = outcome
        self.now = now
        self._database = database
        self._data = data
        self._attempt = attempt
        self._claim_next = claim_next
        self._budget = budget
        self._records: list[RecordRow] = []
        self._payloads: list[bytes | None] = []
        self._encode()
        keys = [one.unique_key for one in outcome.outputs]
        self._unique_keys = keys if any(key is not None for key in keys) else ()
        statuses: list[StatusRecord] = [row.status for row in self._records]
        self._came_to: StatusExecutionJob = (
            "failed" if outcome.attempt.status == "failed" else status_of_input(statuses)
        )
        self._looks = outcome.claimed.attempts > 0  # nearly every outcome is the first of its input

    def note_changed(self, came_to: StatusExecutionJob | None) -> None:
        """Note that the transaction found something else than was planned with."""
        self._looks = True
        self._came_to = came_to or self._came_to

    async def planned(self) -> tuple[WriteOperation, Finishing]:
        """Return the operation that stores the outcome, and its changes."""
        earlier = await self._earlier()
        finishing = Finishing(
            outcome=self.outcome,
            attempt=self._attempt,
            records=self._records,
            unique_keys=self._unique_keys,
            now=self.now,
            claim_next=self._claim_next,
            earlier=earlier,
            budget=self._budget,
        )
        drops: list[DataWrite] = []
        if earlier is not None and earlier.stands_against(self._came_to):
            finishing.stands = True
            finishing.versions, writes = self.kept_outputs()
        else:
            writes = self._own_writes()
            if earlier is not None:
                finishing.versions, copies, drops = await self._replaced(earlier)
                writes += copies
        operation = WriteOperation(
            finishing.apply,
            records=self._records if finishing.is_by_group else (),
            data=writes,
            drops=drops,
            decides=names_of_keys(self.outcome.claimed.master_job_id, self._unique_keys) if self._unique_keys else (),
            batch=("finish_inputs", finishing),
        )
        return operation, finishing

    def kept_outputs(self) -> tuple[list[RecordVersionRow], list[DataWrite]]:
        """Return the outputs that have data as versions, without their number, and the writes of their data."""
        versions: list[RecordVersionRow] = []
        writes: list[DataWrite] = []
        for row, payload, output in zip(self._records, self._payloads, self.outcome.outputs, strict=True):
            if payload is None or row.output_ref is None:
                continue
            key = row.output_ref
            place = version_key(key, new_version()) if self._database.overwrites_data else key
            versions.append(version_of(row, 0, output.unique_key, self.now, output_ref=place))
            writes.append(self._data.write(place, payload))
        return versions, writes

    async def _earlier(self) -> Earlier | None:
        if not self._looks:
            # After failed attempts under the same claim, there is nothing: this need not be asked.
            return None if self.outcome.attempt.number <= 1 else Earlier(None, ())
        job_id = self.outcome.claimed.job_id
        queries = self._database.queries
        standing = await self._database.first(queries["get_standing"], (job_id,))
        return Earlier.of(standing, await self._database.all_at_once(queries["list_rows_of_job"], (job_id,)))

    async def _replaced(self, earlier: Earlier) -> tuple[list[RecordVersionRow], list[DataWrite], list[DataWrite]]:
        """Return what becomes versions, the copies of its data, and the removals of data that gets no successor."""
        versions: list[RecordVersionRow] = []
        copies: list[DataWrite] = []
        written = {row.output_ref for row in self._records}
        replaced = earlier.replaced_by(self._records)
        for one in replaced:
            version, copy = await set_aside(self._database, self._data, one, self.now)
            versions.append(version)
            if copy is not None:
                copies.append(copy)
        drops = [
            self._data.remove(key)
            for row, *_ in replaced
            if (key := row.output_ref) is not None
            and key not in written
            and await self._is_its_own(row.record_uid, key)
        ]
        return versions, copies, drops

    async def _is_its_own(self, record_uid: str, key: str) -> bool:
        """Return whether data that would be written over is that of a record, and no other record refers to it."""
        if not self._database.overwrites_data or owner_uid(key) != record_uid:
            return False
        query = self._database.queries["get_records_of_data"]
        return len(await self._database.all_at_once(query, (record_uid, key, key))) == 1

    def _own_writes(self) -> list[DataWrite]:
        return [
            self._data.write(row.output_ref, payload)
            for row, payload in zip(self._records, self._payloads, strict=True)
            if row.output_ref is not None and payload is not None
        ]

    def _encode(self) -> None:
        """Make the rows of the outcome's records, and the payloads of their data."""
        job_id, master_job_id = self.outcome.claimed.job_id, self.outcome.claimed.master_job_id
        for number, output in enumerate(self.outcome.outputs):
            uid = output_record_uid(job_id, number)
            state: StatusRecord = values.status("record status", output.status, RECORD_STATUSES)
            key = digest = payload = None
            if output.data is not None:
                payload = encode(output.data, f"data of record {uid!r}")
                key, digest = record_key(uid), content_digest(payload)
            self._payloads.append(payload)
            self._records.append(
                RecordRow(
                    record_uid=uid,
                    job_id=job_id,
                    master_job_id=master_job_id,
                    status=state,
                    output_ref=key,
                    start_time=self._attempt.start_time,
                    end_time=self.now,
                    last_update_time=self.now,
                    error_message=values.optional_text("error_message", output.error_message),
                    data_sha256=digest,
                )
            )


async def set_aside(
    database: Database, data: DataHandler, one: WholeRecordRow, now: str
) -> tuple[RecordVersionRow, DataWrite | None]:
    """Return a record's current output as a version, and the copy of its data where that would be written over."""
    row = one.record
    version = version_of(row, one.number, one.unique_key, now, attempt=one.edited_attempt)
    if one.place is None or not database.overwrites_data:
        return version, None
    try:
        payload = await read_stored(database, data, one.place, row.data_sha256)
    except (DataLostError, StoreDamagedError) as error:
        # What is lost must not keep the input from getting a new output.
        lost = f"{row.error_message or row.status}; its data was lost before it was replaced ({error.code})"
        return version._replace(output_ref=None, data_sha256=None, error_message=lost), None
    place = version_key(record_key(row.record_uid), new_version())
    return version._replace(output_ref=place, data_sha256=content_digest(payload)), data.write(place, payload)
