"""Bad input to an open store: the exact error, an id, a reason and a remedy in its message, and nothing written."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from starfish_storage import LocalStorage, Storage
from starfish_storage.errors import (
    AlreadyExistsError,
    DataNotFoundError,
    IdCollisionError,
    InvalidDataError,
    InvalidInputError,
    InvalidReferenceError,
    InvalidStatusError,
    NotEmptyError,
    NotFoundError,
    ParentNotFoundError,
    StorageError,
)
from starfish_storage.testing.hostile import NOT_JSON
from starfish_storage.testing.samples import (
    JOB,
    MASTER_JOB,
    PROJECT,
    a_master_job,
    a_record,
    an_execution_job,
    at,
    save_run,
)
from starfish_storage.testing.suites.suite import collected
from unit.store_on_disk import data_of, everything_in

Call = Callable[[Storage], Awaitable[object]]
STATUSES = "pending, running, completed"


class Case(NamedTuple):
    """A call that is refused, and what its error says."""

    kind: type[StorageError]
    says: tuple[str, ...]
    call: Call


def of_status(status: str) -> Any:
    return {"status": status}


UNKNOWN_STATUSES = {
    "project's master job": Case(
        InvalidStatusError,
        ("master-job status 'done'", "use one of " + STATUSES),
        lambda s: s.log_master_job_start(a_master_job(s, "m2").model_copy(update=of_status("done"))),
    ),
    "end of a master job": Case(
        InvalidStatusError,
        ("'filtered'", "use one of", "completed_with_errors"),
        lambda s: s.log_master_job_end(MASTER_JOB, "filtered", {}, at(1), at(2)),
    ),
    "update of a master job": Case(
        InvalidStatusError, ("'RUNNING'", STATUSES), lambda s: s.update_master_job_status(MASTER_JOB, "RUNNING", at(1))
    ),
    "execution job": Case(
        InvalidStatusError,
        ("execution-job status 'done'", STATUSES),
        lambda s: s.log_execution_job_start(an_execution_job().model_copy(update=of_status("done"))),
    ),
    "end of an execution job": Case(
        InvalidStatusError, ("''", STATUSES), lambda s: s.log_execution_job_end(JOB, "", {}, at(1), at(2))
    ),
    "record": Case(
        InvalidStatusError,
        ("record status 'done'", STATUSES),
        lambda s: s.log_record_metadata(a_record().model_copy(update=of_status("done"))),
    ),
    "record with data": Case(
        InvalidStatusError,
        ("record status 'done'", STATUSES),
        lambda s: s.save_record(a_record().model_copy(update=of_status("done")), {}),
    ),
    "filter of master jobs": Case(
        InvalidStatusError, ("'done'", STATUSES), lambda s: s.list_master_jobs(status_filter=["done"])
    ),
    "filter of execution jobs": Case(
        InvalidStatusError, ("'done'", STATUSES), lambda s: s.list_execution_jobs(MASTER_JOB, ["pending", "done"])
    ),
    "filter of records": Case(
        InvalidStatusError, ("'done'", STATUSES), lambda s: s.get_records_for_master_job(MASTER_JOB, ["done"])
    ),
    "filter of counts": Case(
        InvalidStatusError, ("'done'", STATUSES), lambda s: s.count_records_for_master_job(MASTER_JOB, ["done"])
    ),
    "filter of a stream": Case(
        InvalidStatusError, ("'done'", STATUSES), lambda s: collected(s.iter_records(MASTER_JOB, ["done"]))
    ),
    "status of a look-up": Case(
        InvalidStatusError,
        ("'done'", STATUSES),
        lambda s: s.list_execution_jobs_by_master_id_and_config_hash(MASTER_JOB, "h", "done"),
    ),
    "bare string as a filter": Case(
        InvalidInputError,
        ("must be a list", "['completed']"),
        lambda s: s.get_records_for_master_job(MASTER_JOB, "completed"),
    ),
}

SAME_BUT_FOR_CASE = {
    "save_record": Case(
        IdCollisionError, ("'RECORD-1'", "'record-1'", "case"), lambda s: s.save_record(a_record("RECORD-1"), {})
    ),
    "save_records": Case(
        IdCollisionError,
        ("'New'", "'NEW'", "case"),
        lambda s: s.save_records([(a_record("NEW"), {}), (a_record("New"), {})]),
    ),
    "save_record_data": Case(
        IdCollisionError,
        ("'Record-1'", "'record-1'", "case"),
        lambda s: s.save_record_data("Record-1", MASTER_JOB, JOB, {}),
    ),
    "log_record_metadata": Case(
        IdCollisionError, ("'Record-1'", "'record-1'", "case"), lambda s: s.log_record_metadata(a_record("Record-1"))
    ),
    "save_request_config": Case(
        IdCollisionError,
        ("'Master-1'", "'master-1'", "case"),
        lambda s: s.save_request_config(s.generate_request_config_path("Master-1"), {}),
    ),
    "log_master_job_start": Case(
        IdCollisionError,
        ("'MASTER-1'", "'master-1'", "case"),
        lambda s: s.log_master_job_start(a_master_job(s, "MASTER-1")),
    ),
}


def outside(reference: str, *more: str) -> dict[str, Case]:
    """Return the cases of a reference that lies outside the store."""
    says = (ascii(reference)[1:-1], "cannot be used", "Use a reference that this store returned", *more)
    return {
        f"read {reference}": Case(InvalidReferenceError, says, lambda s: s.get_record_data(reference)),
        f"read many {reference}": Case(InvalidReferenceError, says, lambda s: s.get_records_data([reference])),
        f"read config {reference}": Case(InvalidReferenceError, says, lambda s: s.get_request_config(reference)),
        f"write config {reference}": Case(InvalidReferenceError, says, lambda s: s.save_request_config(reference, {})),
        f"refer to {reference}": Case(
            InvalidReferenceError, says, lambda s: s.log_record_metadata(a_record("r2", output_ref=reference))
        ),
        f"configure with {reference}": Case(
            InvalidReferenceError,
            says,
            lambda s: s.log_master_job_start(a_master_job(s, "m2", request_config_ref=reference)),
        ),
    }


OUTSIDE = {
    **outside("../../etc/passwd", "'..'"),
    **outside("/etc/passwd", "outside"),
    **outside("data/../../x.json", "'..'"),
    **outside("metadata.db"),
    **outside("nul\0", "NUL"),
}


def not_json(value: Any, *says: str) -> dict[str, Case]:
    """Return the cases of a value that is not JSON."""
    return {
        f"save_record_data {says}": Case(
            InvalidDataError, ("'r2'", *says), lambda s: s.save_record_data("r2", MASTER_JOB, JOB, value)
        ),
        f"save_record {says}": Case(InvalidDataError, ("'r2'", *says), lambda s: s.save_record(a_record("r2"), value)),
        f"save_records {says}": Case(
            InvalidDataError, ("'r2'", *says), lambda s: s.save_records([(a_record("r3"), {}), (a_record("r2"), value)])
        ),
        f"save_request_config {says}": Case(
            InvalidDataError,
            ("'m2'", *says),
            lambda s: s.save_request_config(s.generate_request_config_path("m2"), value),
        ),
        f"run_config {says}": Case(
            InvalidDataError,
            ("run_config", *says),
            lambda s: s.log_execution_job_start(an_execution_job("j2").model_copy(update={"run_config": value})),
        ),
        f"summary {says}": Case(
            InvalidDataError,
            ("summary", *says),
            lambda s: s.log_master_job_end(MASTER_JOB, "completed", value, at(1), at(2)),
        ),
    }


VALUES_THAT_ARE_NOT_JSON = {
    **not_json({"score": [1, math.nan]}, "$.score[1]", "nan", "use null"),
    **not_json({"score": -math.inf}, "$.score", "inf", "use null"),
    **not_json({"blob": b"x"}, "$.blob", "bytes", "convert it"),
    **not_json({"when": datetime(2026, 1, 1, tzinfo=UTC)}, "$.when", "datetime", "convert it"),
    **not_json({"all": {1, 2}}, "$.all", "set", "convert it"),
    **not_json({"in": {1: "a", "1": "b"}}, "$.in", "'1'", "use distinct strings"),
    **not_json({"in": {(1,): "a"}}, "$.in", "tuple", "use strings"),
    **not_json(NOT_JSON["nested 10,000 deep"][0](), "more than 250 levels"),
    **not_json([1], "at '$'", "dict", "list"),
}

UNKNOWN_PARENTS = {
    "record of an unknown job": Case(
        ParentNotFoundError,
        ("execution job 'nobody'", "does not exist", "log_execution_job_start"),
        lambda s: s.log_record_metadata(a_record("r2", "nobody")),
    ),
    "record with data of an unknown job": Case(
        ParentNotFoundError,
        ("execution job 'nobody'", "does not exist", "log_execution_job_start"),
        lambda s: s.save_record(a_record("r2", "nobody"), {}),
    ),
    "record of an unknown master job": Case(
        ParentNotFoundError,
        ("master job 'nobody'", "does not exist", "log_master_job_start"),
        lambda s: s.save_record(a_record("r2", master_job_id="nobody"), {}),
    ),
    "job of an unknown master job": Case(
        ParentNotFoundError,
        ("master job 'nobody'", "does not exist", "log_master_job_start"),
        lambda s: s.log_execution_job_start(an_execution_job("j2", "nobody")),
    ),
    "master job of an unknown project": Case(
        ParentNotFoundError,
        ("project 'nobody'", "does not exist", "save it"),
        lambda s: s.log_master_job_start(a_master_job(s, "m2", project_id="nobody")),
    ),
    "end of an unknown master job": Case(
        NotFoundError,
        ("master job 'nobody'", "log_master_job_start"),
        lambda s: s.log_master_job_end("nobody", "completed", {}, at(1), at(2)),
    ),
    "update of an unknown master job": Case(
        NotFoundError,
        ("master job 'nobody'", "log_master_job_start"),
        lambda s: s.update_master_job_status("nobody", "completed", at(1)),
    ),
    "end of an unknown job": Case(
        NotFoundError,
        ("execution job 'nobody'", "log_execution_job_start"),
        lambda s: s.log_execution_job_end("nobody", "completed", {}, at(1), at(2)),
    ),
    "deletion of an unknown master job": Case(
        NotFoundError, ("master job 'nobody'", "deleted before"), lambda s: s.delete_master_job("nobody")
    ),
    "deletion of an unknown project": Case(
        NotFoundError, ("project 'nobody'", "deleted before"), lambda s: s.delete_project("nobody")
    ),
    "deletion of a project that is not empty": Case(
        NotEmptyError, ("'project-1'", "1 master job", "cascade=True"), lambda s: s.delete_project(PROJECT)
    ),
    "second start of a master job": Case(
        AlreadyExistsError, ("'master-1'", "new id"), lambda s: s.log_master_job_start(a_master_job(s))
    ),
    "record of data that is not there": Case(
        DataNotFoundError,
        ("data/00/r2.json", "save_record_data"),
        lambda s: s.log_record_metadata(a_record("r2", output_ref="data/00/r2.json")),
    ),
    "data that is not there": Case(
        DataNotFoundError, ("data/00/r2.json", "never saved"), lambda s: s.get_record_data("data/00/r2.json")
    ),
    "configuration that is not there": Case(
        DataNotFoundError,
        ("m2.request.json", "never saved"),
        lambda s: s.get_request_config(s.generate_request_config_path("m2")),
    ),
}


def impossible_page(name: str, value: Any, says: str) -> dict[str, Case]:
    """Return the cases of a limit or offset that cannot be."""
    page = {name: value}
    return {
        f"{kind} {page}": Case(InvalidInputError, (name, says), lambda s, lister=lister: lister(s, page))
        for kind, lister in {
            "projects": lambda s, page: s.list_projects(**page),
            "master jobs": lambda s, page: s.list_master_jobs(**page),
            "execution jobs": lambda s, page: s.list_execution_jobs(MASTER_JOB, **page),
            "records": lambda s, page: s.get_records_for_master_job(MASTER_JOB, **page),
        }.items()
    }


IMPOSSIBLE_PAGES = {
    **impossible_page("limit", -1, "give 0 or more, or None"),
    **impossible_page("offset", -1, "give 0 or more, or None"),
    **impossible_page("limit", 1 << 63, f"limit {1 << 63} cannot be used: give at most {(1 << 63) - 1}, or None"),
    **impossible_page("offset", 1 << 63, "give at most"),
    **impossible_page("limit", "1", "integer"),
    **impossible_page("offset", 1.5, "integer"),
    "empty batches": Case(
        InvalidInputError,
        ("batch_size 0", "give 1 or more"),
        lambda s: collected(s.iter_records(MASTER_JOB, batch_size=0)),
    ),
    "negative batches": Case(
        InvalidInputError, ("-1",), lambda s: collected(s.iter_records(MASTER_JOB, batch_size=-1))
    ),
}

SECTIONS = {
    "status": UNKNOWN_STATUSES,
    "case only": SAME_BUT_FOR_CASE,
    "outside": OUTSIDE,
    "not JSON": VALUES_THAT_ARE_NOT_JSON,
    "unknown": UNKNOWN_PARENTS,
    "page": IMPOSSIBLE_PAGES,
}


def cases() -> Iterator[Any]:
    for section, some in SECTIONS.items():
        for name, case in some.items():
            yield pytest.param(case, id=ascii(f"{section}: {name}")[1:-1])


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    """A store with a run of one record and its request configuration."""
    async with LocalStorage(tmp_path.as_uri(), durability="process") as storage:
        await save_run(storage)
        await storage.save_request_config(storage.generate_request_config_path(MASTER_JOB), {"model": "m"})
        await storage.save_record(a_record(), {"answer": 42})
        yield storage


@pytest.mark.parametrize("case", list(cases()))
async def test_it_is_refused_and_nothing_is_written(storage: LocalStorage, tmp_path: Path, case: Case) -> None:
    before, data = everything_in(tmp_path), data_of(tmp_path)
    with pytest.raises(StorageError) as caught:
        await case.call(storage)
    assert type(caught.value) is case.kind, str(caught.value)
    for part in case.says:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert everything_in(tmp_path) == before
    assert data_of(tmp_path) == data
    # And the store goes on.
    assert await storage.get_record_data(await storage.save_record(a_record("after"), {"a": 1})) == {"a": 1}
