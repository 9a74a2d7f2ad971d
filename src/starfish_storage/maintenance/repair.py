"""Repair a damaged store: first plan, then change, with a copy of everything that is changed."""

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
from starfish_storage.data.filesystem import FileSystemDataHandler, make_root
from starfish_storage.errors import InvalidReferenceError, StorageError, StoreDamagedError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.errors import translated
from starfish_storage.keys import DATABASE_FILE, ROW_LOG_FILE, check_record_key, record_key
from starfish_storage.maintenance.backends import PathOrUri, directories
from starfish_storage.maintenance.checking import OnProgress
from starfish_storage.maintenance.report import Finding, VerifyReport
from starfish_storage.maintenance.verify import verify
from starfish_storage.metadata.sqlite.connection import BUSY_TIMEOUT_MS
from starfish_storage.metadata.sqlite.inspection import Inspection
from starfish_storage.metadata.sqlite.locks import HeldAlone
from starfish_storage.metadata.sqlite.rebuild import rebuild, row_log_lines
from starfish_storage.models import Record, utc_now
from starfish_storage.storage.local import LocalStorage

REPAIRS_DIRECTORY = "repairs"

StepKind = Literal[
    "rebuild_database",
    "make_directory",
    "fail_record",
    "fail_version",
    "attach_data",
    "reopen_input",
    "write_row_log",
    "note_digests",
    "recount",
]

_DATABASE = frozenset({"database_unreadable", "database_damaged", "row_without_parent", "row_unreadable"})
_DATA = frozenset({"data_missing", "data_damaged", "data_unreadable"})
_COUNTS = frozenset({"record_count_wrong", "job_count_differs", "run_totals_wrong"})
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class RepairStep:
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
        left: damage that cannot be repaired.
        copies: the directory with the copies of what was changed, once it was.
    """

    storage_uri: str
    steps: Sequence[RepairStep]
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
        lines += [f"  cannot be repaired: {one.kind}  {one.subject}: {one.detail}" for one in self.left[:_SHOWN]]
        if done:
            lines.append(f"copies of what was changed: {self.copies}")
        return "\n".join(lines)


def plan_repair(
    storage_uri: PathOrUri,
    data_uri: PathOrUri | None = None,
    *,
    progress: OnProgress | None = None,
    read_only: bool = False,
) -> RepairPlan:
    """Return what `repair` would do. Reads everything, changes nothing; ``read_only`` as for `verify`. Blocks.

    Raises:
        StoreOpenError: there is no store, it is of another version or program, or its rows or data lie on other
            machines: the error says what to use there.
        StorageError: a file cannot be read.
    """
    root, data_root = directories(storage_uri, data_uri, "repair")
    report = verify(storage_uri, data_uri, progress=progress, read_only=read_only)
    return _plan(report, root, data_root, read_only=read_only)


def repair(
    storage_uri: PathOrUri, data_uri: PathOrUri | None = None, *, progress: OnProgress | None = None
) -> RepairPlan:
    """Repair a store that nobody else has open, and return what was done. Blocks.

    Whatever is changed is first copied to ``repairs/<time>/`` in the store. A damaged database is rebuilt from the
    row log and from what can still be read of it. A record whose data is lost or damaged becomes ``failed``, saying
    why; data that lies in its place is attached to a record that has none. Counts are taken from the records.

    Raises:
        StorageBusyError: another process has the store open.
        StorageError: there is no store, it is of another version or program, or the repair failed.
    """
    root, data_root = directories(storage_uri, data_uri, "repair")
    copies = f"{root}/{REPAIRS_DIRECTORY}/{utc_now():%Y%m%dT%H%M%S.%fZ}"
    plan = plan_repair(storage_uri, data_uri, progress=progress)
    if not plan.steps:
        return plan
    done: list[RepairStep] = []
    with translated(root):
        make_root(root)  # its data may lie elsewhere, and all else be lost
        with HeldAlone(root, BUSY_TIMEOUT_MS / 1000, as_found=True):
            FileOperations().make_root(copies)
            _copy_database(root, data_root, copies)
            if any(step.kind == "write_row_log" for step in plan.steps):
                _remove(f"{data_root}/{ROW_LOG_FILE}", copies)  # opening the store makes it anew
            if plan.steps[0].kind == "rebuild_database":
                done.append(_rebuild(root, data_root, copies, plan.steps[0]))
                plan = _after_rebuilding(root, data_root, from_log=os.path.exists(f"{copies}/{ROW_LOG_FILE}"))
        with ThreadPoolExecutor(1) as thread:  # the caller's own may run an event loop
            thread.submit(lambda: asyncio.run(_carry_out(plan, root, data_root, copies))).result()
    return RepairPlan(plan.storage_uri, [*done, *plan.steps], plan.left, copies)


def _after_rebuilding(root: str, data_root: str, *, from_log: bool) -> RepairPlan:
    """Return what the new database still lacks, and what is lost."""
    report = verify(root, data_root)
    broken = [finding for finding in report.findings if finding.kind in _DATABASE]
    if broken:  # rebuilding it again would change nothing
        return RepairPlan(report.storage_uri, [], broken)
    plan = _plan(report, root, data_root)
    # Without a log, whose rows cannot be read is not known: what seems loose data may be a record's.
    lost = [] if from_log else [finding for finding in report.findings if finding.kind == "data_unreferenced"]
    return RepairPlan(plan.storage_uri, plan.steps, [*plan.left, *lost])


def _plan(report: VerifyReport, root: str, data_root: str, *, read_only: bool = False) -> RepairPlan:
    broken = [finding for finding in report.findings if finding.kind in _DATABASE]
    if broken:
        detail = f"{broken[0].detail.removesuffix('.')}; it is rebuilt, then checked again"
        step = RepairStep("rebuild_database", DATABASE_FILE, detail)
        return RepairPlan(report.storage_uri, [step])
    steps = [
        RepairStep("make_directory", finding.subject, "it is missing")
        for finding in report.findings
        if finding.kind == "directory_missing"
    ]
    with (
        closing(Inspection(root, read_only=read_only)) as inspection,
        closing(FileSystemDataHandler(data_root)) as data,
    ):
        for finding in report.findings:
            if finding.kind in _DATA:
                steps += (
                    RepairStep("fail_record", uid, f"{finding.subject}: {finding.detail}")
                    for uid in inspection.records_of(finding.subject)
                )
                steps += (
                    RepairStep("fail_version", f"{uid}, {number}", f"{finding.subject}: {finding.detail}")
                    for uid, number in inspection.rows("get_versions_of_data", (finding.subject,))
                )
        for (uid,) in inspection.rows("every_record_without_data"):
            key = record_key(uid)
            if _is_object(data, key):
                steps.append(RepairStep("attach_data", uid, f"{key} is there and whole"))
    steps += (
        RepairStep("reopen_input", finding.subject, f"{finding.detail}; resume or retry runs it again")
        for finding in report.findings
        if finding.kind == "output_lost"
    )
    steps += (
        RepairStep("write_row_log", ROW_LOG_FILE, f"anew from the rows: {finding.detail}")
        for finding in report.findings
        if finding.kind == "row_log_differs"
    )
    if report.without_digest:
        steps.append(RepairStep("note_digests", DATABASE_FILE, f"of {report.without_digest:,} records"))
    if any(finding.kind in _COUNTS for finding in report.findings):
        steps.append(
            RepairStep("recount", DATABASE_FILE, "counts are taken from the records, totals from the attempts")
        )
    left = [one for one in report.damage if one.kind == "request_config_damaged"]
    return RepairPlan(report.storage_uri, steps, left)


async def _carry_out(plan: RepairPlan, root: str, data_root: str, copies: str) -> None:
    for step in plan.steps:
        if step.kind == "make_directory":
            FileOperations().make_root(f"{data_root}/{step.subject}")
    async with LocalStorage(root, data_root) as storage:
        for step in plan.steps:
            if step.kind == "fail_record":
                await _fail(storage, step, copies)
            elif step.kind == "fail_version":
                await _fail_version(storage, step, copies)
            elif step.kind == "attach_data":
                await _attach(storage, step.subject)
            elif step.kind == "reopen_input":
                await _reopen(storage, step.subject)
            elif step.kind == "note_digests":
                await _note_digests(storage)
        # Also after records have failed: what was counted as completed no longer is.
        await storage.metadata.recount()


async def _fail(storage: LocalStorage, step: RepairStep, copies: str) -> None:
    record = await storage.get_record_metadata(step.subject)
    if record is None or record.output_ref is None:
        return
    try:
        key = check_record_key(storage.data.to_key(record.output_ref))
    except InvalidReferenceError:
        pass  # forged: what it leads to is not the record's
    else:
        _set_aside(storage.data_base_path, key, copies)
    earlier = f"{record.error_message}; " if record.error_message else ""
    changes: dict[str, Any] = {
        "status": "failed",
        "output_ref": None,
        "error_message": f"{earlier}repair: {step.detail}",
        "last_update_time": utc_now(),
    }
    await storage.log_record_metadata(record.model_copy(update=changes))


async def _reopen(storage: LocalStorage, job_id: str) -> None:
    """Let an input run again of which a record is lost; and its run go on, if that was thought to be over."""
    job = await storage.get_execution_job(job_id)
    if job is None:
        return
    await storage.ledger.reset_inputs(job.master_job_id, [job.status], job_ids=[job_id])
    run = await storage.get_master_job(job.master_job_id)
    if run is not None and run.status in ("completed", "completed_with_errors", "failed"):
        await storage.update_master_job_status(run.master_job_id, "cancelled", utc_now())


async def _fail_version(storage: LocalStorage, step: RepairStep, copies: str) -> None:
    """Keep a version without its data, which is lost, saying why."""
    uid, _, number = step.subject.rpartition(", ")
    rows, job_id = storage.transfer.rows, uid.rpartition("-")[0]
    for one in await rows.get_versions([job_id]):
        version = one.version
        if version.id != (uid, int(number)) or one.place is None:
            continue
        _set_aside(storage.data_base_path, check_record_key(one.place), copies)
        earlier = f"{version.error_message}; " if version.error_message else ""
        await rows.remove_versions([one])
        lost = version._replace(output_ref=None, error_message=f"{earlier}repair: {step.detail}")
        await rows.put_version(lost, None)


async def _attach(storage: LocalStorage, record_uid: str) -> None:
    record = await storage.get_record_metadata(record_uid)
    if record is not None and record.output_ref is None:
        reference = storage.data.to_reference(record_key(record_uid))
        await storage.log_record_metadata(record.model_copy(update={"output_ref": reference}))


async def _note_digests(storage: LocalStorage) -> None:
    """Save the rows again that have no digest: it is taken from the data."""
    with closing(Inspection(storage.base_path)) as inspection:
        uids = [row[0] for row in inspection.rows("every_record_without_digest")]
    for uid in uids:
        record: Record | None = await storage.get_record_metadata(uid)
        if record is not None and record.output_ref is not None:
            await storage.log_record_metadata(record)


def _copy_database(root: str, data_root: str, copies: str) -> None:
    parts = (f"{root}/{DATABASE_FILE}{suffix}" for suffix in ("", "-wal", "-journal"))
    for path in (*parts, f"{data_root}/{ROW_LOG_FILE}"):
        if _is_file(path):
            shutil.copy2(path, copies)


def _rebuild(root: str, data_root: str, copies: str, step: RepairStep) -> RepairStep:
    files = FileOperations()
    new, work = f"{copies}/rebuilt.db", f"{copies}/recovery"
    files.make_root(work)
    damaged = None
    if os.path.exists(f"{copies}/{DATABASE_FILE}"):
        damaged = f"{work}/{DATABASE_FILE}"  # a copy of the copy: recovering may write to it
        for name in (DATABASE_FILE, f"{DATABASE_FILE}-wal"):
            if os.path.exists(f"{copies}/{name}"):
                shutil.copy2(f"{copies}/{name}", work)
    made = rebuild(new, row_log_lines(f"{copies}/{ROW_LOG_FILE}"), damaged, data_elsewhere=root != data_root)
    shutil.rmtree(work)
    data = FileSystemDataHandler(data_root)
    if not made.logged and not made.recovered and (data.holds_data() or data.row_log.holds_rows()):
        shutil.rmtree(copies)
        raise StoreDamagedError(
            f"{root}/{DATABASE_FILE}",
            "none of its rows can be read, and no row log has them; nothing was changed. Restore a backup",
        )
    # What is beside the old database would be taken for the new one's own.
    for suffix in ("-wal", "-shm", "-journal"):
        _remove(f"{root}/{DATABASE_FILE}{suffix}", copies)
    files.sync_directory(root)
    if not _is_file(f"{root}/{DATABASE_FILE}"):
        _remove(f"{root}/{DATABASE_FILE}", copies)
    files.replace_file(new, f"{root}/{DATABASE_FILE}")
    _remove(f"{data_root}/{ROW_LOG_FILE}", copies)  # made anew from the new database when it is opened
    return RepairStep(
        "rebuild_database",
        DATABASE_FILE,
        f"{step.detail}: {made.logged:,} changes from the row log, {made.recovered:,} rows from the damaged database, "
        f"{made.refused:,} that fit nowhere, {made.made:,} made for what belonged to them",
    )


def _remove(path: str, copies: str) -> None:
    """Remove a file that was copied, or move what somebody put in its place to the copies."""
    if _is_file(path):
        os.unlink(path)
    elif os.path.lexists(path):
        shutil.move(path, copies)


def _is_file(path: str) -> bool:
    return os.path.isfile(path) and not os.path.islink(path)


def _set_aside(root: str, key: str, copies: str) -> None:
    """Move a damaged file to the copies; what is no regular file, or is reached through a link, is left as it is."""
    path, target = f"{root}/{key}", f"{copies}/{key}"
    if not os.path.isfile(path) or os.path.realpath(path) != f"{os.path.realpath(root)}/{key}":
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
