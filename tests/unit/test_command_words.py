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
        (
            ["https://h:80/v1?token=s3cret", "a=b:pw_token=c"],
            ["https://h:80/v1?token=[redacted]", "a=b:pw_token=[redacted]"],
        ),
        (['{"api_key": "s3cret", "n": 1}'], ['{"api_key": "[redacted]", "n": 1}']),
        (["-k", "A1b2C3d4E5f6G7h8I9j0K"], ["-k", "[redacted]"]),
        (["sk-proj-s3cret0123456789"], ["[redacted]"]),
        (["-p", "hunter", "-P", "two words", "-w", "x"], ["-p", "[redacted]", "-P", "[redacted]", "-w", "[redacted]"]),
        (["-pHunter2", "-p=hunter", "-pSec=ret"], ["-p[redacted]", "-p=[redacted]", "-p[redacted]"]),
        (["-p", "123456", "-a", "9" * 12], ["-p", "[redacted]", "-a", "[redacted]"]),
        (["-p", "8000", "-p8000", "-p=8000", "-w", "4", "-t", "0.7", "-p", "-v", "-p"], None),
        (["-prompt", "-port=web", "-avz", "-token-limit", "9"], None),
        (["-t", "t0ken", "-k", "k3y", "-s", "s3cret"], ["-t", "[redacted]", "-k", "[redacted]", "-s", "[redacted]"]),
        (["-t", "translate", "-k", "top-k", "-s", "train/all", "-n", "s3", "-o", "a1.jsonl"], None),
        (["-u", "me:s3cret", "-ume:s3cret", "-U", "me"], ["-u", "me:[redacted]", "-ume:[redacted]", "-U", "me"]),
        (["-u", "localhost:8000", "-u", "https://h/v1"], None),
        (["run.py", "--", "/usr/bin/mysql", "-phunter"], ["run.py", "--", "/usr/bin/mysql", "-p[redacted]"]),
        (["-c", "mysqldump -u me -phunter db"], ["-c", "mysqldump -u me -p[redacted] db"]),
        (["--password", "hunter", "--passw", "hunter"], ["--password", "[redacted]", "--passw", "[redacted]"]),
        (["--api-k", "s3cret", "--tokenise", "x"], ["--api-k", "[redacted]", "--tokenise", "x"]),
        (["--model", "gpt-5", "--max-tokens=256", "data/answers-2026-11-30.v2.jsonl", ""], None),
        (["--id", "run-1", "--store", "file:///home/me/my_store_of_2026", "answers.py:answer"], None),
    ],
)
def test_words_of_a_command_line(words: list[str], clean: list[str] | None):
    assert redact_words(words) == (words if clean is None else clean)
