"""`run` of a recorded function is given inputs, of which some are bad."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from starfish_storage import InvalidInputError, recorded
from starfish_storage.generation import read_inputs


def test_bad_inputs_are_named_or_skipped_and_never_paid_for(
    store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paid: list[object] = []

    @recorded(store)
    def ask(question: Any) -> str:
        paid.append(question)
        return str(question)

    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"question": 1}\n{"question":\n{"question": 3}\n', encoding="utf-8")
    rows: list[Any] = [{"question": 1}, {"answer": 2}, {"question": 3}]
    given: list[tuple[Any, str]] = [
        (read_inputs(bad, "skip"), "line 2 of .*bad.jsonl' is not JSON"),
        (rows, r"input 1: \S*ask\(\): missing a required argument: 'question'"),
    ]
    for inputs, said in given:
        with pytest.raises(InvalidInputError, match=rf"^{said}.*\. Nothing was started: .*on_bad_input"):
            ask.run(inputs, progress="quiet")
    assert paid == []
    for inputs, said in given:
        with caplog.at_level(logging.WARNING):
            assert ask.run(inputs, progress="quiet", on_bad_input="skip", max_concurrency=1).inputs == {"completed": 2}
        *_, warning = caplog.messages
        assert warning.startswith("skipped: ")
        assert said.split(" ")[0] in warning
    assert paid == [1, 3]
    with pytest.raises(InvalidInputError, match="another iterable, not int"):
        ask.run(5)  # pyright: ignore[reportArgumentType] (that is the point)
