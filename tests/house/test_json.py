"""JSON is made in `codec.py` only: one set of rules for what is stored, one for what people read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import starfish_storage
from starfish_storage.codec import ascii_text
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.sqlite.row_changes import CHANGES, header

SOURCE = Path(starfish_storage.__file__).parent
LIBRARIES = {"json", "orjson", "pydantic_core"}
MAKERS = {"dump", "dumps", "to_json", "JSONEncoder"}
OF_MODELS = {"model_dump_json", "dump_json"}  # methods of pydantic's, whatever they are called on
ALLOWED = {
    "codec.py",  # the codec
    "demo/gsm8k_run.py",  # a program as people write it; what it prints, it does not store
    "testing/suites/execution_jobs.py",  # computes the hash of an input as Starfish does, to compare with ours
    "testing/suites/record_data.py",  # writes files as other programs do, to read them
    "testing/suites/records.py",  # sends a model through pydantic's JSON, as users do
}


def makers_of_json(source: str) -> Iterator[str]:
    """Yield each place where a module makes JSON other than by the codec."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr in OF_MODELS or (owner in LIBRARIES and node.attr in MAKERS):
                yield f"{node.lineno}: {owner}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module in LIBRARIES:
            yield from (f"{node.lineno}: {name.name}" for name in node.names if name.name in MAKERS)
        elif isinstance(node, ast.Import):
            yield from (
                f"{node.lineno}: {a.name} as {a.asname}" for a in node.names if a.name in LIBRARIES and a.asname
            )


def test_json_is_made_by_the_codec_only() -> None:
    found = {
        str(path.relative_to(SOURCE)): places
        for path in SOURCE.rglob("*.py")
        if (places := list(makers_of_json(path.read_text("utf-8"))))
    }
    assert found.keys() - ALLOWED == set(), found
    assert found.keys() >= ALLOWED, "an exception that is no longer needed"


@pytest.mark.parametrize(
    "source",
    [
        "import json\njson.dumps({})",
        "import orjson\nmake = orjson.dumps",
        "from json import dumps",
        "from pydantic_core import to_json",
        "import json as j\nj.dumps({})",
        "def text(model): return model.model_dump_json()",
    ],
)
def test_every_way_to_make_json_is_found(source: str) -> None:
    assert list(makers_of_json(source))


def test_reading_json_is_not() -> None:
    assert not list(makers_of_json("import json\njson.loads('{}')\nreport.to_json()"))


def test_the_header_of_a_row_log_is_the_text_it_always_was() -> None:
    """It decides whether lines of earlier releases mean what they say; it is compared byte by byte."""
    columns = {name: sqlite_queries().parameters(name) for name in CHANGES}
    assert header(sqlite_queries()) == ascii_text({"row_log": 1, "columns": columns}).encode() + b"\n"
