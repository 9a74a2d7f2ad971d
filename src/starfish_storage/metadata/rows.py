"""Models to rows and back: the only codec between them.

Times are text in UTC of fixed width, so that their order is
the order of the text; dicts are JSON text; references are root-relative keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from starfish_storage.codec import canonical_hash
from starfish_storage.errors import InvalidUriError
from starfish_storage.identifiers import check_id
from starfish_storage.interface.rows import (
    ExecutionJobEndRow,
    ExecutionJobRow,
    MasterJobEndRow,
    MasterJobRow,
    ProjectRow,
    RecordRow,
    WholeRecordRow,
)
from starfish_storage.interface.version_rows import RecordVersionRow, WholeVersionRow
from starfish_storage.keys import check_record_key, check_request_config_name, version_key
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.values import (
    optional_json_text,
    optional_text,
    optional_timestamp,
    record_counts,
    status,
    text,
    timestamp,
)
from starfish_storage.statuses import EXECUTION_JOB_STATUSES, MASTER_JOB_STATUSES
from starfish_storage.uri import path_of_file_uri, without_password

if TYPE_CHECKING:
    from starfish_storage.metadata.model_fields import FieldsOfModels
    from starfish_storage.models import GenerationJob, GenerationMasterJob, Project, Record

_HERE = "."
"""Stands in a row for the URI of the storage itself, which is another wherever the store lies."""


class References(Protocol):
    """What the codec needs of a data handler: references to keys and back."""

    def to_key(self, reference: str) -> str:
        """Return the key that a reference means."""
        ...

    def to_reference(self, key: str) -> str:
        """Return the reference under which callers see a key."""
        ...


class RowCodec:
    """Turns models into rows and rows into models, for one storage.

    Args:
        references: turns references into keys and back.
        storage_uri: the storage's own URI; stored as a mark, so that a moved store hands out where it lies now.
        data_uri: the URI of the data, where it lies elsewhere.
    """

    def __init__(self, references: References, storage_uri: str, data_uri: str | None) -> None:
        self._references = references
        self._storage_uri = storage_uri
        self._data_uri = data_uri

    @cached_property
    def _models(self) -> FieldsOfModels:
        """What knows the models; imported when the first is asked for, because pydantic takes long to import."""
        from starfish_storage.metadata.model_fields import FIELDS_OF_MODELS

        return FIELDS_OF_MODELS

    def project_row(self, project: Project) -> ProjectRow:
        """Return the parameters of ``save_project``."""
        return self._models.project.row(self._models.project.model_of(project))

    def project(self, row: Row) -> Project:
        """Return the project of a row."""
        return self._models.project.model(self._models.project.values(row))

    def master_job_row(self, job: GenerationMasterJob) -> MasterJobRow:
        """Return the parameters of ``insert_master_job``."""
        job = self._models.master_job.model_of(job)
        # Nobody needs the passwords: who opens the store has given them.
        uri = without_password(text("storage_uri", job.storage_uri))
        metadata_uri = optional_text("metadata_storage_uri_override", job.metadata_storage_uri_override)
        data_uri = _without_password(optional_text("data_storage_uri_override", job.data_storage_uri_override))
        return self._models.master_job.row(
            job,
            request_config_ref=self._request_config_name(job.request_config_ref),
            storage_uri=_HERE if _same_place(uri, self._storage_uri) else uri,
            metadata_storage_uri_override=_without_password(metadata_uri),
            data_storage_uri_override=_HERE if _same_place(data_uri, self._data_uri) else data_uri,
        )

    def master_job_end_row(
        self,
        master_job_id: str,
        final_status: str,
        summary: dict[str, Any] | None,
        end_time: datetime,
        update_time: datetime,
    ) -> MasterJobEndRow:
        """Return the parameters of ``end_master_job``."""
        return MasterJobEndRow(
            status("master-job status", final_status, MASTER_JOB_STATUSES),
            optional_json_text("summary", summary),
            optional_timestamp("end_time", end_time),
            timestamp("update_time", update_time),
            *record_counts(summary, "summary"),
            check_id("master_job_id", master_job_id),
        )

    def _request_config_name(self, reference: str) -> str:
        return check_request_config_name(self._references.to_key(reference), reference)

    def master_job(self, row: Row) -> GenerationMasterJob:
        """Return the master job of a row."""
        fields = self._models.master_job
        return fields.model(fields.values(self.listed_master_job(row)))

    def listed_master_job(self, row: Row) -> MasterJobRow:
        """Return a row of a master job as callers may see it: with references and URIs of where the store lies now."""
        job = MasterJobRow._make(row)
        is_here, data_is_here = job.storage_uri == _HERE, job.data_storage_uri_override == _HERE
        return job._replace(
            request_config_ref=self._references.to_reference(job.request_config_ref),
            storage_uri=self._storage_uri if is_here else job.storage_uri,
            data_storage_uri_override=self._data_uri if data_is_here else job.data_storage_uri_override,
        )

    def execution_job_row(self, job: GenerationJob) -> ExecutionJobRow:
        """Return the parameters of ``save_execution_job``."""
        job = self._models.execution_job.model_of(job)
        given = job.run_config_hash if "run_config_hash" in job.model_fields_set else None
        if given is None and job.run_config is not None:
            given = canonical_hash(job.run_config)
        return self._models.execution_job.row(job, run_config_hash=optional_text("run_config_hash", given))

    def execution_job_end_row(
        self,
        job_id: str,
        final_status: str,
        counts: dict[str, int],
        end_time: datetime,
        update_time: datetime,
        error_message: str | None,
    ) -> ExecutionJobEndRow:
        """Return the parameters of ``end_execution_job``."""
        return ExecutionJobEndRow(
            status("execution-job status", final_status, EXECUTION_JOB_STATUSES),
            optional_json_text("counts", counts),
            optional_timestamp("end_time", end_time),
            timestamp("update_time", update_time),
            optional_text("error_message", error_message),
            *record_counts(counts, "counts"),
            check_id("job_id", job_id),
        )

    def execution_job(self, row: Row) -> GenerationJob:
        """Return the execution job of a row."""
        return self._models.execution_job.model(self._models.execution_job.values(row))

    def record_row(self, record: Record, key: str | None = None, digest: str | None = None) -> RecordRow:
        """Return the parameters of ``save_record``.

        Args:
            record: the record.
            key: the key of its data; without it, the one that ``output_ref`` means.
            digest: of its data, where that is saved with it.
        """
        record = self._models.record.model_of(record)
        if key is None and record.output_ref is not None:
            key = check_record_key(self._references.to_key(record.output_ref))
        return self._models.record.row(record, output_ref=key, data_sha256=digest)

    def record(self, row: Row) -> Record:
        """Return the record of a row."""
        fields = self._models.record
        values = fields.values(row)
        if values["output_ref"] is not None:
            values["output_ref"] = self._references.to_reference(values["output_ref"])
        return fields.model(values)


def placed_records(found: Sequence[Row]) -> tuple[list[RecordRow], list[str | None]]:
    """Return the records of a scan and, in a second list, the places of their data.

    The query selects the columns of a record, the version of its data, and what stands beside them.
    """
    named, width = RecordRow._make, len(RecordRow._fields)
    records: list[RecordRow] = []
    places: list[str | None] = []
    for columns in found:
        record = named(columns[:width])
        version, *_ = columns[width:]
        place = record.output_ref
        if version is not None and place is not None:
            place = version_key(place, version)
        records.append(record)
        places.append(place)
    return records, places


def whole_records(found: Sequence[Row]) -> list[WholeRecordRow]:
    """Return the records of a scan, each with its unique key and the place of its data."""
    unique_keys = [unique_key for *_, unique_key, _, _ in found]
    attempts = [attempt for *_, attempt, _ in found]
    numbers = [number for *_, number in found]
    records, places = placed_records(found)
    return list(map(WholeRecordRow, records, unique_keys, places, attempts, numbers))


def whole_versions(found: Sequence[Row]) -> list[WholeVersionRow]:
    """Return versions of records, each with the place of its data.

    The query selects the columns of a version, and the version of its data.
    """
    versions = [(RecordVersionRow._make(columns), data_version) for *columns, data_version in found]
    return [
        WholeVersionRow(row, None if row.output_ref is None else version_key(row.output_ref, version))
        for row, version in versions
    ]


def _same_place(uri: str | None, own: str | None) -> bool:
    """Return whether a URI, however it is spelled, names the storage's own place."""
    if uri is None or own is None or uri == own:
        return uri is not None and uri == own
    try:
        return path_of_file_uri(uri) == path_of_file_uri(own)
    except InvalidUriError:
        return False


def _without_password(uri: str | None) -> str | None:
    return None if uri is None else without_password(uri)
