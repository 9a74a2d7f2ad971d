"""Secrets in the words of a command line: what is replaced, and what stays."""

from __future__ import annotations

import pytest

from starfish_storage.redaction import redact_words


@pytest.mark.parametrize(
    ("words", "clean"),
    [
        (["--api-key=s3cret"], ["--api-key=[redacted]"]),
        (["--api_key", "s3cret", "--n", "3"], ["--api_key", "[redacted]", "--n", "3"]),
        (["-token", "s3cret"], ["-token", "[redacted]"]),
        (["--auth", "--verbose"], ["--auth", "--verbose"]),
        (["--hf-token", "-s3cret"], ["--hf-token", "[redacted]"]),
        (["--key=s3cret", "--primary-key"], ["--key=[redacted]", "--primary-key"]),
        (["key=name", "pass=3"], ["key=name", "pass=3"]),
        (["OPENAI_API_KEY=s3cret"], ["OPENAI_API_KEY=[redacted]"]),
        (["-H", "Authorization: Bearer s3cret"], ["-H", "Authorization: [redacted]"]),
        (["postgresql://me:s3cret@h/db?password=s3cret"], ["postgresql://[redacted]@h/db?password=[redacted]"]),
        (["https://h/v1?api_key=s3cret&n=2"], ["https://h/v1?api_key=[redacted]&n=2"]),
        (['{"api_key": "s3cret", "n": 1}'], ['{"api_key": "[redacted]", "n": 1}']),
        (["-k", "A1b2C3d4E5f6G7h8I9j0K"], ["-k", "[redacted]"]),
        (["sk-proj-s3cret0123456789"], ["[redacted]"]),
        (["--model", "gpt-5", "--max-tokens=256", "data/answers-2026-11-30.v2.jsonl", ""], None),
        (["--id", "run-1", "--store", "file:///home/me/my_store_of_2026", "answers.py:answer"], None),
    ],
)
def test_words_of_a_command_line(words: list[str], clean: list[str] | None):
    assert redact_words(words) == (words if clean is None else clean)
