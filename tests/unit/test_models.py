"""The published fields, their defaults, and what assignment does."""

import hashlib
import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from starfish_storage import GenerationJob, GenerationMasterJob, Project, Record
from starfish_storage.statuses import COUNTED_STATUSES, EXECUTION_JOB_STATUSES, MASTER_JOB_STATUSES, RECORD_STATUSES
from starfish_storage.times import as_utc, utc_now

NAIVE = datetime(2026, 1, 31, 12, tzinfo=UTC).replace(tzinfo=None)
ELSEWHERE = timezone(timedelta(hours=5, minutes=30))

REQUIRED: dict[type[BaseModel], dict[str, Any]] = {
    Project: {"name": "n"},
    GenerationMasterJob: {
        "project_id": "p",
        "request_config_ref": "configs/m.request.json",
        "output_schema": {},
        "storage_uri": "file:///x",
        "target_record_count": 1,
    },
    GenerationJob: {"master_job_id": "m"},
    Record: {"job_id": "j", "master_job_id": "m"},
}
PUBLISHED: dict[type[BaseModel], str] = {
    Project: "project_id name description created_when updated_when",
    GenerationMasterJob: "master_job_id project_id name status request_config_ref output_schema storage_uri "
    "metadata_storage_uri_override data_storage_uri_override target_record_count completed_record_count "
    "filtered_record_count duplicate_record_count failed_record_count creation_time start_time end_time "
    "last_update_time summary",
    GenerationJob: "job_id master_job_id status run_config run_config_hash attempted_generations "
    "produced_outputs_count completed_record_count filtered_record_count duplicate_record_count "
    "failed_record_count creation_time start_time end_time last_update_time worker_id error_message",
    Record: "record_uid job_id master_job_id status output_ref start_time end_time last_update_time error_message",
}
TIMES_BY_DEFAULT = {
    Project: ["created_when", "updated_when"],
    GenerationMasterJob: ["creation_time", "last_update_time"],
    GenerationJob: ["creation_time", "last_update_time"],
    Record: ["start_time", "end_time", "last_update_time"],
}
every_model = pytest.mark.parametrize("model", list(REQUIRED), ids=lambda model: model.__name__)


def made(model: type[BaseModel], **fields: Any) -> Any:
    return model(**{**REQUIRED[model], **fields})


@every_model
def test_the_fields_are_the_published_ones(model: type[BaseModel]) -> None:
    published = PUBLISHED[model].split()
    assert [name for name in model.model_fields if name in published] == published  # new ones may stand among them
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    assert required == set(REQUIRED[model])
    assert all(field.description for field in model.model_fields.values())


@every_model
def test_the_id_is_a_random_uuid_by_default(model: type[BaseModel]) -> None:
    name = next(iter(model.model_fields))
    first, second = getattr(made(model), name), getattr(made(model), name)
    assert UUID(first).version == 4
    assert str(UUID(first)) == first != second


@every_model
def test_times_are_now_by_default_or_none(model: type[BaseModel]) -> None:
    before = utc_now()
    one = made(model)
    after = utc_now()
    for name, field in model.model_fields.items():
        value = getattr(one, name)
        if name in TIMES_BY_DEFAULT[model]:
            assert before <= value <= after
            assert value.tzinfo is UTC
        elif not field.is_required() and field.default_factory is None:
            assert value in (None, 0, "pending")


def test_statuses() -> None:
    """The published ones are there; others may come."""
    assert set(MASTER_JOB_STATUSES) >= {
        "pending", "running", "completed", "failed", "completed_with_errors", "cancelled",
    }  # fmt: skip
    seven = {"pending", "running", "completed", "duplicate", "filtered", "failed", "cancelled"}
    assert set(EXECUTION_JOB_STATUSES) >= seven
    assert set(RECORD_STATUSES) >= seven
    assert set(COUNTED_STATUSES) <= set(RECORD_STATUSES)
    for model in (GenerationMasterJob, GenerationJob, Record):
        assert made(model).status == "pending"


@pytest.mark.parametrize("model", [GenerationMasterJob, GenerationJob, Record])
def test_statuses_are_validated_when_made_and_when_assigned(model: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="status"):
        made(model, status="unknown")
    one = made(model)
    one.status = "completed"
    with pytest.raises(ValidationError, match="status"):
        one.status = "unknown"
    assert one.status == "completed"


@every_model
def test_assigned_times_become_utc(model: type[BaseModel]) -> None:
    name = TIMES_BY_DEFAULT[model][0]
    one = made(model)
    setattr(one, name, NAIVE)
    assert getattr(one, name) == NAIVE.replace(tzinfo=UTC)
    setattr(one, name, NAIVE.replace(tzinfo=ELSEWHERE))
    assert getattr(one, name).isoformat() == "2026-01-31T06:30:00+00:00"
    setattr(one, name, "2026-01-31T12:00:00+02:00")
    assert getattr(one, name).isoformat() == "2026-01-31T10:00:00+00:00"
    assert getattr(one, name).tzinfo is UTC
    with pytest.raises(ValidationError):
        setattr(one, name, "yesterday")


@every_model
def test_times_that_utc_cannot_express_are_refused(model: type[BaseModel]) -> None:
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    last = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-14)))
    for moment in (first, last):
        with pytest.raises(ValidationError):
            made(model, **{TIMES_BY_DEFAULT[model][0]: moment})


def test_as_utc() -> None:
    assert as_utc(NAIVE) == NAIVE.replace(tzinfo=UTC)
    assert as_utc(NAIVE.replace(tzinfo=ELSEWHERE)).tzinfo is UTC
    moment = utc_now()
    assert as_utc(moment) is moment
    assert as_utc(moment.replace(tzinfo=timezone(timedelta(0)))).tzinfo is UTC


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        (None, None, None),
        (NAIVE, None, None),
        (None, NAIVE, None),
        (NAIVE, NAIVE.replace(tzinfo=UTC) + timedelta(seconds=1.5), 1.5),
        (NAIVE.replace(tzinfo=ELSEWHERE), NAIVE, 5.5 * 3600),
        (NAIVE, NAIVE, 0),
        (NAIVE + timedelta(seconds=2), NAIVE, -2),
    ],
)
def test_durations_with_mixed_zones(start: datetime | None, end: datetime | None, seconds: float | None) -> None:
    job = made(GenerationJob, start_time=start, end_time=end)
    assert job.get_duration_seconds() == seconds
    job = made(GenerationJob)
    job.start_time, job.end_time = start, end
    assert job.get_duration_seconds() == seconds


def test_json_objects_may_be_given_as_text() -> None:
    assert made(GenerationMasterJob, output_schema='{"a": [1]}').output_schema == {"a": [1]}
    assert made(GenerationJob, run_config='{"b": 2}').run_config == {"b": 2}
    job = made(GenerationJob)
    job.run_config = '{"c": 3}'
    assert job.run_config == {"c": 3}


@pytest.mark.parametrize("value", ["{", "[1]", "1", "null", "", [1], 7])
def test_what_is_no_json_object_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="output_schema"):
        made(GenerationMasterJob, output_schema=value)
    with pytest.raises(ValidationError, match="run_config"):
        made(GenerationJob, run_config=value)


def hash_of(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def test_the_hash_is_derived_and_follows() -> None:
    job = made(GenerationJob)
    assert job.run_config_hash is None
    job.run_config = {"b": 1, "a": "ü"}
    assert job.run_config_hash == hash_of({"a": "ü", "b": 1})
    job.run_config = {"other": True}
    assert job.run_config_hash == hash_of({"other": True})
    assert made(GenerationJob, run_config='{"x": 1}').run_config_hash == hash_of({"x": 1})
    assert "run_config_hash" not in job.model_fields_set


def test_a_given_hash_stays() -> None:
    job = made(GenerationJob, run_config={"a": 1}, run_config_hash="mine")
    job.run_config = {"b": 2}
    assert job.run_config_hash == "mine"
    job = made(GenerationJob, run_config={"a": 1})
    job.run_config_hash = "assigned"
    job.run_config = {"b": 2}
    assert job.run_config_hash == "assigned"


def test_a_hash_that_cannot_be_derived_is_left_to_saving() -> None:
    assert made(GenerationJob, run_config={"a": math.nan}).run_config_hash is None


@pytest.mark.parametrize("count", [2**63, -(2**63) - 1, 1.5, "many", None])
def test_counts_fit_a_database(count: object) -> None:
    with pytest.raises(ValidationError, match="completed_record_count"):
        made(GenerationJob, completed_record_count=count)
    with pytest.raises(ValidationError, match="target_record_count"):
        made(GenerationMasterJob, target_record_count=count)


@every_model
def test_models_survive_json_and_copies(model: type[BaseModel]) -> None:
    one = made(model)
    assert model.model_validate_json(one.model_dump_json()) == one
    assert model.model_validate(one.model_dump()) == one
    assert one.model_copy(deep=True) == one
