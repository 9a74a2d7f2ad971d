"""Repair a damaged store: first plan, then change, with a copy of everything that is changed."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from starfish_storage.codec import decode
from starfish_storage.data.filesystem import FileSystemDataHandler, make_root
from starfish_storage.errors import InvalidReferenceError, StorageError, StoreDamagedError
from starfish_storage.files.atomic import FileOperations
from starfish_storage.files.errors import translated
from starfish_storage.interface import DataHandler
from starfish_storage.keys import DATABASE_FILE, ROW_LOG_FILE, PackPlace, check_record_key, place_in_pack, record_key
from starfish_storage.maintenance.backends import PathOrUri, directories
from starfish_storage.maintenance.checking import OnProgress
from starfish_storage.maintenance.repair_packs import cut_tail, found_lines, found_packs, pack_steps
from starfish_storage.maintenance.repair_plan import RepairPlan, RepairStep
from starfish_storage.maintenance.report import VerifyReport
from starfish_storage.maintenance.verify import verify
from starfish_storage.metadata.sqlite.connection import BUSY_TIMEOUT_MS
from starfish_storage.metadata.sqlite.handler import SQLiteMetadataHandler
from starfish_storage.metadata.sqlite.inspection import Inspection
from starfish_storage.metadata.sqlite.locks import HeldAlone
from starfish_storage.metadata.sqlite.log_comparison import REBUILT
from starfish_storage.metadata.sqlite.log_lines import row_log_lines
from starfish_storage.metadata.sqlite.rebuild import rebuild
from starfish_storage.metadata.sqlite.repacking import Repacking
from starfish_storage.models import Record
from starfish_storage.storage.local import LocalStorage
from starfish_storage.times import utc_now

REPAIRS_DIRECTORY = "repairs"

_DATABASE = frozenset({"database_unreadable", *REBUILT})
_DATA = frozenset({"data_missing", "data_damaged", "data_unreadable"})
_LEFT = frozenset({"request_config_damaged", "pack_unreadable"})
_COUNTS = frozenset({"record_count_wrong", "job_count_differs", "run_totals_wrong"})


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
        steps += _steps_for_data(report, inspection, data)
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
    left = [one for one in report.damage if one.kind in _LEFT]
    return RepairPlan(report.storage_uri, steps, left)


def _steps_for_data(report: VerifyReport, inspection: Inspection, data: FileSystemDataHandler) -> Iterator[RepairStep]:
    """Yield what becomes of data that is lost or damaged, and of data that a record might have."""
    lost = [finding for finding in report.findings if finding.kind in _DATA]
    found = found_lines(inspection, data, [finding.subject for finding in lost])
    yield from pack_steps(report.findings, inspection, data, found)
    for finding in lost:
        place, detail = found.get(finding.subject), f"{finding.subject}: {finding.detail}"
        if place is not None:
            told = f"{finding.detail}; what was saved stands at {place.key}"
            yield RepairStep("find_data", finding.subject, told, place)
            continue
        for uid in inspection.records_of(finding.subject):
            yield RepairStep("fail_record", uid, detail)
        for uid, number in inspection.rows("get_versions_of_data", (finding.subject,)):
            yield RepairStep("fail_version", f"{uid}, {number}", detail)
    for (uid,) in inspection.rows("every_record_without_data"):
        key = record_key(uid)
        places = [PackPlace._make(row).key for row in inspection.rows("get_packed_data", (key,))]
        if _is_object(data, *places or (key,)):
            yield RepairStep("attach_data", uid, f"{key} is there and whole")


async def _carry_out(plan: RepairPlan, root: str, data_root: str, copies: str) -> None:
    for step in plan.steps:
        if step.kind == "make_directory":
            FileOperations().make_root(f"{data_root}/{step.subject}")
    async with LocalStorage(root, data_root) as storage:
        await _mend_packs(storage, plan, copies)
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


async def _mend_packs(storage: LocalStorage, plan: RepairPlan, copies: str) -> None:
    """Before anything is appended, say how much of packs is committed, and where data was found; cut off tails."""
    repacking = _repacking(storage)
    sizes = {step.place.pack: step.place.end for step in plan.steps if step.kind == "set_pack_size" and step.place}
    if sizes:
        await repacking.set_sizes(sizes)
    places = {step.subject: step.place for step in plan.steps if step.kind == "find_data" and step.place}
    if places:
        await repacking.point(places)
    for step in plan.steps:
        if step.kind == "cut_tail" and step.place is not None:
            cut_tail(storage.data_base_path, step.place, copies)


def _repacking(storage: LocalStorage) -> Repacking:
    return cast("SQLiteMetadataHandler", storage.metadata).repacking


async def _fail(storage: LocalStorage, step: RepairStep, copies: str) -> None:
    record = await storage.get_record_metadata(step.subject)
    if record is None or record.output_ref is None:
        return
    keys: list[str] = []
    try:
        keys.append(check_record_key(storage.data.to_key(record.output_ref)))
        await _set_aside(storage, keys[0], copies)
    except InvalidReferenceError:
        pass  # forged: what it leads to is not the record's
    earlier = f"{record.error_message}; " if record.error_message else ""
    changes: dict[str, Any] = {
        "status": "failed",
        "output_ref": None,
        "error_message": f"{earlier}repair: {step.detail}",
        "last_update_time": utc_now(),
    }
    await storage.log_record_metadata(record.model_copy(update=changes))
    await _repacking(storage).forget(keys)


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
        await _set_aside(storage, check_record_key(str(version.output_ref)), copies)
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
    log = row_log_lines(f"{copies}/{ROW_LOG_FILE}")
    with closing(FileSystemDataHandler(data_root)) as data:
        made = rebuild(new, log, damaged, data_elsewhere=root != data_root, packs=found_packs(data))
        is_lost = not made.logged and not made.recovered and (data.holds_data() or data.row_log.holds_rows())
    shutil.rmtree(work)
    if is_lost:
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


async def _set_aside(storage: LocalStorage, key: str, copies: str) -> None:
    """Move a damaged file to the copies, and copy damaged data in a pack there; the pack itself has that of others."""
    location = (await storage.metadata.locate_data([key])).get(key)
    if location is not None and place_in_pack(location.key) is not None:
        _copy_range(storage.data, location.key, f"{copies}/{key}")
    else:
        _move_file(storage.data_base_path, key, f"{copies}/{key}")


def _copy_range(data: DataHandler, place: str, target: str) -> None:
    try:
        payload = data.read(place)
    except StorageError:
        return  # there is nothing
    FileOperations().make_root(os.path.dirname(target))
    Path(target).write_bytes(payload)


def _move_file(root: str, key: str, target: str) -> None:
    """Move a file; what is no regular file, or is reached through a link, is left as it is."""
    path = f"{root}/{key}"
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
