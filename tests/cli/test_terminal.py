"""What people see in a terminal of 80 columns, and how values are shortened."""

from __future__ import annotations

import asyncio
import io
import re
import uuid
from pathlib import Path

import pytest
from rich.console import Console

from cli import stores
from cli.calling import call, call_json, in_a_terminal
from cli.stores import ENDED
from starfish_storage import GenerationMasterJob, LocalStorage, Project, Record
from starfish_storage.cli.shortening import shortened_traceback
from starfish_storage.cli.tables import Column, draw_table, fit
from starfish_storage.runs import Attempt, Outcome, Output, RunInput, Worker

NAMED = "gsm8k-teacher-2026-01-31"
RANDOM = uuid.UUID(int=7).hex
ERROR = "the model at https://api.example.com/v1/chat/completions gave no answer within thirty seconds; " * 5
EXCEPTION = "InternalServerError"


async def _make(root: Path) -> None:
    async with LocalStorage(root.as_uri()) as storage:
        await storage.save_project(Project(project_id="grade-school-mathematics", name="GSM8K"))
        for run in (NAMED, RANDOM):
            await storage.log_master_job_start(
                GenerationMasterJob(
                    master_job_id=run,
                    project_id="grade-school-mathematics",
                    name="with the third version of the prompt",
                    status="running",
                    request_config_ref=storage.generate_request_config_path(run),
                    output_schema={},
                    storage_uri=storage.storage_uri,
                    target_record_count=125_000,
                    creation_time=stores.START,
                )
            )
            await storage.ledger.start_run(run)
        await storage.ledger.save_worker(Worker("worker-1", NAMED, "here", stores.START, stores.at(60)))
        await storage.ledger.register_inputs(NAMED, [RunInput(0, {"n": 1})])
        (claimed,) = await storage.ledger.claim_inputs(NAMED, "worker-1", 1, stores.START)
        failed = Attempt(
            claimed.job_id, NAMED, 0, "worker-1", "failed", stores.at(0), stores.at(1), EXCEPTION, ERROR, "Traceback"
        )
        await storage.ledger.finish_input(Outcome(claimed, "worker-1", failed, [Output("failed", None, ERROR)], ERROR))
        await storage.log_master_job_end(NAMED, "completed_with_errors", {}, stores.at(2), stores.at(2))


@pytest.fixture(scope="module")
def long_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("terminal")
    asyncio.run(_make(root / "store"))
    return root


def lines_at_80(*words: str, directory: Path) -> list[str]:
    status, out = in_a_terminal(*words, directory=directory, COLUMNS="80", NO_COLOR="1")
    assert status == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def test_runs_at_80_columns_break_no_word(long_words: Path):
    head, *listed, left_out = lines_at_80("runs", directory=long_words)
    assert head.split() == ["run", "status", "completed", "failed", "cost"]
    assert [line.split()[:2] for line in listed] == [[NAMED, "completed_with_errors"], [RANDOM[:12], "running"]]
    assert listed[1].split()[2:] == ["0", "of", "125000", "0", "$0.00"]
    assert left_out == "Too narrow for: created, project, name. A wider terminal or --json shows this."


def test_errors_at_80_columns_break_no_word(long_words: Path):
    lines = lines_at_80("errors", NAMED, directory=long_words)
    (group,) = call_json("errors", NAMED, "--store", str(long_words / "store"))
    known = {"inputs", "kind", "example", "1", "…", EXCEPTION, group["job_id"], *ERROR.split()}
    notice = lines.pop() if lines[-1].startswith("Too narrow") else ""
    assert notice == "Too narrow for: input of the example. A wider terminal or --json shows this."
    words = set(" ".join(lines).split())
    assert words <= known
    assert {EXCEPTION, "https://api.example.com/v1/chat/completions"} <= words


def test_a_table_that_does_not_fit_becomes_paragraphs():
    console = Console(width=40, file=io.StringIO())
    columns = [Column("run"), Column("status"), Column("error", whole=False)]
    with console.capture() as captured:
        assert draw_table(console, columns, [["a-run-whose-id-is-long", "completed_with_errors", "one two " * 9]]) == []
    lines = captured.get().splitlines()
    assert lines[0].split() == ["run", "a-run-whose-id-is-long"]
    assert lines[1].split() == ["status", "completed_with_errors"]
    assert {word for line in lines[2:] for word in line.split()} == {"error", "one", "two"}
    assert max(map(len, lines)) <= 40


def test_a_column_is_as_wide_as_its_longest_word():
    columns = [Column("id"), Column("error", whole=False)]
    rows = [["x" * 20, f"see {'w' * 40} for more than fits into one line of this table"]]
    assert fit(columns, rows, 20 + 2 + 40) == {0: 20, 1: 40}
    assert fit(columns, rows, 20 + 2 + 39) is None


@pytest.mark.parametrize("width", range(20, 120, 7))
def test_a_table_is_as_wide_as_the_terminal_at_most(width: int):
    columns = [
        Column("id"),
        Column("a", whole=False, optional=True),
        Column("b", optional=True),
        Column("c", whole=False),
    ]
    rows = [["x" * 15, "some words " * 7, "y" * 9, "other words and more " * 5]]
    widths = fit(columns, rows, width)
    if widths is None:
        assert width < 15 + 2 + 30
    else:
        assert sum(widths.values()) + 2 * (len(widths) - 1) <= width
        assert widths[0] == 15
        console = Console(width=width, file=io.StringIO())
        with console.capture() as captured:
            draw_table(console, columns, rows)
        shown = set(captured.get().split())
        assert shown <= {"id", "a", "b", "c", "x" * 15, "y" * 9, *["some", "words", "other", "and", "more", "…"]}


@pytest.fixture
def large(here: Path) -> str:
    """A record with values that are large."""

    async def save() -> None:
        async with LocalStorage((here / "store").as_uri()) as storage:
            record = Record(record_uid="large", job_id="sum", master_job_id=stores.LOGGED, status="completed")
            data = {"text": "é" * 3000, "numbers": list(range(5000)), "few": [1, 2], "deep": {"text": "z" * 2049}}
            await storage.save_record(record, data)

    asyncio.run(save())
    return "large"


def test_a_value_over_2_kb_is_cut_unless_it_is_asked_for_in_full(large: str):
    for words in (["record", large], ["show", large]):
        out = call(*words).out
        assert f"{'é' * 2048}… (952 more characters; --full shows all)" in out
        assert "é" * 2049 not in out
        assert '    19,\n    "… (4,980 more items; --full shows all)"\n' in out
        assert f"{'z' * 2048}… (1 more characters; --full shows all)" in out
        full = call(*words, "--full").out
        assert "é" * 3000 in full
        assert "4999" in full
        assert "--full" not in full
        assert call_json(*words)["data"]["text"] == "é" * 3000


def test_of_a_long_traceback_the_end_is_shown():
    lines = [f"  File {number}" for number in range(1000)]
    shown = shortened_traceback("\n".join(lines))
    assert shown.splitlines()[-1] == "  File 999"
    assert set(shown.splitlines()[1:]) <= set(lines)
    assert shown.startswith("… (")
    assert len(shown) < 2200
    assert shortened_traceback("Traceback\nError") == "Traceback\nError"


def test_costs_are_money_wherever_people_read_them(here: Path):
    assert "cost\t$1.75" in call("show", ENDED).out
    uid = call_json("records", ENDED, "--status", "completed")[-1]["record_uid"]
    assert "\t$0.25\t" in call("record", uid).out
    assert call_json("show", ENDED)["run"]["cost"] == 1.75  # to programs it is a number
