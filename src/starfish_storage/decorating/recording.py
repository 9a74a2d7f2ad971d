"""The run of a recorded function in its store: what is stored for an input, and who calls the function for it.

All of this runs in the portal's event loop, whichever thread or loop calls the function.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from starfish_storage.codec import canonical_hash
from starfish_storage.decorating.opened import OpenStore
from starfish_storage.errors import InvalidInputError, NotFoundError, StorageError
from starfish_storage.generation.beginning import About
from starfish_storage.generation.code_identity import code_identity
from starfish_storage.generation.lease import release_dead
from starfish_storage.generation.lifecycle import settle
from starfish_storage.generation.options import Options
from starfish_storage.generation.outside import OutsideRun
from starfish_storage.generation.segments import segment_identity
from starfish_storage.generation.spooled import take_in
from starfish_storage.generation.starting import create, state_of
from starfish_storage.interface import Storage
from starfish_storage.runs import Attempt, ClaimedInput, InputOfContent, RunInput
from starfish_storage.telemetry import look
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.times import utc_now

logger = get_logger(__name__)

OPEN = ("pending", "running")
_IDLE_SECONDS = 2.0
"""After so long without a call, the run is settled, until the next call."""
_SHORTEST_LOOK, _LONGEST_LOOK = 0.05, 1.0
"""Seconds between two looks at an input that another process works on."""
_BATCH = 1000
_LATEST = datetime.max.replace(tzinfo=UTC)

within: ContextVar[tuple[tuple[Recording, str], ...]] = ContextVar("starfish_storage_within", default=())
"""The calls of recorded functions that this code runs in, and their inputs."""


@dataclass(frozen=True, slots=True)
class Function:
    """What is recorded.

    Attributes:
        call: the user's function.
        name: the name by which another program finds it.
        title: the name of its run, for people.
        project: the name of the project of its run.
        config: stored with the run, and part of its identity.
        version: what the identity has in place of the code; None: the code.
        options: how the answers of models are reused, and the like.
    """

    call: Callable[..., Any]
    name: str
    title: str
    project: str
    config: Mapping[str, Any]
    version: str | None
    options: Options

    def run_id(self) -> str:
        """Return the id of its run: of this name, code and configuration. Reads files, so call it in a thread."""
        # Two closures of one code return different results.
        code = code_identity(self.call, with_closures=True) if self.version is None else f"version {self.version}"
        name = self.name.rpartition("/")[2]  # the program may lie elsewhere on another machine
        digest = canonical_hash({"name": name, "code": code, "config": dict(self.config)}, "config")
        stem = re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")[:40] or "function"
        return f"{stem}-{hashlib.sha256(digest.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored for an input: the data of its records, in order."""

    outputs: list[dict[str, Any]]


@dataclass(slots=True, eq=False)
class CallTurn:
    """It is the caller's turn to call the function for an input; others wait until it has ended.

    Attributes:
        digest: the identity of the input.
        claimed: the input; its number of attempts counts this one.
        run: the run.
    """

    digest: str
    claimed: ClaimedInput
    run: OutsideRun


@dataclass(slots=True, eq=False)
class Asker:
    """One caller that asks for its turn. Only the portal's event loop changes it.

    Attributes:
        turn: its turn, once it has it.
        is_abandoned: it waits no longer.
    """

    turn: CallTurn | None = None
    is_abandoned: bool = False


@dataclass(slots=True, eq=False)
class _CallUnderWay:
    """A call under way: the others that want the same wait for it."""

    ended: asyncio.Event = field(default_factory=asyncio.Event)
    error: BaseException | None = None  # what the function raised, which they raise too


class Recording:
    """The run of a recorded function.

    Args:
        store: the store that it lies in.
        function: the function.
    """

    def __init__(self, store: OpenStore, function: Function) -> None:
        self._store = store
        self._function = function
        self._id: str | None = None
        self._calls: dict[str, _CallUnderWay] = {}
        self._new: dict[str, dict[str, Any]] = {}  # inputs that are about to be stored, by their digests
        self._appending = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._busy = 0
        self._run: OutsideRun | None = None
        self._segment: int | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    # --- calls ----------------------------------------------------------------------------------------------------

    async def begin(self, given: dict[str, Any], asked: Asker) -> Stored | CallTurn:
        """Return what is stored for an input, or that it is the caller's turn to call the function.

        Args:
            given: the input.
            asked: who asks; a caller that does not get the answer, because it is cancelled, says `abandon`.

        Raises:
            Exception: what the function raised in a call that was under way.
            StorageError: the store failed, or refuses the input.
        """
        digest = canonical_hash(given, "the arguments")
        if (self, digest) in within.get():
            raise InvalidInputError(
                f"function {self._function.title!r} calls itself with the arguments that it was called with: that call "
                "would wait for its own end."
            )
        while (call := self._calls.get(digest)) is not None:
            await call.ended.wait()
            if call.error is not None:
                raise call.error
        self._calls[digest] = _CallUnderWay()
        self._busy += 1
        try:
            found = await self._found(given, digest)
        except BaseException:
            self.end(digest)
            raise
        if isinstance(found, Stored):
            self.end(digest)
            return found
        asked.turn = found
        if asked.is_abandoned:
            await self.give_back(found)
        return found

    async def abandon(self, asked: Asker) -> None:
        """Give back the turn of a caller that does not want it any more, now or when it gets it."""
        asked.is_abandoned = True
        if asked.turn is not None:
            await self.give_back(asked.turn)

    def end(self, digest: str, error: BaseException | None = None) -> None:
        """End a turn.

        Args:
            digest: the input.
            error: what the function raised; None also if the call was stopped: then another one has its turn.
        """
        call = self._calls.pop(digest)
        call.error = error
        call.ended.set()
        self._rest()

    async def give_back(self, turn: CallTurn) -> None:
        """End a turn in which nothing was called."""
        job_id, now = turn.claimed.job_id, utc_now()
        attempt = Attempt(job_id, turn.run.id, 0, turn.run.worker_id, "cancelled", now, now)
        try:
            await turn.run.release(attempt, [])
        finally:
            self.end(turn.digest)

    def _rest(self) -> None:
        self._busy -= 1
        if not self._busy and self._run is not None:
            self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._close_soon)

    async def _found(self, given: dict[str, Any], digest: str) -> Stored | CallTurn:
        storage, run_id = await self.opened()
        known = await _input_of(storage, run_id, digest)
        if known is not None and (stored := await _stored(storage, known.job_id, known.status)) is not None:
            return stored
        storage.ledger.check_input(RunInput(0, given))
        run = await self._working()
        job_id = await self._append(storage, run_id, given, digest) if known is None else known.job_id
        pause = _SHORTEST_LOOK
        while True:
            job = await storage.get_execution_job(job_id)
            if job is None:
                raise NotFoundError("run", run_id, "it was deleted meanwhile")
            if (stored := await _stored(storage, job_id, job.status)) is not None:
                return stored
            if job.status not in OPEN:
                await storage.ledger.reset_inputs(run_id, [job.status], job_ids=[job_id])
            if (claimed := await _claimed(run, job_id)) is not None:
                return CallTurn(digest, replace(claimed, attempts=claimed.attempts + 1), run)
            await asyncio.sleep(pause)  # another process works on it, and tells nobody when it ends
            pause = min(2 * pause, _LONGEST_LOOK)
            await release_dead(storage.ledger, run_id)

    # --- inputs ---------------------------------------------------------------------------------------------------

    async def register(self, inputs: Iterable[dict[str, Any]]) -> None:
        """Store inputs that the run does not have, and put back those that have failed."""
        self._busy += 1
        try:
            await self._register(inputs)
        finally:
            self._rest()

    async def _register(self, inputs: Iterable[dict[str, Any]]) -> None:
        storage, run_id = await self.opened()
        await self._working()
        wanted = {canonical_hash(one, "an input"): one for one in inputs}
        known: dict[str, tuple[str, str]] = {}
        state = await storage.ledger.get_run(run_id)
        last = None
        while page := await storage.ledger.list_inputs(run_id, after=last, limit=_BATCH):
            known.update((one.digest, (one.job_id, one.status)) for one in page)
            last = page[-1]
        for digest, one in wanted.items():
            if digest not in known:
                storage.ledger.check_input(RunInput(0, one))
                self._new[digest] = one
        await self._store_new(storage, run_id, None if state is None else state.registered)
        again = [known[digest][0] for digest in wanted if digest in known and known[digest][1] == "failed"]
        if again:
            await storage.ledger.reset_inputs(run_id, ["failed"], job_ids=again)
        await storage.ledger.complete_inputs(run_id)

    async def _append(self, storage: Storage, run_id: str, given: dict[str, Any], digest: str) -> str:
        """Store an input, with those that others want to store now, and return its id."""
        self._new[digest] = given
        await self._store_new(storage, run_id)
        known = await _input_of(storage, run_id, digest)
        if known is None:
            raise NotFoundError("run", run_id, "it was deleted meanwhile")
        return known.job_id

    async def _store_new(self, storage: Storage, run_id: str, seen: int | None = None) -> None:
        """Store what is in `_new`; the caller knows that none of it is among the first ``seen`` inputs."""
        async with self._appending:
            while self._new:
                state = await storage.ledger.get_run(run_id)
                if state is None:
                    self._new.clear()
                    raise NotFoundError("run", run_id, "it was deleted meanwhile")
                # Looked for after the number was read: what another process stores from now on changes that.
                batch = dict(list(self._new.items())[:_BATCH])
                is_known = state.registered == seen
                new = [
                    one for digest, one in batch.items() if is_known or await _input_of(storage, run_id, digest) is None
                ]
                rows = [RunInput(state.registered + number, one) for number, one in enumerate(new)]
                if not rows or await storage.ledger.append_inputs(run_id, rows, state.registered):
                    self._new = {digest: one for digest, one in self._new.items() if digest not in batch}
                    seen = state.registered + len(rows) if is_known else None

    # --- the run --------------------------------------------------------------------------------------------------

    async def opened(self) -> tuple[Storage, str]:
        """Return the store, set up, and the id of the run, which may not exist yet."""
        if self._id is None:
            self._id = await asyncio.to_thread(self._function.run_id)
        return await self._store.opened(), self._id

    async def _working(self) -> OutsideRun:
        """Return the run, of which this process is a worker from now on."""
        async with self._opening:
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None
            if self._run is None:
                self._run = await self._begun()
            return self._run

    async def _begun(self) -> OutsideRun:
        (storage, run_id), function = await self.opened(), self._function
        look()
        await take_in(storage, run_id)
        job = await storage.get_master_job(run_id)
        if job is None:
            about = About(function.project, function.title, None, function.config, None)
            config = about.to_json(function.name, [], function.options)
            state = await create(storage, run_id, function.project, function.title, config, {}, 0)
        else:
            state = await state_of(storage, job)
        if not state.inputs_complete:  # as it looks to `resume`, which then takes the inputs that a kill has left
            await storage.ledger.complete_inputs(run_id)
        await release_dead(storage.ledger, run_id)
        if state.stop_reason is not None:
            await storage.ledger.request_stop(run_id, None)
        await storage.update_master_job_status(run_id, "running", utc_now())
        if self._segment is None:
            how: dict[str, Any] = {**function.options.to_json(), "output_schema": {}}
            made_of = await asyncio.to_thread(segment_identity, function.call, function.config, how)
            self._segment = (await storage.ledger.add_segment(run_id, made_of)).number
        job = await storage.get_master_job(run_id)
        if job is None:
            raise NotFoundError("run", run_id, "it was deleted meanwhile")
        run = OutsideRun(storage, state, job, lambda: code_identity(function.call), function.options, self._segment)
        await run.open()
        return run

    def _close_soon(self) -> None:
        self._idle = None
        self._closing = asyncio.ensure_future(self._close_quietly())

    async def _close_quietly(self) -> None:
        try:
            await self.close(only_idle=True)
        except StorageError as error:
            logger.warning("could not save the status of run %s: %s", self._id, error.code)

    async def close(self, *, only_idle: bool = False) -> None:
        """Forget the worker, and store how the run stands, until the next call. Idempotent."""
        async with self._opening:
            run = self._run
            if run is None or (only_idle and self._busy):
                return
            self._run = None
            await run.written()
            await run.close()
            await run.ledger.complete_inputs(run.id)
            await settle(run.storage, run.id, None)


async def _input_of(storage: Storage, run_id: str, digest: str) -> InputOfContent | None:
    """Return the input of a digest, if the run has it."""
    before = InputOfContent("", None, "pending", digest, _LATEST)
    found = await storage.ledger.list_inputs_by_content(run_id, after=before, limit=1)
    return found[0] if found and found[0].digest == digest else None


async def _stored(storage: Storage, job_id: str, status: str) -> Stored | None:
    """Return what came of an input; None if that is nothing to return."""
    if status in ("failed", "cancelled", *OPEN):
        return None
    records = (await storage.ledger.list_outputs([job_id])).get(job_id, [])
    kept = [one.output_ref for one in records if one.status not in ("failed", "cancelled")]
    return Stored(await storage.get_records_data([reference for reference in kept if reference is not None]))


async def _claimed(run: OutsideRun, job_id: str) -> ClaimedInput | None:
    try:
        return await run.ledger.claim_input(run.id, job_id, run.worker_id, utc_now())
    except NotFoundError:
        await run.renew()  # this process was stopped for so long that others took its worker for dead
        return None
