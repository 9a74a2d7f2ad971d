"""No text makes a regular expression go over it again and again: each takes steps in proportion to its length."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import starfish_storage
from starfish_storage.codec import line_without_halves
from starfish_storage.export.card import inline
from starfish_storage.export.dataset_directory import _SHARD
from starfish_storage.export.tokens import without_tokens
from starfish_storage.metadata.search.query import Term
from starfish_storage.metadata.search.snippets import _ascii_pattern
from starfish_storage.metadata.search.words import _any_word
from starfish_storage.publishing.cleaning import Cleaner
from starfish_storage.redaction import looks_like_key, redact_error, redact_text, redact_words
from starfish_storage.surrogates import replaced
from starfish_storage.wording import without_secrets
from unit.patterns import Made, Scan, Used, patterns_of_the_package, pumps_of, scan_of

SEEN = tuple(patterns_of_the_package())
CLEANER = Cleaner(["/data/store"])
MADE: dict[str, list[re.Pattern[Any]]] = {
    "starfish_storage.export.dataset_directory._named_by_card": [re.compile(rf"data/train\-{_SHARD}")],
    "starfish_storage.imports.inspect_logs.is_inspect_log": [re.compile(rb'"eval"\s*:\s*\{')],
    "starfish_storage.metadata.search.snippets._ascii_pattern": [_ascii_pattern(Term(("a", "b"), is_start=True))],
    "starfish_storage.metadata.search.words._any_word": [_any_word()],
    "starfish_storage.publishing.cleaning.__init__": [CLEANER._places, *CLEANER._names],
}
"""Expressions that functions make of what they are given: one of each."""

WHOLE: dict[str, Scan] = {
    "without_tokens": without_tokens,
    "inline": inline,
    "redact_text": redact_text,
    "redact_error": redact_error,
    "redact_words": lambda text: redact_words([text]),
    "looks_like_key": looks_like_key,
    "without_secrets": without_secrets,
    "Cleaner.text": CLEANER.text,
    "Cleaner.data": CLEANER.data,
    "replaced": replaced,
    "line_without_halves": lambda text: line_without_halves(text.encode("utf-8", "surrogatepass")),
}
"""What uses several expressions, one after the other."""

ALL_SORTS = [
    *(
        "a",
        "A",
        "7",
        "_",
        "-",
        " ",
        "\n",
        "\t",
        ".",
        "/",
        "\\\\",
        "'",
        '"',
        ":",
        "=",
        "@",
        "`",
        "{",
        "[",
        "<",
        "\ud83d",
    ),
    *(
        "a ",
        "a.",
        "a/",
        "a=",
        "a-",
        "a_",
        "aA",
        "1.",
        "token_",
        "sk-a-",
        "-eyJ",
        "eyJaaaaaaaa.",
        "://",
        "Bearer ",
        "//a",
    ),
    *("-----BEGIN PRIVATE KEY-----", "a='", 'File "', "host ", "{a.a of ", "<think>", "0123456789abcdef"),
]
ENDS = ("", "\0", "!\n")
SHORT = 2_000  # characters: what goes over a text again and again is the slowest even then
ENOUGH = 0.1  # seconds for a short one; what takes steps in proportion takes a thousandth of that
CALIBRATION = 200_000
MOST_STEPS = 1_000  # for each character, each as long as one character of a plain search takes


class StepsError(Exception):
    """Raised in the midst of an expression that takes too many steps."""


def too_many(number: int, frame: FrameType | None) -> None:
    raise StepsError


@contextmanager
def processor_time(seconds: float) -> Iterator[None]:
    """Stop what takes longer than this, by the processor's time: how busy the machine is does not count."""
    before = signal.signal(signal.SIGPROF, too_many)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def scans() -> Iterator[tuple[str, Scan, list[tuple[str, str]]]]:
    """Yield all that goes over texts: what it is, and what to repeat in a text for it."""
    for used in SEEN:
        made = MADE[used.place] if isinstance(used, Made) else [used.pattern]
        for pattern in made:
            one = used if isinstance(used, Used) else Used(used.place, pattern, frozenset({"finditer"}))
            yield f"{used.place} {pattern.pattern!a:.60}", scan_of(one), pumps_of(pattern)
    for name, scan in WHOLE.items():
        yield name, scan, []


def worst_of(scan: Scan, pumps: list[tuple[str, str]], size: int) -> str:
    """Return the text that takes longest when it is short, made longer."""

    def seconds(beginning: str, pump: str, end: str) -> float:
        text = _text(beginning, pump, end, SHORT)
        before = time.perf_counter()
        scan(text)
        return time.perf_counter() - before

    tried = [(before, pump, end) for before, pump in [*pumps, *(("", pump) for pump in ALL_SORTS)] for end in ENDS]
    taken: list[tuple[float, tuple[str, str, str]]] = []
    for one in tried:
        try:
            with processor_time(ENOUGH):
                taken.append((seconds(*one), one))
        except StepsError:
            return _text(*one, size)
    slowest = [one for _, one in sorted(taken, reverse=True)[:5]]
    return _text(*max(slowest, key=lambda one: min(seconds(*one) for _ in range(2))), size)


def _text(beginning: str, pump: str, end: str, size: int) -> str:
    return beginning + pump * (size // len(pump) + 1) + end


def step() -> float:
    """Return the processor's time of one step: of a plain search, for one character."""
    text, search = "a" * CALIBRATION, scan_of(Used("", re.compile("a[bc]"), frozenset({"search"})))
    before = time.process_time()
    for _ in range(40):
        search(text)
    return (time.process_time() - before) / 40 / CALIBRATION


@pytest.mark.parametrize("size", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_each_takes_steps_in_proportion_to_the_text(size: int) -> None:
    limit = MOST_STEPS * step() * size
    slow: list[str] = []
    for name, scan, pumps in scans():
        text = worst_of(scan, pumps, size)
        try:
            with processor_time(limit):
                scan(text)
        except StepsError:
            slow.append(f"{name}: {text[:40]!a} ... {text[-5:]!a}")
    assert slow == []


def test_every_expression_is_seen() -> None:
    """Also those within functions: of those that depend on what a function is given, there is one in `MADE`."""
    assert len(SEEN) > 100
    assert {one.place for one in SEEN if isinstance(one, Made)} == MADE.keys()
    patterns = {one.pattern.pattern for one in SEEN if isinstance(one, Used)}
    assert {"`+", r"[-_]", r"\s"} <= patterns  # within functions, and of a module
    for found in Path(starfish_storage.__file__).parent.rglob("*.py"):
        text = found.read_text("utf-8")
        assert "from re import" not in text, found  # it would not be seen
        assert "import re as" not in text, found


@pytest.mark.parametrize(
    "pattern",
    [
        r"[\w-]*(?:token|secret)[\w-]*\s*=",  # the one of the issue: 41 seconds for 2 KB
        r"\b(?:sk|pk)[-_](?:\w+-)*(?=\w*\d)\w{16,}",
        r"(?s)---\s*\n(.*?)\n---\s*(?:\n|\Z)",
    ],
)
def test_what_goes_over_a_text_again_and_again_is_found(pattern: str) -> None:
    """Each of these stood in the package."""
    old = Used("", re.compile(pattern), frozenset({"sub"}))
    text = worst_of(scan_of(old), pumps_of(old.pattern), 40_000)
    with pytest.raises(StepsError), processor_time(MOST_STEPS * step() * len(text)):
        scan_of(old)(text)
