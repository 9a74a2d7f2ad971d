"""Exporting: from a scan of the store to a file, with all that can go wrong between them."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import Unpack

from starfish_storage.errors import InvalidInputError, NotExportableError, StorageIOError
from starfish_storage.export.annotations import beside_data
from starfish_storage.export.conveyor import Conveyor, ExportStoppedError
from starfish_storage.export.destination import (
    Call,
    Destination,
    ExportPlace,
    refuse_place_of_store,
    resolved,
    writing_thread,
)
from starfish_storage.export.endings import form_of, refuse_other_ending
from starfish_storage.export.forms import Form, FormWriter
from starfish_storage.export.json_lines import JsonLines
from starfish_storage.export.metadata import describe
from starfish_storage.export.options import ExportOptions, RecordOptions, Shape, check_names
from starfish_storage.export.provenance import Chosen, Provenance
from starfish_storage.export.records import ExportedRecord
from starfish_storage.export.report import ExportProgress, ExportReport
from starfish_storage.export.selection import DEFAULT_STATUSES, Selection, accepting, select
from starfish_storage.export.sources import sources_of
from starfish_storage.export.streaming import ByteStream, Stream
from starfish_storage.export.unfinished import unfinished_runs
from starfish_storage.filtering import reviews_of
from starfish_storage.interface import ScannedLines, ScannedRecord, Storage


async def export(
    storage: Storage,
    destination: str | os.PathLike[str] | ByteStream,
    form: Form | None = None,
    **options: Unpack[ExportOptions],
) -> ExportReport:
    """Write the records of master jobs into a file or directory, which appears once it is complete.

    The order is fixed: master jobs as they were given, those of a project oldest first, the records of each oldest
    first by start time, then by uid. The same records give the same bytes. Memory does not grow with their number.

    Args:
        storage: the store, set up; it is not changed.
        destination: the file or directory to make; or a stream that takes bytes, such as ``sys.stdout.buffer``, which
            stays open, and keeps what it has taken if the export fails.
        form: what to write; None to infer it from the ending of the destination (see `form_of`); into a stream, JSON
            Lines.
        options: which records, what of them, and how: see `ExportOptions` and `RecordOptions`.

    Raises:
        InvalidInputError: no records are named, or the destination, the form or an option cannot be used.
        NotFoundError: a master job or the project does not exist. `AlreadyExistsError` if the destination does.
        DataLostError: the data of a record is lost. `StoreDamagedError` if it is damaged.
        NotExportableError: the form cannot hold a record. `StorageIOError` if writing failed: nothing has changed then.
    """
    check_names(options, ExportOptions, "export")
    place, chosen = _place_of(storage, destination, form, overwrite=options.get("overwrite", False))
    return await carry_out(storage, place, chosen, options)


async def carry_out(storage: Storage, place: ExportPlace, form: Form, options: RecordOptions) -> ExportReport:
    """Write records into a place; see `export`."""
    shape = Shape(options, form, os.path.dirname(place.partial) or tempfile.gettempdir())
    selection = await select(
        storage,
        options.get("master_job_ids", ()),
        options.get("project_id"),
        options.get("statuses", DEFAULT_STATUSES),
        accepting(options.get("where", ()), options.get("accepted_only", False)),
        options.get("sample"),
        options.get("search"),
    )
    return await _Export(selection, form, shape, place, options).write()


def _place_of(
    storage: Storage, destination: str | os.PathLike[str] | ByteStream, form: Form | None, *, overwrite: bool
) -> tuple[Destination | Stream, Form]:
    """Return where an export goes, and what is written there."""
    if not isinstance(destination, str | os.PathLike):
        chosen = form or JsonLines()
        if chosen.makes_directory:
            with_splits = "" if chosen.is_directory else " with splits"
            raise InvalidInputError(
                f"{chosen.name}{with_splits} makes a directory, which no stream takes: name a directory."
            )
        return Stream(destination, is_direct=chosen.written_as.is_direct), chosen
    path = resolved(destination)
    chosen = form or form_of(path)
    refuse_other_ending(chosen, path, os.fspath(destination))
    refuse_place_of_store(storage, path)
    is_own = chosen.is_own_directory
    return Destination(path, is_directory=chosen.makes_directory, overwrite=overwrite, is_own=is_own), chosen


def _show_nothing(progress: ExportProgress) -> None:
    """Take how far an export is, where nobody wants to know."""


class _Export:
    """The records of one export on their way."""

    def __init__(
        self, selection: Selection, form: Form, shape: Shape, place: ExportPlace, options: RecordOptions
    ) -> None:
        self._selection = selection
        self._form = form
        self._shape = shape
        self._place = place
        self._chosen: Chosen = {**selection.chosen(), **shape.chosen()}
        jobs = [job.master_job_id for job in selection.jobs]
        self._report = ExportReport(place.path, form.name, jobs, **self._chosen)
        self._skip_damaged = options.get("skip_damaged", False)
        self._progress = options.get("progress") or _show_nothing

    async def write(self) -> ExportReport:
        """Write all records, put what was written in place, and return what came of it."""
        selection, place = self._selection, self._place
        about = await self._form.gather(selection.storage, selection.jobs)
        if isinstance(about, Provenance):
            about = replace(about, chosen=self._chosen, division=self._shape.division)
        self._report.unfinished = await unfinished_runs(selection.storage, selection.jobs)
        with place:  # until the thread is done: nothing may be removed under its hands
            async with writing_thread(self._report.path) as call:
                writer: FormWriter = await call(lambda: self._form.open(place.partial, about))
                conveyor = Conveyor(self._shape.steps, writer, self._pass_over, self._shape.limit)
                writer.expect(self._shape.fields or ())
                try:
                    await self._hand_over(conveyor, call)
                    await self._finish(conveyor, call)
                    self._report.conflicts = list(writer.conflicts)
                    self._report.splits = self._shape.division.report(writer.rows_of_splits)
                except BaseException as error:
                    if not isinstance(error, Exception):  # cancelled: the thread may still be at it
                        conveyor.stop()
                        place.stop()
                    with suppress(StorageIOError):  # what could not be written is not wanted any more
                        await asyncio.shield(call(conveyor.close))
                    raise
                await asyncio.shield(call(conveyor.close))
                self._report.bytes = await self._put(call)
        return self._report

    async def _hand_over(self, conveyor: Conveyor, call: Call) -> None:
        done, total = 0, await self._selection.count()
        only_data = self._form.metadata_key is None and self._shape.annotations_key is None
        is_plain = only_data and not self._shape.needs_source and not self._shape.needs_reviews
        scan = self._selection.scan_lines() if is_plain and self._selection.is_whole else self._selection.scan()
        async with aclosing(scan) as batches:
            async for batch in batches:
                if isinstance(batch, ScannedLines):
                    await call(partial(conveyor.add_lines, batch))
                    done += len(batch.lines)
                else:
                    await call(partial(conveyor.add, await self._exported(batch)))
                    done += len(batch)
                self._progress(ExportProgress(done, max(done, total)))
                if conveyor.is_full:
                    break
        if done < total:  # the others did not fit
            self._progress(ExportProgress(done, done))

    async def _finish(self, conveyor: Conveyor, call: Call) -> None:
        loop, written, failures = asyncio.get_running_loop(), 0, list[Exception]()

        def shown(progress: ExportProgress) -> None:
            try:
                self._progress(progress)
            except Exception as error:  # noqa: BLE001 (of the caller's own function, raised below)
                failures.append(error)
                conveyor.stop()

        def told(rows: int) -> None:  # in the writing thread, where the caller's function would not expect to be
            nonlocal written
            written += rows
            loop.call_soon_threadsafe(shown, ExportProgress(written, conveyor.written, "writing"))

        with suppress(ExportStoppedError):
            await call(partial(conveyor.finish, self._report, told))
        if failures:
            raise failures[0]
        self._report.records = conveyor.written

    async def _put(self, call: Call) -> int:
        try:
            return await call(self._place.put)
        except BaseException:
            self._place.stop()
            raise

    async def _exported(self, batch: Sequence[ScannedRecord]) -> list[ExportedRecord]:
        whole: list[ScannedRecord] = []
        for record in batch:
            if record.payload is not None:
                whole.append(record)
            elif record.error is None:
                self._report.without_data += 1
            else:
                self._pass_over(record.record_uid, record.error)
        storage, key = self._selection.storage, self._shape.annotations_key
        metadata = [None] * len(whole) if self._form.metadata_key is None else await describe(storage, whole)
        sources = await sources_of(storage, whole) if self._shape.needs_source else [None] * len(whole)
        reviews = await reviews_of(storage, [one.record_uid for one in whole]) if self._shape.needs_reviews else {}
        found: list[ExportedRecord] = []
        payloads = await beside_data(storage, whole, key, self._form.name)
        for record, about, source, payload in zip(whole, metadata, sources, payloads, strict=True):
            if isinstance(payload, bytes):
                found.append(
                    ExportedRecord(
                        record.record_uid, payload, about, key, source, reviews=reviews.get(record.record_uid)
                    )
                )
            else:
                self._pass_over(record.record_uid, payload)
        return found

    def _pass_over(self, uid: str, error: Exception) -> None:
        if not self._skip_damaged:
            raise error
        # What it says else is how to leave the record out.
        self._report.skip(uid, error.reason if isinstance(error, NotExportableError) else str(error))
