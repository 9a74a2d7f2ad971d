"""Runs in a notebook, with a real kernel: what a cell shows, what an interruption does, and how the run goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel: make .venv/notebook")
pytest.importorskip("ipykernel", reason="needs ipykernel: make .venv/notebook")
nbformat = pytest.importorskip("nbformat")

FUNCTIONS = """
import asyncio, os, signal
from starfish_storage import generate, open_storage, resume, sync

storage = open_storage("store")
await storage.setup()
called = []

def interrupt(n):  # as a kernel's manager does it, in the third call of a cell that is told so
    called.append(n)
    if interrupts and len(called) == 3:
        os.kill(os.getpid(), signal.SIGINT)

async def later(n):
    interrupt(n)
    await asyncio.sleep(0.05)
    return {"n": n, "text": "<b>"}

def plain(n):
    interrupt(n)
    return {"n": n}

inputs = [{"n": n} for n in range(8)]
how = {"project": "p", "max_concurrency": 1}
"""


class Kernel:
    """Executes cells."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def execute(self, source: str) -> tuple[str, str]:
        """Return what a cell shows as text, a line or an error each, and as HTML."""
        cell = nbformat.v4.new_code_cell(source)
        self._client.nb.cells.append(cell)
        await self._client.async_execute_cell(cell, len(self._client.nb.cells) - 1)
        text, page = [], []
        for output in cell.outputs:
            shown = output.get("data", {})
            text.append(shown.get("text/plain") or output.get("text") or f"{output.get('ename')}")
            page.append(shown.get("text/html", ""))
        return "\n".join(text), "\n".join(page)


@pytest.fixture
async def kernel(tmp_path: Path) -> AsyncIterator[Kernel]:
    notebook = nbformat.v4.new_notebook()
    resources = {"metadata": {"path": str(tmp_path)}}
    client = nbclient.NotebookClient(notebook, timeout=60, allow_errors=True, resources=resources)
    async with client.async_setup_kernel():
        found = Kernel(client)
        assert await found.execute(FUNCTIONS) == ("", "")
        yield found
        assert await found.execute("await storage.close()") == ("", "")


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:RuntimeWarning")  # of Jupyter's own packages
async def test_run_interrupt_resume_and_look(kernel: Kernel) -> None:
    for named, call in (
        ("first", "await generate(storage, later, inputs, master_job_id='first', **how)"),
        ("second", "sync.generate(plain, inputs, store='store', master_job_id='second', **how)"),
    ):
        text, _ = await kernel.execute(f"interrupts = True; called = []\nrun = {call}")
        if named == "first":  # a plain function, in its thread, may have returned before the interruption is seen
            assert "waiting for 1 call in flight; interrupt the kernel again to cancel it" in text.splitlines()
        assert text.splitlines()[-2:] == [
            f"run '{named}' was interrupted: 3 of 8 inputs are done; run the cell again to continue",
            "KeyboardInterrupt",
        ]
        assert f"{named}: 3/8 inputs" in text
        text, page = await kernel.execute(f"interrupts = False\nrun = {call}\nrun")
        assert f"{named}: 8/8 inputs" in text
        assert f"<caption>run {named}</caption>" in page
        assert await kernel.execute("print(sorted(called) == list(range(8)), run.done_before)") == ("True 3\n", "")

    text, _ = await kernel.execute("interrupts = True; called = []\nawait generate(storage, later, inputs, **how)")
    assert "function) continues it" in text
    _, page = await kernel.execute("[run.sample(2), run.sample(1)][0]")
    assert "<td" in page
    _, page = await kernel.execute("await storage.get_records_for_master_job('first')")
    assert page.count("<tr>") == 9
    _, page = await kernel.execute("(await storage.list_projects())[0]")
    assert "<caption>project p</caption>" in page
