"""How long a command takes that lists what is in a small store, from the start of its process to its end."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

from benchmarks.contestants import ENVIRONMENT, PROJECT_ROOT
from benchmarks.run import Run
from benchmarks.tables import Series, Table, milliseconds
from starfish_storage import GenerationMasterJob, LocalStorage, Project

_MODULE = ("-m", "starfish_storage")
_COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "import of the package": ("-c", "import starfish_storage"),
    "starfish-storage --help": (*_MODULE, "--help"),
    "starfish-storage runs": (*_MODULE, "runs"),
    "starfish-storage runs --json": (*_MODULE, "runs", "--json"),
}
_RUNS = 20


def measure_starting(run: Run) -> list[Table]:
    """Measure whole processes, in turns."""
    store = run.store()
    asyncio.run(_make(store))
    seconds: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for words in _COMMANDS.values():
        _process_time(run.python, words, store)  # compiles what is not compiled
    for _ in run.rounds("start", run.sizes.imports):
        for name, words in _COMMANDS.items():
            seconds[name].append(_process_time(run.python, words, store))
    return [
        Table(
            "Start of a command",
            f"Time of a whole process, on a store with {_RUNS} runs, taken in turns; output to a pipe.",
            ("", "ours", "goal"),
            tuple(
                (name, milliseconds(Series(tuple(taken))), "< 250 ms" if " jobs" in name else "")
                for name, taken in seconds.items()
            ),
        )
    ]


async def _make(store: str) -> None:
    async with LocalStorage(Path(store).as_uri()) as storage:
        await storage.save_project(Project(project_id="p", name="p"))
        for number in range(_RUNS):
            reference = storage.generate_request_config_path(f"run-{number}")
            await storage.save_request_config(reference, {"number": number})
            await storage.log_master_job_start(
                GenerationMasterJob(
                    master_job_id=f"run-{number}",
                    project_id="p",
                    request_config_ref=reference,
                    output_schema={},
                    storage_uri=storage.storage_uri,
                    target_record_count=number,
                )
            )
            await storage.ledger.start_run(f"run-{number}")


def _process_time(python: str, words: tuple[str, ...], store: str) -> float:
    # Compiled code is kept, as that of an installed package is, whatever the shell of the moment says.
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["STARFISH_STORAGE_URI"] = store
    begun = time.perf_counter()
    subprocess.run([python, *words], check=True, cwd=PROJECT_ROOT, env=environment, capture_output=True)
    return time.perf_counter() - begun
