"""Fails a chosen call of a storage's whole life, and checks that nobody is told a lie and nothing else is harmed.

Usage, under the shim: ``python -m durability.io_errors DIRECTORY KIND ERRNO once|for-good DURABILITY POINTS``
(0 points: every call; the action is SHORT, half a write before the failure, for the kind ``SHORT``). Prints one JSON
object: the number of ``cases``, how many calls ``failed`` of all that were made, and what was ``wrong``.

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
import json
import os
import shutil
import sys
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from durability import workload
from durability.shim import Action, Kind, Shim, evenly, in_child
from starfish_storage import DataNotFoundError, LocalStorage, Record, StorageError

State = dict[str, Any]
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
RECORDS = ("r1", "r2", "r3", "r5", "r6", "side")
REFUSED = "nothing more is written"


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
    changes = {uid: (version, version) for uid in uids}
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
        Step("log_execution_job_start", lambda storage: storage.log_execution_job_start(execution_job), {job: "pending"}),
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
        Step("reopen", reopen, {}),
        save("r1", "r6", version=4),
    ]


async def reopen(storage: LocalStorage) -> None:
    await storage.close()
    await storage.setup()


async def observe(storage: LocalStorage) -> State:
    """Return all there is, in the shape of the changes of the steps."""
    seen: State = {}
    if (project := await storage.get_project(workload.PROJECT)) is not None:
        seen["project"] = project.name
    for master, job in ((workload.MASTER, workload.JOB), ("side-master", "side-job")):
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
        seen["data r4"] = await storage.get_record_data(storage._data.record_key("r4"))
    except DataNotFoundError:
        pass
    return seen


@dataclass
class Life:
    """A storage's life with one fault in it."""

    root: Path
    fault: Fault
    durability: str
    state: State = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    failed: int = 0
    made: int = 0
    dying: bool = False

    async def live(self) -> None:
        shim = Shim()
        fault = self.fault
        shim.arm(self.root, fault.kind, fault.action, fault.at, error=fault.error, for_good=fault.for_good)
        storage = LocalStorage(f"file://{self.root}", durability=self.durability)  # type: ignore[arg-type]
        if not await self._opened(storage):
            shim.disarm()
            await storage.setup()
            return await storage.close()
        for step in life():
            if not await self._take(storage, step) and not fault.for_good:
                await self._again(storage, step)
        await self._attempt("close", storage.close())
        self.at, self.hit = shim.seen, shim.hit
        shim.disarm()
        async with LocalStorage(f"file://{self.root}") as reopened:
            self._compare("after opening it again", await observe(reopened))
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
        await self._look(storage, step, done)
        return done

    async def _again(self, storage: LocalStorage, step: Step) -> None:
        if self._refused:
            await self._attempt("close", storage.close())
            await self._attempt("setup", storage.setup(), may_fail=False)
        if step.name == "reopen":
            await self._attempt("close", storage.close(), may_fail=False)
            await self._attempt("setup", storage.setup(), may_fail=False)
        elif await self._attempt(f"{step.name} again", step.call(storage), may_fail=False):
            self._change(step)
        self._compare(f"after {step.name} again", await observe(storage))

    def _change(self, step: Step) -> None:
        self.state = {name: value for name, value in (self.state | step.changes).items() if value is not None}

    async def _look(self, storage: LocalStorage, step: Step, done: bool) -> None:
        """Reading goes on; where files cannot be opened any more, it says so."""
        try:
            seen = await observe(storage)
        except StorageError as error:
            if step.name == "reopen" and not done:
                return  # it is closed
            self._check_error(f"reading after {step.name}", error)
            if not self.fault.kind & Kind.OPEN:
                self.wrong.append(f"reading after {step.name}: {error}")
            return
        self._compare(f"after {step.name} {'was done' if done else 'failed'}", seen)

    async def _attempt(self, name: str, call: Awaitable[Any], *, may_fail: bool = True) -> bool:
        self.made += 1
        self._refused = False
        try:
            await call
        except StorageError as error:
            self.failed += 1
            self._refused = REFUSED in str(error)
            self._check_error(name, error)
            if not may_fail:
                self.wrong.append(f"{name} failed though the fault was gone: {error!r}")
            return False
        except Exception as error:
            self.wrong.append(f"{name} raised what is not of the family: {error!r}")
            return False
        return True

    def _check_error(self, name: str, error: StorageError) -> None:
        if self.fault.for_good and (self._refused or error.code in ("parent_not_found", "not_found", "not_set_up")):
            return  # a call that failed before is the reason
        if self.fault.for_good and error.code == "storage_closed":
            return
        if self._refused:
            return
        if str(self.root) not in str(getattr(error, "path", "")):
            self.wrong.append(f"{name}: no path: {error!r}")
        if getattr(error, "errno", None) != self.fault.error:
            self.wrong.append(f"{name}: errno {getattr(error, 'errno', None)} of {error!r}")

    def _compare(self, when: str, seen: State) -> None:
        if seen != self.state:
            names = sorted(name for name in seen | self.state if seen.get(name) != self.state.get(name))
            differences = [f"{name}: {seen.get(name)} instead of {self.state.get(name)}" for name in names]
            self.wrong.append(f"{when}: {differences}")


def one(root: Path, fault: Fault, durability: str) -> dict[str, Any]:
    """Live one life; return how it was."""
    warnings.simplefilter("error")
    trial = Life(root, fault, durability)
    before = sorted(os.listdir("/proc/self/fd"))
    asyncio.run(trial.live())
    gc.collect()
    left = [fd for fd in os.listdir("/proc/self/fd") if fd not in before and _target(fd).startswith(str(root))]
    if left:
        trial.wrong.append(f"descriptors left open: {[_target(fd) for fd in left]}")
    return {"wrong": trial.wrong, "failed": trial.failed, "made": trial.made, "seen": Shim().seen, "hit": Shim().hit}


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return ""


def main(directory: Path, kind: str, number: int, durability: str, points: int, *, for_good: bool) -> dict[str, Any]:
    action = Action.SHORT if kind == "SHORT" else Action.FAIL
    kinds = Kind.WRITE if kind == "SHORT" else Kind[kind]
    none = Fault(kinds, Action.COUNT, number, for_good, 0)
    counted = in_child(lambda: one(directory / "counted", none, durability))
    assert counted.status == 0, counted.error
    assert counted.result["wrong"] == [], counted.result
    wrong: dict[str, Any] = {}
    failed, cases = 0, evenly(counted.result["seen"], points)
    for at in cases:
        root = directory / f"{at}"
        fault = Fault(kinds, action, number, for_good, at)
        ended = in_child(lambda root=root, fault=fault: one(root, fault, durability))
        shutil.rmtree(root, ignore_errors=True)
        if ended.status != 0 or ended.result["wrong"]:
            wrong[f"{at} {ended.result['hit'] if ended.result else ''}"] = ended.error or ended.result["wrong"]
        failed += ended.result["failed"] if ended.result else 0
    return {"cases": len(cases), "failed": failed, "wrong": wrong}


if __name__ == "__main__":
    directory, kind, name, how, durability, points = sys.argv[1:]
    result = main(
        Path(directory), kind, getattr(errno, name), durability, int(points), for_good=how == "for-good"
    )
    print(json.dumps(result))
