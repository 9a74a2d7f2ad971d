"""Exporting: from a scan of the store to a file, with all that can go wrong between them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from starfish_storage.errors import InvalidInputError
from starfish_storage.export.annotations import annotations_key, beside_data
from starfish_storage.export.conveyor import Conveyor
from starfish_storage.export.destination import (
    Call,
    Destination,
    refuse_place_of_store,
    resolved,
    writing_thread,
)
from starfish_storage.export.endings import form_of
from starfish_storage.export.forms import Form, FormWriter, check_metadata_key
from starfish_storage.export.halves import HalvesReplaced
from starfish_storage.export.metadata import describe
from starfish_storage.export.provenance import Provenance
from starfish_storage.export.records import ExportedRecord
from starfish_storage.export.report import ExportProgress, ExportReport
from starfish_storage.export.selection import DEFAULT_STATUSES, Selection, accepting, select
from starfish_storage.export.sources import sources_of
from starfish_storage.filtering import Condition, Sample
from starfish_storage.interface import ScannedRecord, Storage

OnProgress = Callable[[ExportProgress], None]


async def export(
    storage: Storage,
    destination: str | os.PathLike[str],
    form: Form | None = None,
    *,
    master_job_ids: Sequence[str] = (),
    project_id: str | None = None,
    statuses: Sequence[str] | None = DEFAULT_STATUSES,
    where: Sequence[str | Condition] = (),
    sample: Sample | None = None,
    accepted_only: bool = False,
    with_annotations: bool | str = False,
    skip_damaged: bool = False,
    overwrite: bool = False,
    progress: OnProgress | None = None,
) -> ExportReport:
    """Write the records of master jobs into a file or directory, which appears once it is complete.

    The order is fixed: master jobs as they were given, those of a project oldest first, the records of each oldest
    first by start time, then by uid. The same records give the same bytes. Memory does not grow with their number.

    Args:
        storage: the store, set up; it is not changed.
        destination: the file or directory to make.
        form: what to write; None to infer it from the ending of the destination (see `form_of`).
        master_job_ids: whose records.
        project_id: the records of all its master jobs.
        statuses: only records in one of these statuses; None for all.
        where: only records that fit all of these conditions, such as ``"score>=0.5"``: see `filtering.Condition`.
        sample: so many records of each master job, of those that fit, in the order of a shuffle.
        accepted_only: only records that at least one author has accepted, and none has rejected.
        with_annotations: True, or a key, to add what people say of each record, as a list under ``annotations`` or that
            key: ``kind``, a member of this name with the value (of an edit: ``version``), ``author`` and ``time``.
        skip_damaged: leave out and report records that are lost, damaged or do not fit; else the first ends it.
        overwrite: replace what is at the destination, at the end and in one step.
        progress: called now and then with how far it is.

    Raises:
        InvalidInputError: no records are named, or the destination, the form or a condition cannot be used.
        NotFoundError: a master job or the project does not exist. `AlreadyExistsError` if the destination does.
        DataLostError: the data of a record is lost. `StoreDamagedError` if it is damaged.
        NotExportableError: the form cannot hold a record. `StorageIOError` if writing failed: nothing has changed then.
    """
    path = resolved(destination)
    chosen = form or form_of(path)
    _check_place(storage, path, os.fspath(destination), chosen)
    key = annotations_key(with_annotations, check_metadata_key(chosen.metadata_key))
    selection = await select(storage, master_job_ids, project_id, statuses, accepting(where, accepted_only), sample)
    place = Destination(path, is_directory=chosen.is_directory, overwrite=overwrite, is_own=chosen.is_own_directory)
    return await _Export(selection, chosen, path, skip_damaged, key).write(place, progress)


def _check_place(storage: Storage, path: str, given: str, form: Form) -> None:
    """Refuse a destination that is, contains or lies in the store, and a name that ends in ``/`` for a file."""
    if given.endswith("/") and not form.is_directory:
        raise InvalidInputError(f"{given!a} names a directory, but {form.name} writes a file: remove the last '/'.")
    refuse_place_of_store(storage, path)


class _Export:
    """The records of one export on their way."""

    def __init__(
        self, selection: Selection, form: Form, path: str, skip_damaged: bool, annotations_key: str | None
    ) -> None:
        self._selection = selection
        self._form = form
        self._steps = [*form.reshapers(), HalvesReplaced()]
        self._needs_source = form.needs_source or any(step.needs_source for step in self._steps)
        jobs = [job.master_job_id for job in selection.jobs]
        self._report = ExportReport(path, form.name, jobs, **selection.chosen())
        self._skip_damaged = skip_damaged
        self._annotations_key = annotations_key

    async def write(self, place: Destination, progress: OnProgress | None) -> ExportReport:
        """Write all records, put what was written in place, and return what came of it."""
        about = await self._form.gather(self._selection.storage, self._selection.jobs)
        if isinstance(about, Provenance):
            about = replace(about, chosen=self._selection.chosen())
        with place:  # until the thread is done: nothing may be removed under its hands
            async with writing_thread(self._report.path) as call:
                writer: FormWriter = await call(lambda: self._form.open(place.partial, about))
                conveyor = Conveyor(self._steps, writer, self._pass_over)
                try:
                    await self._hand_over(conveyor, call, progress)
                    await call(partial(conveyor.finish, self._report))
                    self._report.records = conveyor.written
                    self._report.conflicts = list(writer.conflicts)
                finally:
                    await asyncio.shield(call(conveyor.close))
                self._report.bytes = await call(place.put)
        return self._report

    async def _hand_over(self, conveyor: Conveyor, call: Call, progress: OnProgress | None) -> None:
        done, total = 0, await self._selection.count()
        async for batch in self._selection.scan():
            await call(partial(conveyor.add, await self._exported(batch)))
            done += len(batch)
            if progress is not None:
                progress(ExportProgress(done, max(done, total)))
        if progress is not None and done < total:  # the others did not fit
            progress(ExportProgress(done, done))

    async def _exported(self, batch: Sequence[ScannedRecord]) -> list[ExportedRecord]:
        whole: list[ScannedRecord] = []
        for record in batch:
            if record.payload is not None:
                whole.append(record)
            elif record.error is None:
                self._report.without_data += 1
            else:
                self._pass_over(record.record_uid, record.error)
        storage, key = self._selection.storage, self._annotations_key
        metadata = [None] * len(whole) if self._form.metadata_key is None else await describe(storage, whole)
        sources = await sources_of(storage, whole) if self._needs_source else [None] * len(whole)
        found: list[ExportedRecord] = []
        payloads = await beside_data(storage, whole, key, self._form.name)
        for record, about, source, payload in zip(whole, metadata, sources, payloads, strict=True):
            if isinstance(payload, bytes):
                found.append(ExportedRecord(record.record_uid, payload, about, key, source))
            else:
                self._pass_over(record.record_uid, payload)
        return found

    def _pass_over(self, uid: str, error: Exception) -> None:
        if not self._skip_damaged:
            raise error
        self._report.skip(uid, str(error))
