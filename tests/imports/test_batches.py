"""Outputs of batches become runs: what was asked, answered, used and paid, and what failed, by its kind."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call
from durability import processes
from imports.batch_outputs import ANTHROPIC, ERRORS, LIMIT, OUTPUTS, REQUESTS, answered, chat, write
from imports.reading import config_of, job_of, rows_of
from starfish_storage import LocalStorage, Storage
from starfish_storage.errors import InvalidInputError
from starfish_storage.generation import retry
from starfish_storage.imports import ImportProgress, import_batch, import_path
from starfish_storage.imports.recognising import recognise


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    """The files of a batch of OpenAI: answers, errors and requests."""
    return (
        str(write(tmp_path / "batch_1_output.jsonl", OUTPUTS)),
        str(write(tmp_path / "batch_1_error.jsonl", ERRORS)),
        str(write(tmp_path / "requests.jsonl", REQUESTS)),
    )


async def kinds(storage: Storage, job_id: str) -> dict[str | None, int]:
    return {group.kind: group.inputs for group in await storage.ledger.list_errors(job_id)}


async def test_a_batch_of_openai_with_its_errors_and_requests(storage: LocalStorage, files: tuple[str, str, str]):
    output, errors, requests = files
    report = await import_path(storage, output, inputs=requests, errors=errors)
    assert (report.form, report.records, report.new_records, report.skipped) == ("batch", 4, 4, 0)
    assert report.notes == ("costs at the published prices of batches",)
    (job_id,) = report.master_job_ids
    job = await job_of(storage, job_id)
    assert (job.status, job.name, job.project_id) == ("completed_with_errors", "batch_1_output.jsonl", "batch_1_output")
    assert await kinds(storage, job_id) == {"invalid_request_error": 1, "batch_expired": 1}
    inputs = [one.run_config async for one in _inputs(storage, job_id)]
    assert inputs == REQUESTS, "in the order in which they were asked"
    rows = await rows_of(storage, job_id)
    assert rows == OUTPUTS[::-1]
    state = await storage.ledger.get_run(job_id)
    assert state is not None
    assert (state.attempts, state.failed_attempts, state.input_tokens, state.output_tokens) == (4, 2, 2000, 200)
    assert state.cost == pytest.approx(2 * (1000 * 0.15 + 100 * 0.6) / 1e6 / 2), "batches cost half"

    again = await import_path(storage, output, inputs=requests, errors=errors)
    assert (again.already_imported, again.new_records, again.notes) == (True, 0, report.notes)


async def _inputs(storage: Storage, job_id: str) -> AsyncIterator[Any]:
    jobs = await storage.list_execution_jobs(job_id)
    for job in sorted(jobs, key=lambda one: one.job_id):
        yield job


async def test_a_batch_of_anthropic(storage: LocalStorage, tmp_path: Path):
    report = await import_path(storage, write(tmp_path / "results.jsonl", ANTHROPIC))
    (job_id,) = report.master_job_ids
    assert await kinds(storage, job_id) == {"invalid_request_error": 1, "canceled": 1, "expired": 1}
    assert [job.run_config async for job in _inputs(storage, job_id)] == [
        {"custom_id": row["custom_id"]} for row in ANTHROPIC
    ]
    assert ANTHROPIC[0] in await rows_of(storage, job_id)
    state = await storage.ledger.get_run(job_id)
    assert state is not None
    assert state.cost == pytest.approx((1000 * 3 + 100 * 15) / 1e6 / 2)
    (config,) = [await config_of(storage, job_id)]
    assert config["import"]["form"] == "batch"
    assert str(tmp_path) not in json.dumps(config)


async def test_what_failed_is_asked_again(storage: LocalStorage, files: tuple[str, str, str]):
    output, errors, requests = files
    (job_id,) = (await import_batch(storage, output, errors=errors, inputs=requests)).master_job_ids

    def ask(custom_id: str, body: dict[str, Any], **_: object) -> dict[str, Any]:
        return answered(custom_id, chat(body["messages"][0]["content"]))

    again = await retry(storage, job_id, ask, progress="quiet")
    assert (again.status, again.records, again.attempts) == ("completed", {"completed": 4}, 6)
    said = [row["response"]["body"]["choices"][0]["message"]["content"] for row in await rows_of(storage, job_id)]
    assert sorted(said) == sorted(f"answer to: {one['body']['messages'][0]['content']}" for one in REQUESTS)


async def test_requests_that_no_file_answers_have_failed(storage: LocalStorage, files: tuple[str, str, str]):
    report = await import_batch(storage, files[0], inputs=files[2])
    assert report.notes[1:] == ("2 requests without an answer",)
    assert await kinds(storage, report.master_job_ids[0]) == {"NoAnswer": 2}


OTHERS: dict[str, tuple[dict[str, Any], str | None, float]] = {
    "of vLLM": (answered("a", chat("?", "meta-llama/Llama-3.1-8B-Instruct"), id="vllm-1"), None, 0),
    "of vLLM, with a name that has a price": (answered("a", chat("?"), id="vllm-1"), None, 0),
    "of Mistral": (answered("a", chat("?", "mistral-small-latest")), None, 0.000105),
    "embedding": (
        answered(
            "a",
            {
                "object": "list",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
                "model": "text-embedding-3-small",
                "usage": {"prompt_tokens": 1000, "total_tokens": 1000},
            },
        ),
        None,
        0.00002,
    ),
    "of Responses": (
        answered(
            "a",
            {
                "id": "resp_1",
                "object": "response",
                "created_at": 1_769_860_800,
                "status": "completed",
                "error": None,
                "model": "gpt-4o-mini",
                "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}],
                "usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100},
            },
        ),
        None,
        0.000105,
    ),
    "of Responses, failed": (
        answered(
            "a",
            {
                "object": "response",
                "status": "failed",
                "error": {"code": "server_error", "message": "m"},
                "model": "gpt-4o-mini",
            },
        ),
        "server_error",
        0,
    ),
    "a limit": (answered("a", {"error": LIMIT}, status=429), "rate_limit_exceeded", 0),
    "an error of vLLM": (
        answered("a", {"object": "error", "message": "m", "type": "BadRequestError", "code": 400}, status=400),
        "BadRequestError",
        0,
    ),
    "an error as text": ({"custom_id": "a", "response": None, "error": "no"}, "error", 0),
    "a status alone": (answered("a", {}, status=500), "HTTP 500", 0),
    "an old error of Anthropic": (
        {"custom_id": "a", "result": {"type": "errored", "error": {"type": "overloaded_error", "message": "m"}}},
        "overloaded_error",
        0,
    ),
}


async def test_what_stands_in_a_line(storage: LocalStorage, tmp_path: Path):
    path = tmp_path / "rows.jsonl.gz"
    for name, (row, kind, cost) in OTHERS.items():
        path.write_bytes(gzip.compress(json.dumps(row).encode()))
        assert recognise(str(path)) == "batch", name
        (job_id,) = (await import_path(storage, path)).master_job_ids
        assert await kinds(storage, job_id) == ({} if kind is None else {kind: 1}), name
        state = await storage.ledger.get_run(job_id)
        assert state is not None
        assert state.cost == pytest.approx(cost), name
        assert await rows_of(storage, job_id) == ([] if kind else [row])


async def test_an_answer_counts_more_than_a_failure(storage: LocalStorage, tmp_path: Path):
    path = write(tmp_path / "o.jsonl", [answered("a", {"error": LIMIT}, status=429), answered("a", chat("?"))])
    errors = write(tmp_path / "e.jsonl", [answered("a", {"error": LIMIT}, status=429)])
    report = await import_batch(storage, str(path), errors=str(errors))
    assert (report.records, await kinds(storage, report.master_job_ids[0])) == (1, {})


BAD = {
    "not JSON": ('{"custom_id"', "line 2 of .*o.jsonl' is not JSON, at column 13"),
    "NaN": ('{"custom_id": "b", "response": {"body": {"x": NaN}}}', r"line 2 of .*o.jsonl"),
    "a result of no known type": ('{"custom_id": "b", "result": {"type": []}}', "line 2 of .* is no output of a batch"),
    "another form": ('{"custom_id": "b"}', "line 2 of .* is no output of a batch"),
    "twice": (json.dumps(OUTPUTS[0]), "line 2 of .* answers a request that a line before it has answered"),
    "not asked": (json.dumps(answered("b", chat("?"))), "line 2 of .* answers none of the requests in .*r.jsonl"),
}


async def test_a_bad_line_stops_it_before_anything_is_stored(storage: LocalStorage, tmp_path: Path):
    asked = str(write(tmp_path / "r.jsonl", REQUESTS[:2]))
    for number, (line, reason) in enumerate(BAD.values()):
        (tmp_path / "o.jsonl").write_text(json.dumps(OUTPUTS[0]) + "\n" + line)
        with pytest.raises(InvalidInputError, match=reason):
            await import_batch(storage, str(tmp_path / "o.jsonl"), inputs=asked)
        assert len(await storage.list_master_jobs()) == number
        report = await import_batch(storage, str(tmp_path / "o.jsonl"), inputs=asked, skip_bad=True)
        assert (report.records, report.skipped) == (2, 1)


async def test_bad_requests(storage: LocalStorage, tmp_path: Path, files: tuple[str, str, str]):
    for rows, reason in (
        ([{"a": 1}], 'line 1 of .* has no "custom_id"|no request of a batch'),
        ([*REQUESTS, REQUESTS[0]], "line 5 of .* has the custom_id of a request before it"),
    ):
        with pytest.raises(InvalidInputError, match=reason):
            await import_batch(storage, files[0], inputs=str(write(tmp_path / "r.jsonl", rows)))
    with pytest.raises(InvalidInputError, match=r"missing\.jsonl' cannot be read"):
        await import_batch(storage, files[0], inputs=str(tmp_path / "missing.jsonl"))
    assert await storage.list_master_jobs() == []


async def test_an_interrupted_import_goes_on(storage: LocalStorage, tmp_path: Path):
    count = 450
    path = write(tmp_path / "o.jsonl", [answered(f"q{n}", chat(str(n))) for n in range(count)])
    asked = write(tmp_path / "r.jsonl", [{**REQUESTS[0], "custom_id": f"q{n}"} for n in reversed(range(count))])

    def stop(progress: ImportProgress) -> None:
        if progress.stage == "importing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await import_batch(storage, str(path), inputs=str(asked), progress=stop)
    report = await import_batch(storage, str(path), inputs=str(asked))
    assert (report.records, report.new_records) == (count, 250)


def test_on_the_command_line(tmp_path: Path, files: tuple[str, str, str]):
    store = ("--store", str(tmp_path / "store"))
    done = call("import", files[0], "--errors", files[1], "--inputs", files[2], "--json", *store)
    (job_id,) = json.loads(done.out)["master_job_ids"]
    found = json.loads(call("errors", job_id, "--json", *store).out)
    assert (
        sorted(json.dumps(found).count(kind) > 0 for kind in ("batch_expired", "invalid_request_error")) == [True] * 2
    )
    refused = call("import", files[2], "--inputs", files[2], *store)
    assert refused.status != 0
    assert "--inputs is for --from batch, and not for jsonl" in refused.err


READ = """
import sys
from contextlib import ExitStack
from starfish_storage.imports.batches import BatchSource
from starfish_storage.imports.places import LineFile
from starfish_storage.row_files.source_file import SourceFile

with ExitStack() as stack:
    output, requests = (stack.enter_context(LineFile(stack.enter_context(SourceFile(name)))) for name in sys.argv[1:])
    source = BatchSource([output], requests)
    found = sum(1 for _ in source.index())
    read = sum(source.answer(position).error is None for position in source.positions())
# Not ru_maxrss: a process that was started by a larger one begins with the peak of that.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(found, read, status["VmHWM"].split()[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="where there is no /proc, the peak is not known")
def test_a_batch_is_read_in_flat_memory(tmp_path: Path):
    """What grows is where each line stands; OpenAI takes so many requests a batch."""
    count = 50_000
    with open(tmp_path / "o.jsonl", "w") as output, open(tmp_path / "r.jsonl", "w") as requests:
        for number in range(count):
            output.write(json.dumps(answered(f"q-{number}", chat("?"))) + "\n")
            requests.write(json.dumps(REQUESTS[0] | {"custom_id": f"q-{count - number - 1}"}) + "\n")
    status, out, err = processes.run(["-c", READ, str(tmp_path / "o.jsonl"), str(tmp_path / "r.jsonl")], timeout=600)
    assert status == 0, err
    found, read, peak = map(int, out.split())
    assert (found, read) == (count, count)
    assert peak < 150_000, f"{peak} kB"
