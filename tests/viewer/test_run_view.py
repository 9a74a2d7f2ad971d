"""`Run.view`: in a notebook, in a program, and what is left of it afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
import webbrowser

import pytest

from durability.processes import WARNINGS
from generation.runs import NEVER, open_store
from starfish_storage.errors import MissingExtraError, StoreOpenError
from starfish_storage.generation import Run, generate

from .markup import Page
from .viewing import HOSTILE_FIELD, RUN, answer


async def run_of(store: str) -> Run:
    async with open_store(store) as storage:
        inputs = [{"n": n} for n in range(4)]
        return await generate(
            storage, answer, inputs, project="p", master_job_id=RUN, progress="quiet", retry=NEVER, max_concurrency=1
        )


async def test_a_run_is_viewed(store: str, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    run = await run_of(store)
    assert "store" not in run.to_json()
    with run.view() as view:
        assert opened == [view.address]
        assert repr(view) == f"RunViewer({RUN!r}, {view.address})"
        with urllib.request.urlopen(view.address) as page:
            assert RUN in page.read().decode()
        shown = view._repr_html_()  # as notebooks call it
        table = Page(shown)
        assert table.has_link(f"Open run {RUN}")
        assert all(place.startswith(view.address.split("run?")[0]) for place in table.links)
        assert len([place for place in table.links if "/record?" in place]) == 4
        assert HOSTILE_FIELD not in shown
        with run.view(opens=False) as again:  # of the same process
            assert again.address == view.address
    assert "does not answer" in view._repr_html_()


async def test_what_it_needs(store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]):
    run = await run_of(store)
    os.rename(f"{tmp_path}/store", f"{tmp_path}/elsewhere")
    with pytest.raises(StoreOpenError, match="it does not exist"):
        run.view(opens=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtraError, match=r"starfish-storage\[viewer\]"):
        run.view(opens=False)


@pytest.mark.slow  # starts three processes
async def test_it_ends_with_a_program_that_is_killed(store: str):
    run = await run_of(store)
    program = "import sys\nfrom starfish_storage.generation.viewing import view_run\n"
    program += "print(view_run(tuple(sys.argv[2:]), sys.argv[1], opens=False).address, flush=True)\nsys.stdin.read()\n"
    command = [sys.executable, "-c", program, RUN, *run.store]
    environment = {**os.environ, "PYTHONWARNINGS": WARNINGS}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        with urllib.request.urlopen(address) as page:
            assert page.status == 200
        process.kill()
        process.wait()
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(address, timeout=1).close()
            except OSError:
                break
        else:
            pytest.fail("the viewer has outlived the program")
