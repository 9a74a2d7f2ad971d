"""Hypothesis strategies for what a storage is given: ids, JSON objects, and models."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar, get_args

from hypothesis import strategies as st

from starfish_storage.errors import InvalidIdError
from starfish_storage.identifiers import check_id
from starfish_storage.models import GenerationJob, Project, Record
from starfish_storage.redaction import names_secret
from starfish_storage.statuses import StatusExecutionJob, StatusRecord

Value = TypeVar("Value")

_SURROGATES = ("\ud800", "\udbff", "\udc00", "\udfff")


def ids() -> st.SearchStrategy[str]:
    """Ids that can be used, in many alphabets."""
    return st.one_of(
        st.uuids().map(str),
        st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=30).filter(_is_usable),
        st.text(min_size=1, max_size=20).filter(_is_usable),
    )


def json_text() -> st.SearchStrategy[str]:
    """Text of any characters, NUL and lone surrogates among them, but no pair of surrogates.

    A high surrogate followed by a low one is what JSON writes for one other character: saving such text joins them.
    """
    pieces = st.one_of(st.text(max_size=8), st.sampled_from(["\0", "\u2028", "\U0001f419", *_SURROGATES]))
    return st.lists(pieces, max_size=4).map("".join).filter(_has_no_pair)


def json_scalars() -> st.SearchStrategy[Any]:
    """Scalars of JSON: huge integers, -0.0 and the smallest floats among them."""
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, 0, -0.0, 1.0, 5e-324, 1.7976931348623157e308]),
        st.floats(allow_nan=False, allow_infinity=False),
        json_text(),
    )


def json_values(max_leaves: int = 15) -> st.SearchStrategy[Any]:
    """Values of JSON, nested."""
    return st.recursive(
        json_scalars(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_json_keys(), inner, max_size=4),
        max_leaves=max_leaves,
    )


def json_objects(max_leaves: int = 15) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects: what record data and configurations are."""
    return st.dictionaries(_json_keys(), json_values(max_leaves), max_size=5)


def moments() -> st.SearchStrategy[datetime]:
    """Times: naive ones, which mean UTC, and aware ones of any zone."""
    offsets = st.none() | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    # A day within what a datetime can hold, so that every one of them can be expressed in UTC.
    naive = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001 (made aware below, or meant so)
    return st.builds(_in_zone, naive, offsets)


def plain_text(max_size: int = 20) -> st.SearchStrategy[str]:
    """Text that a database can hold: without NUL and surrogates."""
    return st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=max_size)


def counts() -> st.SearchStrategy[int]:
    """Counts that a database can hold."""
    return st.integers(-(2**63), 2**63 - 1)


def projects(project_ids: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Project]:
    """Projects with all fields given."""
    return st.builds(
        Project,
        project_id=project_ids or ids(),
        name=plain_text(),
        description=_optional(plain_text()),
        created_when=moments(),
        updated_when=moments(),
    )


def execution_jobs(
    job_ids: st.SearchStrategy[str] | None = None, master_job_ids: st.SearchStrategy[str] | None = None
) -> st.SearchStrategy[GenerationJob]:
    """Execution jobs with all fields given; the hash is sometimes derived and sometimes given."""
    given: dict[str, st.SearchStrategy[Any]] = {
        "job_id": job_ids or ids(),
        "master_job_id": master_job_ids or ids(),
        "status": st.sampled_from(get_args(StatusExecutionJob)),
        "run_config": _optional(json_objects(5)),
        "attempted_generations": counts(),
        "produced_outputs_count": counts(),
        "completed_record_count": counts(),
        "filtered_record_count": counts(),
        "duplicate_record_count": counts(),
        "failed_record_count": counts(),
        "creation_time": moments(),
        "start_time": _optional(moments()),
        "end_time": _optional(moments()),
        "last_update_time": moments(),
        "worker_id": _optional(plain_text()),
        "error_message": _optional(plain_text()),
    }
    sometimes: dict[str, st.SearchStrategy[Any]] = {"run_config_hash": plain_text()}
    return st.fixed_dictionaries(given, optional=sometimes).map(GenerationJob.model_validate)


def records(
    record_uids: st.SearchStrategy[str] | None = None,
    job_ids: st.SearchStrategy[str] | None = None,
    master_job_ids: st.SearchStrategy[str] | None = None,
) -> st.SearchStrategy[Record]:
    """Records with all fields given, without data."""
    return st.builds(
        Record,
        record_uid=record_uids or ids(),
        job_id=job_ids or ids(),
        master_job_id=master_job_ids or ids(),
        status=st.sampled_from(get_args(StatusRecord)),
        output_ref=st.none(),
        start_time=moments(),
        end_time=moments(),
        last_update_time=moments(),
        error_message=_optional(plain_text()),
    )


def _json_keys() -> st.SearchStrategy[str]:
    """Keys that name no secret: what stands under one that does is not read back as it was."""
    return json_text().filter(lambda key: not names_secret(key))


def _optional(strategy: st.SearchStrategy[Value]) -> st.SearchStrategy[Value | None]:
    return st.none() | strategy


def _in_zone(moment: datetime, zone: timezone | None) -> datetime:
    return moment.replace(tzinfo=zone)


def _is_usable(text: str) -> bool:
    try:
        check_id("id", text)
    except InvalidIdError:
        return False
    return True


def _has_no_pair(text: str) -> bool:
    pairs = itertools.pairwise(text)
    return not any("\ud800" <= one <= "\udbff" and "\udc00" <= two <= "\udfff" for one, two in pairs)
