"""Projects, jobs and records: the published fields and their statuses. No I/O.

Assigned values are validated, and every time is an aware one in UTC; a naive one is read as UTC.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from starfish_storage.codec import canonical_hash
from starfish_storage.errors import InvalidDataError
from starfish_storage.html_tables import html_of_fields
from starfish_storage.statuses import StatusExecutionJob, StatusMasterJob, StatusRecord
from starfish_storage.times import as_utc, utc_now

_UUID_4 = 0x4000 << 64 | 0x8000 << 48
_UUID_BITS = 0xF000 << 64 | 0xC000 << 48
"""The version and the variant of a random UUID, and where they stand in it."""


def _random_uuid() -> str:
    # What `str(uuid.uuid4())` gives, in half the time: each record has one.
    digits = f"{int.from_bytes(os.urandom(16)) & ~_UUID_BITS | _UUID_4:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _parsed_json(value: object) -> object:
    """Accept a dict written as a JSON string, as the published models do."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"not a JSON string: {error}") from error
    if isinstance(value, Mapping):
        for key in cast("Mapping[object, object]", value):
            if not isinstance(key, str):  # refused here, because pydantic would quote the key
                raise ValueError(f"a key of type {type(key).__name__} is not JSON; use strings")  # noqa: TRY004
    return cast("object", value)


Utc = Annotated[datetime, AfterValidator(as_utc)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_parsed_json)]
Count = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # the range of an integer column


class _Model(BaseModel):
    # An error names the field; it does not quote the value, which may be content or a secret.
    model_config = ConfigDict(from_attributes=True, validate_assignment=True, hide_input_in_errors=True)


class Project(_Model):
    """A group of master jobs."""

    project_id: str = Field(default_factory=_random_uuid, description="Unique id; a random UUID by default.")
    name: str = Field(description="Name for people; need not be unique.")
    description: str | None = Field(default=None, description="What the project is for.")
    created_when: Utc = Field(default_factory=utc_now, description="When it was created (UTC).")
    updated_when: Utc = Field(default_factory=utc_now, description="When it was last changed (UTC).")

    def _repr_html_(self) -> str:
        """Return it as notebooks show it."""
        fields = self.model_dump(exclude={"name"}).items()
        return html_of_fields(f"project {self.name}", ((name.replace("_", " "), value) for name, value in fields))


class GenerationMasterJob(_Model):
    """One request for a number of records."""

    master_job_id: str = Field(default_factory=_random_uuid, description="Unique id; a random UUID by default.")
    project_id: str = Field(description="The project it belongs to, which must exist.")
    name: str | None = Field(default=None, description="Name for people.")
    status: StatusMasterJob = Field(default="pending", description="State of the whole request.")
    request_config_ref: str = Field(description="Reference to the request configuration, a JSON file.")
    output_schema: JsonObject = Field(description="JSON Schema of a record's data; a JSON string is accepted.")
    storage_uri: str = Field(description="URI of the storage it was started on.")
    metadata_storage_uri_override: str | None = Field(default=None, description="Where metadata lies instead.")
    data_storage_uri_override: str | None = Field(default=None, description="Where data lies instead.")
    target_record_count: Count = Field(description="Number of distinct, valid records asked for.")
    completed_record_count: Count = Field(default=0, description="Records that were kept.")
    filtered_record_count: Count = Field(default=0, description="Records that a check rejected.")
    duplicate_record_count: Count = Field(default=0, description="Records that were there already.")
    failed_record_count: Count = Field(default=0, description="Records that could not be made.")
    creation_time: Utc = Field(default_factory=utc_now, description="When it was requested (UTC).")
    start_time: Utc | None = Field(default=None, description="When work on it began (UTC).")
    end_time: Utc | None = Field(default=None, description="When it reached a final state (UTC).")
    last_update_time: Utc = Field(default_factory=utc_now, description="When it was last changed (UTC).")
    summary: JsonObject | None = Field(default=None, description="The summary given to `log_master_job_end`, whole.")


class GenerationJob(_Model):
    """An execution job: one unit of work of a master job, with one input."""

    job_id: str = Field(default_factory=_random_uuid, description="Unique id; a random UUID by default.")
    master_job_id: str = Field(description="The master job it belongs to, which must exist.")
    status: StatusExecutionJob = Field(default="pending", description="State of this unit of work.")
    run_config: JsonObject | None = Field(default=None, description="The input; a JSON string is accepted.")
    run_config_hash: str | None = Field(
        default=None, description="Identity of the input; by default the SHA-256 of its canonical JSON, in hex."
    )
    attempted_generations: Count = Field(default=0, description="Generation attempts made.")
    produced_outputs_count: Count = Field(default=0, description="Outputs the generator returned.")
    completed_record_count: Count = Field(default=0, description="Records that were kept.")
    filtered_record_count: Count = Field(default=0, description="Records that a check rejected.")
    duplicate_record_count: Count = Field(default=0, description="Records that were there already.")
    failed_record_count: Count = Field(default=0, description="Records that could not be made.")
    creation_time: Utc = Field(default_factory=utc_now, description="When it was created (UTC).")
    start_time: Utc | None = Field(default=None, description="When work on it began (UTC).")
    end_time: Utc | None = Field(default=None, description="When work on it ended (UTC).")
    last_update_time: Utc = Field(default_factory=utc_now, description="When it was last changed (UTC).")
    worker_id: str | None = Field(default=None, description="Who works on it.")
    error_message: str | None = Field(default=None, description="Why it failed as a whole.")

    @model_validator(mode="after")
    def _derive_run_config_hash(self) -> Self:
        # A derived hash does not count as a set field, so it follows when another `run_config` is assigned.
        if self.run_config is not None and "run_config_hash" not in self.model_fields_set:
            try:
                derived = canonical_hash(self.run_config)
            except InvalidDataError:
                derived = None  # saving the job refuses the input and says where and why
            vars(self)["run_config_hash"] = derived
        return self

    def get_duration_seconds(self) -> float | None:
        """Return the seconds from ``start_time`` to ``end_time``, or None while either is unknown."""
        if self.start_time is None or self.end_time is None:
            return None
        # In UTC: Python compares two times of one zone, as a copy may have them, by the clock on the wall.
        return (as_utc(self.end_time) - as_utc(self.start_time)).total_seconds()


class Record(_Model):
    """One generated artifact of an execution job; its data lies behind ``output_ref``."""

    record_uid: str = Field(default_factory=_random_uuid, description="Unique id; a random UUID by default.")
    job_id: str = Field(description="The execution job that made it, which must exist.")
    master_job_id: str = Field(description="The master job it belongs to, which must exist.")
    status: StatusRecord = Field(default="pending", description="What became of it.")
    output_ref: str | None = Field(default=None, description="Reference to its data, as saving returned it.")
    start_time: Utc = Field(default_factory=utc_now, description="When the generator produced it (UTC).")
    end_time: Utc = Field(default_factory=utc_now, description="When its status was settled (UTC).")
    last_update_time: Utc = Field(default_factory=utc_now, description="When it was last changed (UTC).")
    error_message: str | None = Field(default=None, description="What went wrong with it.")
