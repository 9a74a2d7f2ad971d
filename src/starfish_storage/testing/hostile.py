"""What no storage may accept: ids, references and values that are not JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

HOSTILE_IDS: tuple[Any, ...] = (
    "",
    ".",
    "..",
    "../../x",
    "../x",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "C:\\x",
    "c:x",
    "nul\0",
    "\0",
    "a\nb",
    "a\x7fb",
    "\x85",
    "line\u2028separator",
    "x" * 300,
    "é" * 101,
    ".hidden",
    "dot.",
    " blank",
    "blank ",
    "con",
    "CON",
    "nul",
    "aux.txt",
    "Com1",
    "lpt9.log",
    "COM\u00b9",
    "conin$",
    "a:b",
    "a*b",
    "a?b",
    'a"b',
    "a<b",
    "a>b",
    "a|b",
    "e\u0301",
    "lone \ud800",
    None,
    7,
    b"bytes",
    ["list"],
)
"""Ids that some file system refuses, confuses, or takes to lie elsewhere; and what is no text at all."""


def hostile_references() -> list[Any]:
    """Return references that lie in no store."""
    return [
        "",
        "/",
        ".",
        "..",
        "/etc/passwd",
        "../../etc/passwd",
        "data/../../x.json",
        "data/ab/../../../x.json",
        "data/ab/../../metadata.db",
        "data//x.json",
        "data/./x.json",
        "data/ab/x\0.json",
        "data/ab/x\n.json",
        "data/ab/lone \ud800.json",
        "data/x.json",
        "data",
        "metadata.db",
        "staging/x.json",
        "configs/../metadata.db",
        "configs/x/y.json",
        "configs/.hidden.json",
        "file:///etc/passwd",
        "/elsewhere/metadata.db",
        "/elsewhere/data/ab/../../x.json",
        "https://example.org/data/ab/x.json",
        "x" * 5000,
        None,
        7,
        b"data/ab/x.json",
    ]


NAMES_OF_NOTHING = ("configs/x/y.json", "configs/.hidden.json", "x" * 5000)
"""Those of `hostile_references` that stay inside the store and name nothing there.

A master job may be started with one: its configuration is then kept by other means.
"""


def _nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"in": value}
    return value


def _nested_list(depth: int) -> dict[str, Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return {"in": value}


def _circular() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


NOT_JSON: dict[str, tuple[Callable[[], Any], str]] = {
    "nan": (lambda: {"a": {"b": [0, math.nan]}}, "$.a.b[1]"),
    "infinity": (lambda: {"a": math.inf}, "$.a"),
    "minus infinity": (lambda: {"a": [-math.inf]}, "$.a[0]"),
    "bytes": (lambda: {"a": b"x"}, "$.a"),
    "datetime": (lambda: {"a": datetime(2026, 1, 1, tzinfo=UTC)}, "$.a"),
    "set": (lambda: {"a": {1, 2}}, "$.a"),
    "object": (lambda: {"a": object()}, "$.a"),
    "bytes as key": (lambda: {"a": {b"k": 1}}, "$.a"),
    "tuple as key": (lambda: {(1, 2): 1}, "$"),
    "nan as key": (lambda: {math.nan: 1}, "$"),
    "colliding keys": (lambda: {"a": {1: "x", "1": "y"}}, "$.a"),
    "colliding null": (lambda: {None: 1, "null": 2}, "$"),
    "colliding true": (lambda: {True: 1, "true": 2}, "$"),
    "nested 10,000 deep": (lambda: _nested(10_000), "$.in"),
    "lists nested 10,000 deep": (lambda: _nested_list(10_000), "$.in[0]"),
    "circular": (_circular, "$.self"),
    "keys that are joined and collide": (lambda: {"a": {"\ud83d\ude00": 1, "\U0001f600": 2}}, "$.a"),
    "an integer of 5,000 digits": (lambda: {"a": [10**5000]}, "$"),
    "an integer of 5,000 digits as key": (lambda: {"a": {10**5000: 1}}, "$"),
    "a list": (lambda: [1], "$"),
    "text": (lambda: "text", "$"),
    "nothing": (lambda: None, "$"),
}
"""By name: what makes a value that JSON cannot hold, or not without changing it, and where the trouble begins."""
