"""Every example of the documentation runs, every command in it exists, and the demo shows what it should."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call
from docs.pages import PAGES, PROJECT, blocks, commands, file_of, run_in_process, run_python
from servers.paying import PayingServer
from starfish_storage import GenerationMasterJob, LocalStorage
from starfish_storage.demo import gsm8k_run

ANSWERS = PROJECT / "examples" / "gsm8k" / "model_solutions.jsonl"
NEEDS_SERVERS = PROJECT / "docs" / "how-to" / "cluster.md"
NEEDS_A_BUCKET = PROJECT / "docs" / "how-to" / "remote.md"
ASKS_A_MODEL = [PROJECT / "README.md", PROJECT / "docs" / "recording.md"]
# The second runs where there is Starfish: tests/integrations/test_starfish_page.py.
HAVE_THEIR_OWN_TESTS = [PROJECT / "docs" / "tutorial" / "first-run.md", PROJECT / "docs" / "how-to" / "starfish.md"]
NEEDS_A_WRITER = PROJECT / "docs" / "format.md"  # its commands are run in test_format, while a store is written to


def name(page: Path) -> str:
    return str(page.relative_to(PROJECT))


@pytest.fixture
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the modules of this test's directory afterwards: other pages have some of the same names."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for module in [one for one, loaded in sys.modules.items() if is_below(tmp_path, getattr(loaded, "__file__", None))]:
        del sys.modules[module]


def is_below(directory: Path, file: str | None) -> bool:
    return file is not None and Path(file).is_relative_to(directory)


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize("page", [page for page in PAGES if page not in HAVE_THEIR_OWN_TESTS], ids=name)
def test_examples_of_a_page_run_in_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
):
    if page == NEEDS_A_BUCKET:
        request.getfixturevalue("s3_uri")  # a server, and the environment that names it
        request.getfixturevalue("s3_server").make_bucket("my-bucket")
    monkeypatch.chdir(tmp_path)
    if page in ASKS_A_MODEL:
        request.getfixturevalue("model_of_openai")
    if page == NEEDS_SERVERS:
        request.getfixturevalue("nodes_environment")
    (tmp_path / "examples").symlink_to(PROJECT / "examples")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with asyncio.Runner() as runner:
        for block in blocks(page):
            shown = file_of(block)
            if shown is not None:
                (tmp_path / shown).write_text(block.text, "utf-8")
            elif block.info == "python":
                run_python(block, namespace, runner)
            elif block.info == "console" and page != NEEDS_A_WRITER:
                for command in commands(block):
                    run_in_process(command, tmp_path)


def test_only_what_needs_starfish_is_not_run():
    known = {"python", "python no-run", "console", "text", "sql"}
    unknown = [block for page in PAGES for block in blocks(page) if block.info not in known and file_of(block) is None]
    assert unknown == []
    not_run = [block for page in PAGES for block in blocks(page) if block.info == "python no-run"]
    assert all("starfish.data_factory" in block.text for block in not_run)
    for block in not_run:
        compile(block.text, str(block.page), "exec")


def test_the_first_example_resumes(
    model_of_openai: PayingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    start = next(block for block in blocks(PROJECT / "README.md") if block.info == "python")
    with asyncio.Runner() as runner:
        run_python(start, {"__name__": "__main__"}, runner)
        run_python(start, {"__name__": "__main__"}, runner)
    assert set(model_of_openai.payments.values()) == {1}
    assert model_of_openai.payments.total() == 100
    said = capsys.readouterr().out.splitlines()
    assert said[0] == said[1]
    assert f"It prints `{said[0]}`" in start.page.read_text("utf-8")


def runs_when_imported(source: str) -> bool:
    """Return whether a program calls `asyncio.run` where ``if __name__ == "__main__":`` does not guard it."""
    pending: list[ast.AST] = [*ast.parse(source).body]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_guard(node):
            continue
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.run":
            return True
        pending += ast.iter_child_nodes(node)
    return False


def is_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def test_programs_do_nothing_when_they_are_imported():
    """The worker of a process pool, and `generate` on the command line, import the file of a program."""
    programs = {f"{name(page)}:{one.line}": one.text for page in PAGES for one in blocks(page) if "python" in one.info}
    programs |= {name(path): path.read_text("utf-8") for path in (PROJECT / "examples").rglob("*.py")}
    assert sum("asyncio.run(" in text for text in programs.values()) >= 3, "README's and those of the examples"
    assert [place for place, text in programs.items() if runs_when_imported(text)] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path):
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{name(page)} links to {target}"
        if anchor:
            assert anchor in anchors(linked), f"{name(page)} links to {target}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_decision_is_listed():
    decisions = sorted((PROJECT / "docs" / "adr").glob("0*.md"))
    index = (PROJECT / "docs" / "adr" / "README.md").read_text("utf-8")
    assert [decision.name[:4] for decision in decisions] == [f"{n:04}" for n in range(1, len(decisions) + 1)]
    for decision in decisions:
        number, _, title = decision.read_text("utf-8").splitlines()[0].removeprefix("# ").partition(": ")
        assert f"| [{number}]({decision.name}) | {title} |" in index
    listed = re.findall(r"^\| \[(\d{4})\]", index, re.MULTILINE)
    assert listed == sorted(listed)


def run_demo(*words: str) -> str:
    # No terminal, and an encoding that a pipe gets in a bare environment.
    environment = {"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "COLUMNS": "100"}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def number(pattern: str, output: str) -> int:
    found = re.search(pattern, output)
    assert found, output
    return int(found[1].replace(",", ""))


def test_the_demo_kills_its_run_resumes_it_and_can_be_run_again(tmp_path: Path):
    """As a program with answers that are given, as `make demo` does, and as a command with those of the package."""
    store = tmp_path / "a store"
    problems = [json.loads(line) for line in gsm8k_run.ANSWERS.read_text("utf-8").splitlines()]
    right = sum(problem[model]["is_correct"] for problem in problems for model in gsm8k_run.MODELS)
    assert (len(problems), right) == (60, 84)

    outputs = [
        run_demo("starfish_storage.demo", str(gsm8k_run.ANSWERS), "--store", str(store)),
        run_demo("starfish_storage", "demo", "--store", str(store)),
    ]

    for output in outputs:
        charged = number(r"kill -9 when ([\d,]+) calls", output)
        assert 120 <= charged < 240, "the run was not killed half way"
        done_before, twice = (
            number(r"not paid for twice: +([\d,]+)", output),
            number(r"\npaid for twice: +(\d+)", output),
        )
        assert 0 <= charged - done_before == twice <= 50
        assert f"'completed': {right}, 'filtered': {240 - right}" in output
        record = json.loads(output[output.index("{") : output.index("\n}") + 2])
        assert record["question"] in {problem["question"] for problem in problems}
        (shown,) = re.findall(r"\nOne record, (\S+):\n", output)
        assert call("record", shown, "--store", str(store)).status == 0
    looks = outputs[0].partition("Look around:\n")[2].splitlines()
    assert [look.split()[3] for look in looks] == ["runs", "show", "verify"]
    for look in looks:  # with no directory of the project in the way to commands
        subprocess.run(shlex.split(look), env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True)
    looks = outputs[1].partition("Look around:\n")[2].splitlines()
    assert [shlex.split(look)[1] for look in looks] == ["runs", "show", "records", "verify", "view"]
    assert all(call(*shlex.split(look)[1:]).status == 0 for look in looks[:-1])
    runs = asyncio.run(demo_runs(store))
    assert [(run.status, run.completed_record_count) for run in runs] == [("completed", right)] * 2
    assert not list(tmp_path.glob("*.charged"))


async def demo_runs(store: Path) -> list[GenerationMasterJob]:
    async with LocalStorage(store.as_uri()) as storage:
        runs = await storage.list_master_jobs("gsm8k")
        for run in runs:
            assert len(await storage.list_execution_jobs(run.master_job_id)) == 240
        return runs


def test_the_demo_says_what_is_wrong(tmp_path: Path):
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "starfish_storage.demo", "--store", str(tmp_path / "file")]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "name a directory" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_demo_is_short_and_its_input_is_a_part():
    assert len(Path(gsm8k_run.__file__).read_text("utf-8").splitlines()) <= 125
    assert ANSWERS.stat().st_size < 700_000
    assert ANSWERS.read_bytes().startswith(gsm8k_run.ANSWERS.read_bytes())
    of_package = gsm8k_run.ANSWERS.with_name("model_solutions-LICENSE.txt")
    for licence in (ANSWERS.with_name("README.md"), of_package):
        assert "Copyright (c) 2021 OpenAI" in licence.read_text("utf-8")
