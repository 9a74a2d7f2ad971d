"""Mending a damaged store: planned first, and only then done, with a copy of everything that is changed."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

from starfish_storage.codec import decode
from starfish_storage.data.atomic import FileOperations
from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.row_log import ROW_LOG_FILE
from starfish_storage.errors import StorageBusyError, StorageError, StoreDamagedError
from starfish_storage.maintenance.report import Finding, VerifyReport
from starfish_storage.maintenance.verify import Progress, verify
from starfish_storage.metadata.connection import BUSY_TIMEOUT_MS, DATABASE_FILE
from starfish_storage.metadata.inspection import Inspection
from starfish_storage.metadata.locks import SessionLock, WriterLock
from starfish_storage.metadata.rebuild import rebuild, row_log_lines
from starfish_storage.models import Record, utc_now
from starfish_storage.storage.local import LocalStorage
from starfish_storage.uri import path_of_file_uri

REPAIRS_DIRECTORY = "repairs"

StepKind = Literal["rebuild_database", "make_directory", "fail_record", "attach_data", "note_digests", "recount"]

_DATABASE = frozenset({"database_unreadable", "database_damaged", "row_without_parent", "row_unreadable"})
_DATA = frozenset({"data_missing", "data_damaged", "data_unreadable"})
_COUNTS = frozenset({"record_count_wrong", "job_count_differs", "run_totals_wrong"})
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a repair would do.

    Attributes:
        kind: a stable name of what is done.
        subject: what it is done to.
        detail: why, or how.
    """

    kind: StepKind
    subject: str
    detail: str


@dataclass(frozen=True)
class RepairPlan:
    """What a repair would do, or has done.

    Attributes:
        storage_uri: the store.
        steps: what is done, in order.
        left: damage that no repair can mend.
        copies: the directory with the copies of what was changed, once it was.
    """

    storage_uri: str
    steps: Sequence[Step]
    left: Sequence[Finding] = ()
    copies: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the plan as a JSON object; the names stay the same between releases."""
        return {
            "storage_uri": self.storage_uri,
            "done": self.copies is not None,
            "copies": self.copies,
            "steps": [{"kind": step.kind, "subject": step.subject, "detail": step.detail} for step in self.steps],
            "left": [{"kind": one.kind, "subject": one.subject, "detail": one.detail} for one in self.left],
        }

    def __str__(self) -> str:
        """Return the plan for people."""
        done = self.copies is not None
        lines = [f"{self.storage_uri}: {len(self.steps):,} steps {'done' if done else 'to do'}"]
        lines += [f"  {step.kind}  {step.subject}: {step.detail}" for step in self.steps[:_SHOWN]]
        if len(self.steps) > _SHOWN:
            lines.append(f"  ... and {len(self.steps) - _SHOWN:,} more; --json lists them all")
        lines += [f"  cannot be mended: {one.kind}  {one.subject}: {one.detail}" for one in self.left[:_SHOWN]]
        if done:
            lines.append(f"copies of what was changed: {self.copies}")
        return "\n".join(lines)


def plan_repair(storage_uri: str, data_uri: str | None = None, *, progress: Progress | None = None) -> RepairPlan:
    """Return what `repair` would do. Reads everything, changes nothing. Blocks.

    Raises:
        StorageError: there is no store, or it is of another version or program.
    """
    report = verify(storage_uri, data_uri, progress=progress)
    return _plan(report, path_of_file_uri(storage_uri), path_of_file_uri(data_uri or storage_uri))


def repair(storage_uri: str, data_uri: str | None = None, *, progress: Progress | None = None) -> RepairPlan:
    """Mend a store that nobody else has open, and return what was done. Blocks.

    Whatever is changed is first copied to ``repairs/<time>/`` in the store. A damaged database is made anew from the
    row log and from what can still be read of it. A record whose data is lost or damaged becomes ``failed``, saying
    why; data that lies in its place is attached to a record that has none. Counts are taken from the records.

    Raises:
        StorageBusyError: another process has the store open.
        StorageError: there is no store, it is of another version or program, or the repair failed.
    """
    root, data_root = path_of_file_uri(storage_uri), path_of_file_uri(data_uri or storage_uri)
    copies = f"{root}/{REPAIRS_DIRECTORY}/{utc_now():%Y%m%dT%H%M%S.%fZ}"
    plan = plan_repair(storage_uri, data_uri, progress=progress)
    if not plan.steps:
        return plan
    done: list[Step] = []
    with _alone(root):
        FileOperations().make_root(copies)
        _copy_database(root, data_root, copies)
        if plan.steps[0].kind == "rebuild_database":
            done.append(_rebuild(root, data_root, copies, plan.steps[0]))
            plan = plan_repair(storage_uri, data_uri)  # what the new database still lacks
    with ThreadPoolExecutor(1) as thread:  # the caller's own may run an event loop
        thread.submit(lambda: asyncio.run(_carry_out(plan, storage_uri, data_uri, copies))).result()
    return RepairPlan(plan.storage_uri, [*done, *plan.steps], plan.left, copies)


def _plan(report: VerifyReport, root: str, data_root: str) -> RepairPlan:
    broken = [finding for finding in report.findings if finding.kind in _DATABASE]
    if broken:
        step = Step("rebuild_database", DATABASE_FILE, f"{broken[0].detail}; it is made anew, then checked again")
        return RepairPlan(report.storage_uri, [step])
    steps = [
        Step("make_directory", finding.subject, "it is missing")
        for finding in report.findings
        if finding.kind == "directory_missing"
    ]
    with closing(Inspection(root)) as inspection, closing(FileSystemDataHandler(data_root)) as data:
        for finding in report.findings:
            if finding.kind in _DATA:
                steps += (
                    Step("fail_record", uid, f"{finding.subject}: {finding.detail}")
                    for uid in inspection.records_of(finding.subject)
                )
        for (uid,) in inspection.rows("every_record_without_data"):
            key = data.record_key(uid)
            if _is_object(data, key):
                steps.append(Step("attach_data", uid, f"{key} is there and whole"))
    if report.without_digest:
        steps.append(Step("note_digests", DATABASE_FILE, f"of {report.without_digest:,} records"))
    if any(finding.kind in _COUNTS for finding in report.findings):
        steps.append(Step("recount", DATABASE_FILE, "counts are taken from the records, totals from the attempts"))
    left = [one for one in report.damage if one.kind == "request_config_damaged"]
    return RepairPlan(report.storage_uri, steps, left)


async def _carry_out(plan: RepairPlan, storage_uri: str, data_uri: str | None, copies: str) -> None:
    for step in plan.steps:
        if step.kind == "make_directory":
            FileOperations().make_root(f"{path_of_file_uri(data_uri or storage_uri)}/{step.subject}")
    async with LocalStorage(storage_uri, data_uri) as storage:
        for step in plan.steps:
            if step.kind == "fail_record":
                await _fail(storage, step, copies)
            elif step.kind == "attach_data":
                await _attach(storage, step.subject)
            elif step.kind == "note_digests":
                await _note_digests(storage)
        # Also after records have failed: what was counted as completed no longer is.
        await storage.metadata.recount()


async def _fail(storage: LocalStorage, step: Step, copies: str) -> None:
    record = await storage.get_record_metadata(step.subject)
    if record is None or record.output_ref is None:
        return
    key = storage.data.to_key(record.output_ref)
    _set_aside(f"{storage.data_base_path}/{key}", f"{copies}/{key}")
    earlier = f"{record.error_message}; " if record.error_message else ""
    changes: dict[str, Any] = {
        "status": "failed",
        "output_ref": None,
        "error_message": f"{earlier}repair: {step.detail}",
        "last_update_time": utc_now(),
    }
    await storage.log_record_metadata(record.model_copy(update=changes))


async def _attach(storage: LocalStorage, record_uid: str) -> None:
    record = await storage.get_record_metadata(record_uid)
    if record is not None and record.output_ref is None:
        reference = storage.data.to_reference(storage.data.record_key(record_uid))
        await storage.log_record_metadata(record.model_copy(update={"output_ref": reference}))


async def _note_digests(storage: LocalStorage) -> None:
    """Save the rows again that have no digest: it is taken from the data."""
    with closing(Inspection(storage.base_path)) as inspection:
        uids = [row[0] for row in inspection.rows("every_record_without_digest")]
    for uid in uids:
        record: Record | None = await storage.get_record_metadata(uid)
        if record is not None and record.output_ref is not None:
            await storage.log_record_metadata(record)


class _alone:  # noqa: N801 (reads as an adverb)
    """Hold a store while nobody else has it open, whatever state its database is in."""

    def __init__(self, root: str) -> None:
        self._root = root

    def __enter__(self) -> None:
        self._writer = WriterLock(self._root, BUSY_TIMEOUT_MS / 1000)
        self._session = SessionLock(self._root)
        self._finished = self._writer.acquire()
        if not self._session.hold():
            self.__exit__()
            raise StorageBusyError(
                f"{self._root!r} is open in another process; close it there, then repair. Nothing was changed."
            )

    def __exit__(self, *_: object) -> None:
        self._writer.release(finished=self._finished)
        self._session.close()
        self._writer.close()


def _copy_database(root: str, data_root: str, copies: str) -> None:
    for path in (*(f"{root}/{DATABASE_FILE}{suffix}" for suffix in ("", "-wal")), f"{data_root}/{ROW_LOG_FILE}"):
        if os.path.isfile(path) and not os.path.islink(path):
            shutil.copy2(path, copies)


def _rebuild(root: str, data_root: str, copies: str, step: Step) -> Step:
    files = FileOperations()
    new, work = f"{copies}/rebuilt.db", f"{copies}/recovery"
    files.make_root(work)
    damaged = None
    if os.path.exists(f"{copies}/{DATABASE_FILE}"):
        damaged = f"{work}/{DATABASE_FILE}"  # a copy of the copy: recovering may write to it
        for name in (DATABASE_FILE, f"{DATABASE_FILE}-wal"):
            if os.path.exists(f"{copies}/{name}"):
                shutil.copy2(f"{copies}/{name}", work)
    made = rebuild(new, row_log_lines(f"{data_root}/{ROW_LOG_FILE}"), damaged, data_elsewhere=root != data_root)
    shutil.rmtree(work)
    for suffix in ("-wal", "-shm"):  # of the old database: left beside the new one, it would be taken for its own
        if os.path.lexists(f"{root}/{DATABASE_FILE}{suffix}"):
            os.unlink(f"{root}/{DATABASE_FILE}{suffix}")
    files.sync_directory(root)
    files.replace_file(new, f"{root}/{DATABASE_FILE}")
    if os.path.lexists(f"{data_root}/{ROW_LOG_FILE}"):
        os.unlink(f"{data_root}/{ROW_LOG_FILE}")  # copied above; made anew from the new database when it is opened
    return Step(
        "rebuild_database",
        DATABASE_FILE,
        f"{step.detail}: {made.logged:,} changes from the row log, {made.recovered:,} rows from the damaged database, "
        f"{made.refused:,} that fit nowhere",
    )


def _set_aside(path: str, target: str) -> None:
    """Move a damaged file to the copies; what is no regular file is left where it is."""
    if not os.path.isfile(path) or os.path.islink(path):
        return
    FileOperations().make_root(os.path.dirname(target))
    try:
        shutil.move(path, target)
    except OSError as error:
        raise StoreDamagedError(path, f"it could not be set aside: {error.strerror}") from error


def _is_object(data: FileSystemDataHandler, key: str) -> bool:
    try:
        return isinstance(decode(data.read(key)), dict)
    except (StorageError, ValueError, RecursionError):
        return False
