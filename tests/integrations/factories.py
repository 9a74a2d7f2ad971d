"""What users of Starfish write, called in an environment that has it: see `framework_server.py`."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from typing import Any

from starfish.data_factory.factory import (  # pyright: ignore[reportMissingImports]
    data_factory,
    resume_from_checkpoint,
)


def use(store: str | None, **how: Any) -> None:
    """Let Starfish store in a place of ours, or, without one, in its own way in this directory."""
    if store is None:
        starfish = importlib.import_module("starfish.data_factory.factory_")
        starfish.LOCAL_STORAGE_URI = f"file://{os.getcwd()}/own"  # pyright: ignore[reportAttributeAccessIssue]
    else:
        importlib.import_module("starfish_storage.integrations.starfish").install(store, **how)


async def square(n: int, charges: str, seconds: float) -> list[dict[str, Any]]:
    """Answer, and note what was paid for, where no storage loses it."""
    with open(charges, "a") as file:
        file.write(f"{n}\n")
    os.write(int(os.environ["SAY"]), json.dumps({"said": n}).encode() + b"\n")
    await asyncio.sleep(seconds)
    return [{"n": n, "square": n * n}]


def run_squares(
    store: str | None, inputs: int, charges: str, *, concurrency: int = 10, seconds: float = 0.004, **how: Any
) -> Any:
    use(store, **how)
    factory = data_factory(max_concurrency=concurrency, show_progress=False)(square)
    done = factory.run(data=[{"n": n} for n in range(inputs)], charges=charges, seconds=seconds)
    return {"run": factory.factory.config.master_job_id, "done": done}


def resume_squares(store: str | None, run: str, **how: Any) -> Any:
    use(store, **how)
    return resume_from_checkpoint(run)


def report_a_run() -> None:
    """Run what Starfish reports to its makers, unless it is told not to."""
    telemetry = importlib.import_module("starfish.telemetry.posthog_client")
    telemetry.analytics.settings.active = True  # pyright: ignore[reportAttributeAccessIssue]
    importlib.import_module("posthog").sync_mode = True  # pyright: ignore[reportAttributeAccessIssue]
    importlib.import_module("posthog").max_retries = 0  # pyright: ignore[reportAttributeAccessIssue]
    run_squares(None, 1, "charges")
