"""Keys, the names of versions, and whose they are: what stands in `keys.py` and nowhere else."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

import starfish_storage
from starfish_storage import keys
from starfish_storage.errors import InvalidIdError, InvalidReferenceError
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.testing.samples import MASTER_JOB, RECORD
from starfish_storage.testing.strategies import ids
from starfish_storage.testing.suites.suite import refused
from unit.test_schema import literals_of

VERSIONS = st.text("0123456789abcdef", min_size=1, max_size=40)


def test_ids_that_differ_in_case_only_are_neighbours() -> None:
    """A file system that cannot tell them apart has one file for both, not two in two directories."""
    assert keys.record_key("abc").lower() == keys.record_key("ABC").lower()


def test_the_kinds_of_keys_are_kept_apart() -> None:
    with refused(InvalidReferenceError):
        keys.check_record_key(keys.request_config_key(MASTER_JOB))
    for of_config in (keys.check_request_config_key, keys.master_job_of):
        with refused(InvalidReferenceError):
            of_config(keys.record_key(RECORD))


@given(ids())
def test_a_key_says_whose_it_is(id: str) -> None:
    assert keys.owner_uid(keys.record_key(id)) == id
    assert keys.master_job_of(keys.request_config_key(id)) == id


@pytest.mark.parametrize(
    ("key", "master_job_id"),
    [("configs/m1.request.json", "m1"), ("configs/m1.json", "m1"), ("configs/a.request.b.json", "a.request.b")],
)
def test_the_master_job_of_a_configuration(key: str, master_job_id: str) -> None:
    assert keys.master_job_of(key) == master_job_id


def test_a_configuration_that_names_no_master_job() -> None:
    with refused(InvalidIdError):
        keys.master_job_of("configs/nul.request.json")


@given(ids(), VERSIONS)
def test_versions_are_found_in_their_names(uid: str, version: str) -> None:
    key = keys.record_key(uid)
    name = keys.version_key(key, version)
    assert keys.check_record_key(name) == name == keys.named_version(key, version)
    assert keys.versions_named(name) == [(name, None), (key, version)]
    assert keys.version_key(key, None) == key == keys.named_version(key, None)


def test_a_uid_that_looks_like_a_version() -> None:
    """``data/82/r1.json`` in version ``0af3`` has the name of the data of ``r1.0af3``: a row says which it is."""
    assert keys.versions_named("data/82/r1.json") == [("data/82/r1.json", None)]
    assert keys.versions_named("data/82/r1.0af3.json") == [
        ("data/82/r1.0af3.json", None),
        ("data/82/r1.json", "0af3"),
    ]
    assert keys.versions_named("configs/m1.0af3.json") == [("configs/m1.0af3.json", None)]


def test_only_new_versions_are_named_once() -> None:
    """Shorter ones, and names without a version, may be named by a row that is written later."""
    key = keys.record_key(RECORD)
    versions = {keys.new_version() for _ in range(100)}
    assert len(versions) == 100
    assert all(keys.is_named_once(keys.version_key(key, version)) for version in versions)
    for name in (key, keys.version_key(key, "0"), keys.version_key(key, "0" * 21), keys.request_config_key("0" * 20)):
        assert not keys.is_named_once(name)


@pytest.mark.parametrize("bad", ["", "a" * 41, "A", "g", "1/2", "../1", "1.json", "\u0661"])
def test_what_is_no_version_is_refused(bad: str) -> None:
    """And so is a version of anything but record data."""
    with refused(InvalidReferenceError):
        keys.version_key(keys.record_key(RECORD), bad)
    with refused(InvalidReferenceError):
        keys.version_key(keys.request_config_key(MASTER_JOB), "0")


# --- what SQL says of keys ----------------------------------------------------------------------------------------

ODD_KEYS = ("data/82/r1.json", "data/ab/cd/r1.json", "data/82/xr1.json", "data/82/r1.0af3.json", "data/82/.json")
CONFIG_NAMES = ("configs/m1.request.json", "configs/m1.json", "elsewhere/m1.json", "configs.json", "a/configs/m1.json")


def by_sqlite(fragment: str, row: Mapping[str, str]) -> object:
    """Return what a fragment of ``sql/sqlite/keys.sql`` makes of one row."""
    columns = ", ".join(f"? AS {name}" for name in row)
    text = sqlite_queries().expanded(f"SELECT {{{fragment} own}} FROM (SELECT {columns}) AS own")
    connection = apsw.Connection(":memory:")
    ((found,),) = connection.execute(text, tuple(row.values()))
    connection.close()
    return found


@given(ids(), st.sampled_from(["r1", "1", "x", "R1"]))
def test_sqlite_and_python_agree_on_whose_data_it_is(id: str, other: str) -> None:
    for uid in (id, other):
        for key in (keys.record_key(id), keys.version_key(keys.record_key(id), "0af3"), *ODD_KEYS):
            row = {"record_uid": uid, "output_ref": key}
            assert by_sqlite("has_own_data", row) == (keys.owner_uid(key) == uid)
            assert by_sqlite("borrows_data", row) == (keys.owner_uid(key) != uid)


@given(ids())
def test_sqlite_and_python_agree_on_request_configurations(id: str) -> None:
    """Of all references that a master job may be given."""
    for key in (keys.request_config_key(id), f"configs/{id}.json", *CONFIG_NAMES):
        assert keys.check_request_config_name(key, key) == key
        try:
            is_config = bool(keys.check_request_config_key(key))
        except InvalidReferenceError:
            is_config = False
        assert by_sqlite("has_request_config", {"request_config_ref": key}) == is_config


def test_only_one_place_in_sql_knows_keys() -> None:
    """But for the schema and the migrations, whose text is that of the stores that there are."""
    room = files("starfish_storage.metadata").joinpath("sql")
    paths = [path for engine in room.iterdir() for path in engine.iterdir() if path.name.endswith(".sql")]
    knowing = {
        path.name for path in paths if re.search(r"'/'|'\.json'|'(data|configs)[/%]", path.read_text(encoding="utf-8"))
    }
    assert knowing == {"keys.sql", "schema.sql"}


# --- and what Python says of them --------------------------------------------------------------------------------

NAME_IN_A_ROOT = re.compile(r"metadata\.db|rows\.jsonl|(writer|session)\.lock|store\.json|staging|(data|configs)/")
OTHER_DATA = {"export/card.py", "export/dataset_directory.py", "row_files/dataset_files.py"}
"""A Hugging Face dataset has a directory of that name."""


def test_only_one_module_knows_the_names_in_a_root() -> None:
    """Of a store, that is; what tests and messages say of them is not looked for."""
    source = Path(starfish_storage.__file__).parent
    found: list[str] = []
    for path in source.rglob("*.py"):
        name = path.relative_to(source).as_posix()
        if name != "keys.py" and name not in OTHER_DATA and not name.startswith("testing/"):
            found += [
                f"{name}:{line}: {text}"
                for line, text in literals_of(path.read_text("utf-8"))
                if NAME_IN_A_ROOT.match(text) and " " not in text
            ]
    assert not found
