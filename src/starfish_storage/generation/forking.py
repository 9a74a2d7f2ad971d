"""Forks a run: makes a new one, which takes over what is done for the same input and configuration."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from starfish_storage.codec import ascii_text, canonical_hash, decode
from starfish_storage.copying.pages import PageSize
from starfish_storage.errors import AlreadyExistsError, DataNotFoundError, NotFoundError, StorageError
from starfish_storage.generation.inputs import Difference, Feed
from starfish_storage.generation.matching import StoredInputs, list_all
from starfish_storage.interface import Storage
from starfish_storage.interface.rows import AttemptRow, SegmentRow, StepRow, WholeExecutionJobRow, WholeRecordRow
from starfish_storage.models import GenerationMasterJob
from starfish_storage.runs import RunInput, RunState, StoredInput, input_job_id
from starfish_storage.runs.segment_history import TAKEN_FROM

_AT_ONCE = 200
_DONE = ("completed", "filtered", "duplicate")
_OF_A_FORK = re.compile(r"-fork-[0-9a-f]{12}$")
_LONGEST_NAME = 100


def fork_id(master_job_id: str, config: Mapping[str, Any], found: Difference | None) -> str:
    """Return the id of the run that a change forks off: the same change gives the same id, also after a kill.

    Args:
        master_job_id: the run.
        config: the configuration of the fork.
        found: where its inputs begin to differ; None if they do not, or if that does not matter.

    >>> a, b = fork_id("answers", {"model": "a"}, None), fork_id("answers", {"model": "b"}, None)
    >>> a.startswith("answers-fork-"), a == b, len(fork_id(a, {}, None)) == len(a)
    (True, False, True)
    """
    inputs = None if found is None else [found.position, None if found.given is None else found.given.digest()]
    key = canonical_hash({"run": master_job_id, "config": dict(config), "inputs": inputs}, "fork")
    return f"{_OF_A_FORK.sub('', master_job_id)[:_LONGEST_NAME]}-fork-{key[:12]}"


async def is_whole(storage: Storage, job: GenerationMasterJob) -> bool:
    """Return whether a fork has all that it takes over: then it is a run like any other."""
    try:
        await storage.get_request_config(job.request_config_ref)
    except DataNotFoundError:
        return False
    return True


@dataclass(slots=True)
class Fork:
    """Makes a fork. Killed on the way, it goes on when it is made again; before it is whole, nobody can resume it.

    Attributes:
        storage: holds both runs.
        original: the run that is forked.
        job: the master job of the fork.
        about: the request configuration of the fork.
        configs: the identity of the configuration of each segment of the original; None: of one without segments.
        taken: how many inputs were taken over.
    """

    storage: Storage
    original: str
    job: GenerationMasterJob
    about: dict[str, Any]
    configs: Mapping[int | None, str]
    taken: int = 0
    _copies: dict[str, str] = field(default_factory=dict[str, str], init=False)
    _segments: dict[int, bool] = field(default_factory=dict[int, bool], init=False)  # whether the fork has it

    async def make(self, feed: Feed) -> RunState:
        """Make the fork of all inputs of a feed, and of those that it has compared; return where it stands."""
        ledger, fork = self.storage.ledger, self.job.master_job_id
        try:
            await self.storage.log_master_job_start(self.job)
        except AlreadyExistsError:
            pass  # an earlier call was killed, or another process does the same
        await ledger.start_run(fork)
        stored = [one for one in await list_all(ledger, self.original) if one.status != "cancelled"]
        same = feed.compared
        first = [one for one in stored if one.position < same]
        for start in range(0, len(first), _AT_ONCE):
            await self._put_first(first[start : start + _AT_ONCE])
        behind = StoredInputs(one for one in stored if one.position >= same)
        async for batch in feed:
            for start in range(0, len(batch), _AT_ONCE):
                portion = batch[start : start + _AT_ONCE]
                await self._put([(one, behind.take(one.digest())) for one in portion])
        await self._put_records()
        await ledger.complete_inputs(fork)
        # Last: without it, nobody continues the fork, and pays again for what is not taken over yet.
        await self.storage.save_request_config(self.job.request_config_ref, self.about)
        state = await ledger.get_run(fork)
        if state is None:
            raise NotFoundError("run", fork, "it was deleted meanwhile")
        return state

    async def _put_first(self, stored: list[StoredInput]) -> None:
        """Take over inputs that stand at the same place."""
        rows = await self.storage.transfer.rows.get_execution_jobs([one.job_id for one in stored])
        by_id = {row.job.job_id: row for row in rows}
        there = [one for one in stored if one.job_id in by_id]
        inputs = [(_input_of(by_id[one.job_id], one.position), one) for one in there]
        await self._put(inputs)

    async def _put(self, inputs: Sequence[tuple[RunInput, StoredInput | None]]) -> None:
        """Take over those inputs that are done, and store the others as pending."""
        rows = self.storage.transfer.rows
        done = {one.job_id: given for given, one in inputs if one is not None and one.status in _DONE}
        found = {row.job.job_id: row for row in await rows.get_execution_jobs(list(done))} if done else {}
        attempts = await rows.get_attempts(list(found)) if found else []
        last: dict[str, AttemptRow] = {}
        for row in sorted(attempts, key=lambda row: row.number):
            last[row.job_id] = row
        wanted = canonical_hash(self.about["config"], "config")
        taken = {
            job_id: row
            for job_id, row in found.items()
            if row.job.status in _DONE and self._config_of(last.get(job_id)) == wanted
        }
        left = [given for given, one in inputs if one is None or one.job_id not in taken]
        if left:
            await self.storage.ledger.register_inputs(self.job.master_job_id, left)
        if taken:
            await self._take_over({job_id: (done[job_id], row) for job_id, row in taken.items()}, attempts)

    def _config_of(self, attempt: AttemptRow | None) -> str | None:
        segment = None if attempt is None else attempt.segment
        return self.configs.get(segment, self.configs.get(None))

    async def _take_over(
        self, taken: Mapping[str, tuple[RunInput, WholeExecutionJobRow]], attempts: list[AttemptRow]
    ) -> None:
        """Put inputs that are done, with their attempts and steps: paid by the original, so they cost nothing here."""
        rows, fork = self.storage.transfer.rows, self.job.master_job_id
        copies = {job_id: input_job_id(fork, given.position, given.digest()) for job_id, (given, _) in taken.items()}
        jobs = [
            row._replace(
                job=row.job._replace(job_id=copies[job_id], master_job_id=fork, worker_id=None), position=given.position
            )
            for job_id, (given, row) in taken.items()
        ]
        await rows.put_execution_jobs(jobs)
        await self.storage.ledger.register_inputs(fork, [given for given, _ in taken.values()])  # notes how many
        theirs = [row for row in attempts if row.job_id in copies]
        await self._put_segments({row.segment for row in theirs if row.segment is not None})
        known = [number for number, is_there in self._segments.items() if is_there]
        await rows.put_attempts([_free(row, copies[row.job_id], fork, known) for row in theirs])
        steps = await rows.get_steps(list(copies))
        if steps:
            await rows.put_steps([self._reused(row, copies[row.job_id]) for row in steps])
        self._copies |= copies
        self.taken += len(copies)

    async def _put_segments(self, numbers: set[int]) -> None:
        """Put the segments that attempts name, with their numbers, as what another run was made of."""
        rows, fork = self.storage.transfer.rows, self.job.master_job_id
        wanted = numbers - self._segments.keys()
        if not wanted:
            return
        copies = [_copied_segment(row, fork) for row in await rows.list_segments(self.original) if row.number in wanted]
        there = {row.number: row for row in await rows.list_segments(fork)}
        await rows.put_segments([row for row in copies if row.number not in there])
        # Of two processes that make one fork, the other may be done, and have stored a segment of the fork itself.
        self._segments |= dict.fromkeys(wanted, False)
        self._segments |= {row.number: there.get(row.number, row) == row for row in copies}

    def _reused(self, row: StepRow, job_id: str) -> StepRow:
        cost = sum(float(one[3] or 0) for one in cast("list[Any]", decode(f"{row.usage or '[]'}\n".encode())))
        source = row.reused_from or ascii_text([self.original, row.job_id, row.call, row.reply, cost])
        return row._replace(job_id=job_id, usage=None, reused_from=source)

    async def _put_records(self) -> None:
        """Put the records of the inputs that were taken over, with their data."""
        transfer, size = self.storage.transfer, PageSize()
        after: WholeRecordRow | None = None
        while page := await transfer.rows.list_records(self.original, after=after, limit=size.rows):
            after = page[-1]
            wanted = [row for row in page if row.record.job_id in self._copies and row.record.status != "cancelled"]
            read = await transfer.read_records(wanted)
            for one in read:
                if isinstance(one, StorageError):
                    raise one
            payloads = [one for one in read if not isinstance(one, StorageError)]
            size.note(sum(len(one or b"") for one in payloads), len(payloads))
            if wanted:
                await transfer.put_records([self._copied(row) for row in wanted], payloads)

    def _copied(self, row: WholeRecordRow) -> WholeRecordRow:
        job_id, uid = row.record.job_id, row.record.record_uid
        of_job = (
            uid.removeprefix(f"{job_id}-")
            if uid.startswith(f"{job_id}-")
            else hashlib.sha256(uid.encode()).hexdigest()[:12]
        )
        copy = self._copies[job_id]
        record = row.record._replace(record_uid=f"{copy}-{of_job}", job_id=copy, master_job_id=self.job.master_job_id)
        return row._replace(record=record, place=None, version_number=None)


def _input_of(row: WholeExecutionJobRow, position: int) -> RunInput:
    # Whatever it holds was allowed to be stored.
    return RunInput(position, decode(f"{row.job.run_config}\n".encode()), allows_secrets=True)


def _copied_segment(row: SegmentRow, fork: str) -> SegmentRow:
    """Return the segment of another run as one of a fork: without what that run did about its own inputs."""
    identity: dict[str, Any] = decode(f"{row.identity}\n".encode())
    identity.pop("change", None)
    identity.setdefault(TAKEN_FROM, row.master_job_id)  # of a fork of a fork, it says so already
    return row._replace(master_job_id=fork, identity=ascii_text(identity))


def _free(row: AttemptRow, job_id: str, master_job_id: str, segments: Collection[int]) -> AttemptRow:
    return row._replace(
        job_id=job_id,
        master_job_id=master_job_id,
        worker_id=None,
        input_tokens=0,
        output_tokens=0,
        cost=0.0,
        usage=None,
        segment=row.segment if row.segment in segments else None,
        calls=None,
    )
