"""What an exported table notes about itself is put back, row by row, and whatever else is done to the table."""

from __future__ import annotations

from typing import Any

import pytest

from starfish_storage.codec import json_text
from starfish_storage.row_files.restoring import Restorer, parsed_path, step

NOTED = {
    "starfish_storage.json_columns": json_text(["$.a", "$.calls[].arguments", "$['odd.key'].x", "$.map{}.j"]),
    "starfish_storage.absent_columns": json_text(["late", "a"]),
    "starfish_storage.integer_columns": json_text(["$.n", "$.deep[][]", "$.of{}"]),
}


def test_rows_are_put_back():
    restorer = Restorer.of(NOTED)
    assert restorer is not None
    row: dict[str, Any] = {
        "a": "null",
        "calls": [{"name": "x", "arguments": f'{{"big":{2**70}}}'}, {"name": "y", "arguments": None}, None],
        "odd.key": {"x": "[1,2.5]", "y": "[1]"},
        "map": {"k": {"j": '"text"'}, "none": None},
        "late": None,
        "kept": None,
        "n": 1.0,
        "deep": [[1.0, 2.5], None, [-0.0, 2.0**60]],
        "of": {"k": 3.0},
    }
    found = restorer.restore(row)
    assert repr(found) == repr(
        {
            "a": None,
            "calls": [{"name": "x", "arguments": {"big": 2**70}}, {"name": "y", "arguments": None}, None],
            "odd.key": {"x": [1, 2.5], "y": "[1]"},
            "map": {"k": {"j": "text"}, "none": None},
            "kept": None,
            "n": 1,
            "deep": [[1, 2.5], None, [-0.0, 2.0**60]],
            "of": {"k": 3},
        }
    )
    # A table that somebody has changed: columns are gone, or hold something else.
    assert restorer.restore({"a": None, "calls": "x", "n": "1", "map": [1]}) == {"calls": "x", "n": "1", "map": [1]}
    with pytest.raises(ValueError, match="column 'a' is not the JSON text") as raised:
        restorer.restore({"a": "private"})
    assert "private" not in str(raised.value)


def test_a_table_without_notes_needs_nothing():
    assert Restorer.of({}) is None
    assert Restorer.of({"starfish_storage.json_columns": "[]"}) is None


@pytest.mark.parametrize("noted", ["{", '{"a":1}', "[1]", '["$.a b"]', '["$"]', "[\"$['\\\\x']\"]", '["$.a[0]"]'])
def test_notes_that_cannot_be_read_are_said(noted: str):
    with pytest.raises(ValueError):
        Restorer.of({"starfish_storage.json_columns": noted})


@pytest.mark.parametrize(
    "key", ["a", "a b", "", "é", "日本", "it's", '"', "\\", "\n", "[]", "{}", "1", "a.b", "\ud800", "x-y"]
)
def test_every_key_has_a_step_of_its_own(key: str):
    assert parsed_path(f"$.x{step(key)}[]") == [(".", "x"), (".", key), ("[]", None)]
