"""The fields of the models as columns. The metadata imports it for the first model that goes in or out."""

from __future__ import annotations

from typing import NamedTuple

from starfish_storage.interface.rows import ExecutionJobRow, MasterJobRow, ProjectRow, RecordRow
from starfish_storage.metadata.fields import Fields
from starfish_storage.models import GenerationJob, GenerationMasterJob, Project, Record


class FieldsOfModels(NamedTuple):
    """Of each model its fields."""

    project: Fields[Project, ProjectRow]
    master_job: Fields[GenerationMasterJob, MasterJobRow]
    execution_job: Fields[GenerationJob, ExecutionJobRow]
    record: Fields[Record, RecordRow]


FIELDS_OF_MODELS = FieldsOfModels(
    Fields(Project, ProjectRow),
    Fields(
        GenerationMasterJob,
        MasterJobRow,
        "master-job status",
        ["request_config_ref", "storage_uri", "metadata_storage_uri_override", "data_storage_uri_override"],
    ),
    Fields(GenerationJob, ExecutionJobRow, "execution-job status", ["run_config_hash"]),
    Fields(Record, RecordRow, "record status", ["output_ref"]),
)
