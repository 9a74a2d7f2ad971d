"""Fails a chosen call of a storage's whole life, and checks that nobody is told a lie and nothing else is harmed.

Usage, under the shim: ``python -m durability.io_errors DIRECTORY LAYOUT KIND DURABILITY POINTS``: so many calls of the
kind (0: every one; the kind ``SHORT`` is half a write before the failure), each with EIO and with ENOSPC, once and for
good. Of the layout ``packed``, only calls on packs fail: once with EIO (of ``OPEN``: EMFILE), and with ENOSPC for good.
Prints one JSON object: the number of ``cases``, in how many of them a call ``failed``, and what was ``wrong``.

The rules, for each call of the storage:

- It returns, and what it did is there then and after the next opening. Or it raises an error of the family, which says
  the path and the errno, and then nothing has changed.
- Reading goes on, and shows just that.
- With the fault gone, the same call succeeds; where the storage has refused to write more, after opening it again.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import itertools
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from durability import run_workload, workload
from durability.shim import Action, Kind, Shim, evenly, in_child
from starfish_storage import DataNotFoundError, LocalStorage, Record, StorageError
from starfish_storage.codec import canonical_hash
from starfish_storage.keys import PACKS_DIRECTORY, record_key
from starfish_storage.runs import Attempt, ClaimedInput, Output, RunInput, input_job_id
from starfish_storage.runs import Step as PaidStep

RUN = "run"
RUN_JOBS = [input_job_id(RUN, number, canonical_hash({"n": number})) for number in range(2)]
State = dict[str, Any]
NOW = datetime(2030, 1, 1, tzinfo=UTC)
RECORDS = ("r1", "r2", "r3", "r5", "r6", "side")
REOPENED = "after opening it again"
REFUSED = "nothing more is written"
FOLLOWING = ("parent_not_found", "not_found", "storage_closed")


@dataclass
class Fault:
    kind: Kind
    action: Action
    error: int
    for_good: bool
    at: int


@dataclass
class Step:
    """One call, and what it changes in the state that an observer sees."""

    name: str
    call: Callable[[LocalStorage], Awaitable[Any]]
    changes: State


def save(*uids: str, version: int, master: str = workload.MASTER, job: str = workload.JOB) -> Step:
    pairs = [(workload.record(uid, version, master, job), workload.payload(uid, version)) for uid in uids]
    changes = dict.fromkeys(uids, (version, version))
    name = f"save {' '.join(uids)} v{version}"
    if len(pairs) == 1:
        return Step(name, lambda storage: storage.save_record(*pairs[0]), changes)
    return Step(name, lambda storage: storage.save_records(pairs), changes)


def prepare(master: str, job: str) -> list[Step]:
    """The calls of `workload.prepare`, each by itself."""
    project, config, master_job, execution_job = workload.beginning(master, job)
    return [
        Step("save_project", lambda storage: storage.save_project(project), {"project": "faults"}),
        Step(
            "save_request_config",
            lambda storage: storage.save_request_config(storage.generate_request_config_path(master), config),
            {f"config {master}": config},
        ),
        Step(
            "log_master_job_start",
            lambda storage: storage.log_master_job_start(master_job(storage)),
            {master: "pending"},
        ),
        Step(
            "log_execution_job_start", lambda storage: storage.log_execution_job_start(execution_job), {job: "pending"}
        ),
    ]


def life() -> list[Step]:
    gone = {"side-master": None, "side-job": None, "side": None, "config side-master": None}
    row = Record(record_uid="r5", job_id=workload.JOB, master_job_id=workload.MASTER, status="failed")
    return [
        *prepare(workload.MASTER, workload.JOB),
        save("r1", version=1),
        save("r1", version=2),
        save("r1", "r2", "r3", version=3),
        Step(
            "save_record_data",
            lambda storage: storage.save_record_data("r4", workload.MASTER, workload.JOB, workload.payload("r4", 1)),
            {"data r4": workload.payload("r4", 1)},
        ),
        Step("log_record_metadata", lambda storage: storage.log_record_metadata(row), {"r5": (None, None)}),
        *prepare("side-master", "side-job")[1:],
        save("side", version=1, master="side-master", job="side-job"),
        Step("delete_master_job", lambda storage: storage.delete_master_job("side-master"), gone),
        Step(
            "log_execution_job_end",
            lambda storage: storage.log_execution_job_end(workload.JOB, "completed", {}, NOW, NOW),
            {workload.JOB: "completed"},
        ),
        Step(
            "log_master_job_end",
            lambda storage: storage.log_master_job_end(workload.MASTER, "completed", None, NOW, NOW),
            {workload.MASTER: "completed"},
        ),
        *run_steps(),
        Step("reopen", reopen, {}),
        save("r1", "r6", version=4),
    ]


def run_steps() -> list[Step]:
    """A run of two inputs on a master job of its own: an attempt, a step, and two outcomes."""

    async def claim(storage: LocalStorage) -> None:
        # Both, also when it is called again: what is held is not claimed twice. Reading first what is held would fail
        # where files cannot be opened any more, before the claim: but writing goes on, and the steps after it need it.
        await storage.ledger.claim_inputs(RUN, "worker", 2, NOW)

    async def attempt(storage: LocalStorage) -> None:
        await storage.ledger.save_attempt(Attempt(RUN_JOBS[0], RUN, 1, "worker", "failed", NOW, NOW))

    def finish(number: int, key: str | None) -> Callable[[LocalStorage], Awaitable[Any]]:
        claimed = ClaimedInput(RUN_JOBS[number], RUN, number, {"n": number}, 0)
        output = Output("completed", workload.payload(f"{RUN_JOBS[number]}-0", 1), "v1", key)
        return lambda storage: storage.ledger.finish_input(run_workload.an_outcome(claimed, "worker", [output]))

    inputs = [RunInput(number, {"n": number}) for number in range(2)]
    worker, idle = run_workload.a_worker("worker", RUN), run_workload.a_worker("idle", RUN)
    paid = PaidStep(RUN_JOBS[0], "call", {"result": 1}, 1, NOW)
    return [
        *prepare(RUN, "run-job")[1:],
        Step("start_run", lambda storage: storage.ledger.start_run(RUN), {"is a run": True}),
        Step(
            "register_inputs",
            lambda storage: storage.ledger.register_inputs(RUN, inputs),
            {f"input {n}": ("pending", False, None) for n in range(2)},
        ),
        Step("save_worker", lambda storage: storage.ledger.save_worker(idle), {"workers": ["idle"]}),
        Step("remove_worker", lambda storage: storage.ledger.remove_worker(idle, NOW), {"workers": None}),
        Step("save_worker", lambda storage: storage.ledger.save_worker(worker), {"workers": ["worker"]}),
        Step("claim_inputs", claim, {f"input {n}": ("running", False, None) for n in range(2)}),
        Step("save_attempt", attempt, {"input 0": ("running", True, None)}),
        Step("save_step", lambda storage: storage.ledger.save_step(paid), {"step": {"result": 1}}),
        Step("finish_input", finish(0, None), {"input 0": ("completed", True, 1)}),
        Step("finish_input with a key", finish(1, "key"), {"input 1": ("completed", True, 1)}),
    ]


async def observe_run(storage: LocalStorage) -> State:
    """Return what there is of the run; not how many attempts: one whose call said it may have been stored is again."""
    ledger, seen = storage.ledger, State()
    state = await ledger.get_run(RUN)
    if state is None:
        return seen
    seen["is a run"] = True
    if workers := await ledger.list_workers(RUN):
        seen["workers"] = [one.worker_id for one in workers]
    for step in await ledger.list_replies(RUN_JOBS[0], "call"):
        seen["step"] = step.result
    attempts = 0
    for number, job_id in enumerate(RUN_JOBS):
        if (job := await storage.get_execution_job(job_id)) is not None:
            stored = await ledger.list_attempts(job_id)
            record = await storage.get_record_metadata(f"{job_id}-0")
            version = None
            if record is not None and record.output_ref is not None:
                version = (await storage.get_record_data(record.output_ref))["version"]
            seen[f"input {number}"] = (job.status, bool(stored), version)
            attempts += len(stored)
    assert state.attempts == attempts
    return seen


async def reopen(storage: LocalStorage) -> None:
    await storage.close()
    await storage.setup()


async def observe(storage: LocalStorage) -> State:
    """Return all there is, in the shape of the changes of the steps."""
    seen: State = {}
    if (project := await storage.get_project(workload.PROJECT)) is not None:
        seen["project"] = project.name
    seen |= await observe_run(storage)
    for master, job in ((workload.MASTER, workload.JOB), ("side-master", "side-job"), (RUN, "run-job")):
        if (found := await storage.get_master_job(master)) is not None:
            seen[master] = found.status
        if (found_job := await storage.get_execution_job(job)) is not None:
            seen[job] = found_job.status
        try:
            reference = storage.generate_request_config_path(master)
            seen[f"config {master}"] = await storage.get_request_config(reference)
        except DataNotFoundError:
            pass
    for uid in RECORDS:
        if (record := await storage.get_record_metadata(uid)) is not None:
            version = None
            if record.output_ref is not None:
                data = await storage.get_record_data(record.output_ref)
                version = data["version"]
                assert data == workload.payload(uid, version)
            row_version = None if record.error_message is None else int(record.error_message[1:])
            seen[uid] = (row_version, version)
    try:
        # The key, because its record has no row.
        seen["data r4"] = await storage.get_record_data(record_key("r4"))
    except DataNotFoundError:
        pass
    return seen


@dataclass
class Life:
    """A storage's life with one fault in it."""

    root: Path
    fault: Fault
    layout: str
    durability: str
    state: State = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    failed: int = 0
    maybe: State = field(default_factory=dict)  # changes that may have taken effect: their call said so
    _refused: bool = False
    _unsettled: bool = False

    async def live(self) -> None:
        shim = Shim()
        fault = self.fault
        below = self.root / PACKS_DIRECTORY if self.layout == "packed" else self.root
        shim.arm(below, fault.kind, fault.action, fault.at, error=fault.error, for_good=fault.for_good)
        storage = workload.opened(self.root, self.layout, self.durability)  # type: ignore[arg-type]
        if not await self._opened(storage):
            shim.disarm()
            await storage.setup()
            return await storage.close()
        for step in life():
            if not await self._take(storage, step) and not fault.for_good:
                await self._again(storage, step)
        await self._attempt("close", storage.close())
        shim.disarm()
        async with LocalStorage(f"file://{self.root}") as reopened:
            self._compare(REOPENED, await observe(reopened))
            await workload.check_whole(reopened, self.root)
            await workload.goes_on(reopened)
        return None

    async def _opened(self, storage: LocalStorage) -> bool:
        if await self._attempt("setup", storage.setup()):
            return True
        return not self.fault.for_good and await self._attempt("setup again", storage.setup(), may_fail=False)

    async def _take(self, storage: LocalStorage, step: Step) -> bool:
        if await self._attempt(step.name, step.call(storage)):
            self._change(step)
            done = True
        else:
            done = False
            if self._unsettled:
                self.maybe = step.changes
        await self._look(storage, step, done)
        return done

    async def _again(self, storage: LocalStorage, step: Step) -> None:
        done = False
        if not self._refused:
            done = await self._attempt(f"{step.name} again", step.call(storage), may_fail=False)
        if self._refused:
            await self._attempt("reopen", reopen(storage), may_fail=False)
            done = await self._attempt(f"{step.name} once more", step.call(storage), may_fail=False)
        if done:
            self._change(step)
        self._compare(f"after {step.name} again", await observe(storage))

    def _change(self, step: Step) -> None:
        self.state = {name: value for name, value in (self.state | step.changes).items() if value is not None}

    async def _look(self, storage: LocalStorage, step: Step, done: bool) -> None:
        """Reading goes on; where files cannot be opened any more, it says so."""
        try:
            seen = await observe(storage)
        except StorageError as error:
            if error.code == "storage_closed" and self.fault.for_good | (step.name == "reopen"):
                return  # it was closed, and could not be opened again
            self._check_error(f"reading after {step.name}", error)
            if not self.fault.kind & Kind.OPEN:
                self.wrong.append(f"reading after {step.name}: {error}")
            return
        self._compare(f"after {step.name} {'was done' if done else 'failed'}", seen)

    async def _attempt(self, name: str, call: Awaitable[Any], *, may_fail: bool = True) -> bool:
        self._refused = self._unsettled = False
        try:
            await call
        except StorageError as error:
            self._unsettled = getattr(error, "unsettled", False)
            self.failed += 1
            self._refused = REFUSED in str(error)
            self._check_error(name, error)
            if not (may_fail or self._refused):
                self.wrong.append(f"{name} failed though the fault was gone: {error!r}")
            return False
        except Exception as error:
            self.wrong.append(f"{name} raised what is not of the family: {error!r}")
            return False
        return True

    def _check_error(self, name: str, error: StorageError) -> None:
        if self._refused or (self.fault.for_good and error.code in FOLLOWING):
            return  # an error before it, which had both
        if str(self.root) not in str(getattr(error, "path", "")):
            self.wrong.append(f"{name}: no path: {error!r}")
        if self.fault.kind & Kind.OPEN and not self.fault.for_good and error.code == "storage_io":
            return  # SQLite opens a file again in another way, and tells of that
        if getattr(error, "errno", None) != self.fault.error:
            self.wrong.append(f"{name}: errno {getattr(error, 'errno', None)} of {error!r}")

    def _compare(self, when: str, seen: State) -> None:
        if self.maybe:  # until it is opened again, the row and the data of these may be of two versions
            if when != REOPENED:
                seen = {name: value for name, value in seen.items() if name not in self.maybe}
                seen |= {name: value for name, value in self.state.items() if name in self.maybe}
            elif all(seen.get(name) == value for name, value in self.maybe.items()):
                self.state = {name: value for name, value in (self.state | self.maybe).items() if value is not None}
        if self.fault.kind & Kind.UNLINK and when != REOPENED and "config side-master" not in self.state:
            seen.pop("config side-master", None)  # files that cannot be removed are removed at the next opening
        if seen != self.state:
            names = sorted(name for name in seen | self.state if seen.get(name) != self.state.get(name))
            differences = [f"{name}: {seen.get(name)} instead of {self.state.get(name)}" for name in names]
            self.wrong.append(f"{when}: {differences}")


def one(root: Path, fault: Fault, layout: str, durability: str) -> dict[str, Any]:
    """Live one life; return how it was."""
    trial = Life(root, fault, layout, durability)
    before = sorted(os.listdir("/proc/self/fd"))
    asyncio.run(trial.live())
    gc.collect()
    left = [fd for fd in os.listdir("/proc/self/fd") if fd not in before and _target(fd).startswith(str(root))]
    if left:
        trial.wrong.append(f"descriptors left open: {[_target(fd) for fd in left]}")
    return {"wrong": trial.wrong, "failed": trial.failed, "seen": Shim().seen, "hit": Shim().hit}


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return ""


def main(directory: Path, layout: str, kind: str, durability: str, points: int) -> dict[str, Any]:
    action = Action.SHORT if kind == "SHORT" else Action.FAIL
    kinds = Kind.WRITE if kind == "SHORT" else Kind[kind]
    none = Fault(kinds, Action.COUNT, 0, for_good=False, at=0)
    counted = in_child(lambda: one(directory / "counted", none, layout, durability))
    assert counted.status == 0, counted.error
    assert counted.result["wrong"] == [], counted.result
    outcome: dict[str, Any] = {"cases": 0, "failed": 0, "wrong": {}}
    errors = itertools.product((errno.EIO, errno.ENOSPC), (False, True))
    if layout == "packed":
        errors = ((errno.EMFILE if kind == "OPEN" else errno.EIO, False), (errno.ENOSPC, True))
    for number, for_good in errors:
        for at in evenly(counted.result["seen"], points):
            fault = Fault(kinds, action, number, for_good, at)
            ended = in_child(lambda fault=fault: one(directory / f"{fault.at}", fault, layout, durability))
            shutil.rmtree(directory / f"{at}", ignore_errors=True)
            result = ended.result or {"hit": "", "wrong": [ended.error], "failed": 0}
            if result["wrong"]:
                outcome["wrong"][f"{fault}: {result['hit']}"] = result["wrong"]
            outcome["cases"] += 1
            outcome["failed"] += result["failed"] > 0
    return outcome


if __name__ == "__main__":
    target, layout, kind, durability, points = sys.argv[1:]
    sys.stdout.write(json.dumps(main(Path(target), layout, kind, durability, int(points))) + "\n")
