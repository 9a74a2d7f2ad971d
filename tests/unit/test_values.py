"""Any value, saved and read after reopening: equal in value and type, or refused with the old one in place."""

import asyncio
import itertools
import json
import math
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from starfish_storage import LocalStorage
from starfish_storage.errors import InvalidDataError, InvalidInputError
from starfish_storage.json_limits import MAX_DEPTH
from starfish_storage.testing.samples import (
    JOB,
    MASTER_JOB,
    RECORD,
    a_master_job,
    a_record,
    an_execution_job,
    at,
    save_run,
)
from starfish_storage.testing.strategies import json_objects, json_scalars, json_text
from starfish_storage.testing.suites.suite import assert_same

Save = Callable[[LocalStorage, Any], Awaitable[object]]
Read = Callable[[LocalStorage], Awaitable[Any]]

_numbers = itertools.count()


async def save_schema(storage: LocalStorage, value: Any) -> None:
    # A master job is started once: that of the value before goes.
    job = a_master_job(storage, f"schema-{next(_numbers)}").model_copy(update={"output_schema": value})
    await storage.log_master_job_start(job)
    for before in await storage.list_master_jobs():
        if before.master_job_id not in (MASTER_JOB, job.master_job_id):
            await storage.delete_master_job(before.master_job_id)


async def read_schema(storage: LocalStorage) -> Any:
    (job,) = [job for job in await storage.list_master_jobs() if job.master_job_id != MASTER_JOB]
    return job.output_schema


async def field(found: Awaitable[Any], name: str) -> Any:
    return getattr(await found, name)


async def stored_counts(root: Path) -> Any:
    # The models have no field for it: another process looks, as whoever reads the format would.
    look = (
        "import apsw, sys; c = apsw.Connection(sys.argv[1], flags=apsw.SQLITE_OPEN_READWRITE); "
        "sys.stdout.buffer.write(c.execute('SELECT CAST(counts AS BLOB) FROM execution_jobs').fetchone()[0])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", look, str(root / "metadata.db"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


CONFIG = f"configs/{MASTER_JOB}.request.json"
PLACES: dict[str, tuple[Save, Read]] = {
    "record data": (
        lambda s, value: s.save_record(a_record(), value),
        lambda s: s.get_record_data("data/b7/record-1.json"),
    ),
    "request configuration": (
        lambda s, value: s.save_request_config(CONFIG, value),
        lambda s: s.get_request_config(CONFIG),
    ),
    "run_config": (
        lambda s, value: s.log_execution_job_start(an_execution_job().model_copy(update={"run_config": value})),
        lambda s: field(s.get_execution_job(JOB), "run_config"),
    ),
    "summary": (
        lambda s, value: s.log_master_job_end(MASTER_JOB, "completed", value, at(1), at(2)),
        lambda s: field(s.get_master_job(MASTER_JOB), "summary"),
    ),
    "output_schema": (save_schema, read_schema),
}


def read_back(value: Any) -> Any:
    """Return what JSON makes of a value: tuples are lists, keys are text."""
    return json.loads(json.dumps(value))


def bad_scalars() -> st.SearchStrategy[Any]:
    """What JSON does not hold, or not exactly."""
    return st.sampled_from([math.nan, math.inf, -math.inf, b"x", {1}, object(), "\ud83d\ude00", at(0)]) | st.just(
        5000
    ).map(lambda digits: 10**digits)


def keys() -> st.SearchStrategy[Any]:
    return st.one_of(json_text(), st.integers(), st.booleans(), st.none(), st.floats(), st.sampled_from([b"k", (1,)]))


def wild_objects() -> st.SearchStrategy[dict[Any, Any]]:
    """Objects of which about half can be stored."""
    leaves = st.one_of(json_scalars(), json_scalars(), json_scalars(), bad_scalars())
    values = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(json_text(), inner, max_size=3),
        max_leaves=6,
    )
    return st.one_of(json_objects(), st.dictionaries(keys(), values, max_size=3), st.builds(nested, depths, values))


def nested(depth: int, value: Any) -> dict[str, Any]:
    """Return a value in so many objects and lists, by turns."""
    found: Any = value
    for level in range(depth - 1):
        found = [found] if level % 2 else {"in": found}
    return {"top": found}


depths = st.sampled_from([1, 2, 100, MAX_DEPTH - 10, MAX_DEPTH, MAX_DEPTH + 1, MAX_DEPTH + 5, 2000])

AWKWARD = {
    "huge": [2**63, -(2**63) - 1, 2**64, 10**400, -(10**4000)],
    "small": [5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, -5e-324],
    "large": [1e308, 1.7976931348623157e308, 1e22, 1e23, 9007199254740993],
    "one": [1, 1.0, True, "1"],
    "zero": [0, 0.0, -0.0, False, None, ""],
    "text": ["\0", "\ud800", "\udfff\ud800", "\u2028\u2029", "\ufeff", "\U0010ffff", "e\u0301", "é", "\x7f\x1b"],
    "": {"": {}, "\0": [], "\ud800": 1, "a.b": 2, "$": 3, "__proto__": 4, "\n": 5, "1": 6, "null": 7},
}


class Store:
    """A store that is reopened between saving and reading."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.before: dict[str, Any] = {}
        self.saved = self.refused = 0

    def open(self) -> LocalStorage:
        return LocalStorage(self.root.as_uri(), durability="process", redact_secrets=False)

    async def check(self, value: Any) -> None:
        async with self.open() as storage:
            for place, (save, _) in PLACES.items():
                try:
                    await save(storage, value)
                except InvalidDataError:
                    self.refused += 1
                except InvalidInputError:
                    if place != "summary" or not set(value) & {"completed", "filtered", "duplicate", "failed"}:
                        raise  # only these members of a summary have to be counts
                else:
                    self.before[place] = read_back(value)
                    self.saved += 1
        async with self.open() as storage:
            for place, (_, read) in PLACES.items():
                assert_same(await read(storage), self.before[place])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("values") / "store")

    async def begin() -> None:
        async with store.open() as storage:
            await save_run(storage)
        await store.check({"first": [1, 1.0, True]})

    asyncio.run(begin())
    return store


@example({"all": AWKWARD})
@example({1: "a", "1": "b"})
@given(wild_objects())
def test_any_value_comes_back_or_is_refused(store: Store, value: dict[Any, Any]) -> None:
    asyncio.run(store.check(value))


@pytest.mark.slow
@settings(max_examples=1500)
@given(wild_objects())
def test_very_many_values_come_back_or_are_refused(store: Store, value: dict[Any, Any]) -> None:
    asyncio.run(store.check(value))


def test_both_happen(store: Store) -> None:
    for value in ({"good": 1}, {"bad": math.nan}):
        asyncio.run(store.check(value))
    assert store.saved > len(PLACES)
    assert store.refused >= len(PLACES)


@pytest.mark.parametrize("text", ["x", 'xxxxxxxxxxxxxxxxxxx\0é\U0001f419\ud800"\\\n'], ids=ascii)
def test_five_megabytes_of_text_come_back(store: Store, text: str) -> None:
    long = text * (5_000_000 // len(text.encode("utf-8", "surrogatepass")))
    asyncio.run(store.check({"long": long, long[:70_000]: "as key"}))


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, MAX_DEPTH + 8, 20_000])
def test_deep_nesting_comes_back_or_is_refused(store: Store, depth: int) -> None:
    refused = store.refused
    asyncio.run(store.check(nested(depth - 1, {})))
    if depth <= MAX_DEPTH:
        assert store.refused == refused
    if depth > MAX_DEPTH + 4:
        assert store.refused == refused + len(PLACES)


@pytest.mark.parametrize("counts", [{"completed": 2**63 - 1, "all": AWKWARD}, {"failed": 0, "\ud800": [-0.0, 10**400]}])
def test_counts_are_kept_whole(store: Store, counts: dict[str, Any]) -> None:
    async def end(given: dict[str, Any]) -> None:
        async with store.open() as storage:
            await storage.log_execution_job_end(JOB, "completed", given, at(1), at(2))

    asyncio.run(end(counts))
    assert_same(asyncio.run(stored_counts(store.root)), counts)
    for bad in ({"x": math.nan}, {"completed": 2**63}, {"completed": 1.0}, {"completed": "1"}):
        with pytest.raises(InvalidInputError):
            asyncio.run(end(bad))
    assert_same(asyncio.run(stored_counts(store.root)), counts)


def test_the_data_of_one_record_is_not_that_of_another(store: Store) -> None:
    async def check() -> None:
        values = [{"n": number, "text": "\0" * number} for number in range(50)]
        async with store.open() as storage:
            await storage.save_records((a_record(f"{RECORD}-{value['n']}"), value) for value in values)
        async with store.open() as storage:
            refs = [(await storage.get_record_metadata(f"{RECORD}-{value['n']}")) for value in values]
            found = await storage.get_records_data([str(record.output_ref) for record in refs if record is not None])
            assert_same(found, values)

    asyncio.run(check())
