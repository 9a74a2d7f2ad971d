"""What a URI opens, and what is said where a part is not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

import starfish_storage
from starfish_storage import InvalidUriError, PostgresStorage, open_storage
from starfish_storage.testing.suites.suite import refused

SERVER = "postgresql://me:secret@db.example/runs?schema=store"

WITHOUT = """
import sys
sys.modules[{module!r}] = None
import starfish_storage
import asyncio
try:
    asyncio.run(starfish_storage.open_storage({uri!r}, {data_uri!r}).setup())
except starfish_storage.StoreOpenError as error:
    print(error)
"""


def test_postgresql_with_objects_or_a_directory() -> None:
    for data_uri in ("s3://bucket/prefix", "file:///shared/data"):
        storage = open_storage(SERVER, data_uri)
        assert isinstance(storage, PostgresStorage)
        assert storage.storage_uri == "postgresql://me@db.example/runs?schema=store"


def test_the_place_of_the_data_has_to_be_said() -> None:
    with refused(InvalidUriError):
        open_storage(SERVER)


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me:secret@db.example/runs?schema=public",
        "postgresql://me:secret@db.example/runs?schema=pg_store",
        "postgresql://me:secret@db.example/runs?schema=",
        "postgresql://me:secret@db.example/runs?schema=a&schema=b",
        "postgresql://me:secret@db.example/runs?schema=" + "x" * 64,
        "postgresql://db.example/runs?password=secret",
        "postgresql://me:secret@[db.example/runs",
        "mysql://me:secret@db.example/runs",
    ],
)
def test_uris_that_cannot_be_used_are_refused_without_their_password(uri: str) -> None:
    with pytest.raises(InvalidUriError) as caught:
        open_storage(uri, "s3://bucket/prefix")
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(vars(caught.value))


@pytest.mark.parametrize(
    ("module", "uri", "data_uri", "extra"),
    [
        ("asyncpg", SERVER, "file:///shared/data", "starfish-storage[postgres]"),
        ("obstore.store", "file://{directory}", "s3://bucket/prefix", "starfish-storage[s3]"),
    ],
)
def test_what_is_not_installed_is_named(tmp_path: Path, module: str, uri: str, data_uri: str, extra: str) -> None:
    script = WITHOUT.format(module=module, uri=uri.format(directory=tmp_path), data_uri=data_uri)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert f"pip install '{extra}'" in ran.stdout


def test_drivers_are_imported_for_those_who_ask_for_them() -> None:
    script = "import sys, starfish_storage; print({'asyncpg', 'obstore', 'boto3'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"
    assert "PostgresStorage" in starfish_storage.__all__
