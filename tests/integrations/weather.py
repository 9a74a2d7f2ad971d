"""What users of Starfish run with its own storage, and go on with on this one: see `factories.py`."""

from __future__ import annotations

import importlib
import os
from typing import Any

from starfish.data_factory.factory import (  # pyright: ignore[reportMissingImports]
    data_factory,
    resume_from_checkpoint,
)

INPUTS = [{"city": city, "day": day} for city in ("Oslo", "Łódź", "東京") for day in range(4)]


async def forecast(city: str, day: int, charges: str) -> list[dict[str, Any]]:
    """Fail for one city until a service is back; note what is paid for. One number is none, and one day has two."""
    with open(charges, "a", encoding="utf-8") as file:
        file.write(f"{city} {day}\n")
    if city == "Łódź" and not os.path.exists(f"{charges}.back"):
        raise TimeoutError(f"no service in {city}")
    degrees = float("nan") if city == "Oslo" and day == 3 else day + 0.5
    return [{"city": city, "day": day, "degrees": degrees}, *([{"city": city, "night": True}] if day == 1 else [])]


def run_with_its_own_storage(root: str, charges: str) -> Any:
    """Run it once, as before there was this library, and return the id of the run."""
    starfish = importlib.import_module("starfish.data_factory.factory_")
    starfish.LOCAL_STORAGE_URI = f"file://{root}"  # pyright: ignore[reportAttributeAccessIssue]
    factory = data_factory(max_concurrency=3, show_progress=False, job_run_stop_threshold=100)(forecast)
    done = factory.run(data=INPUTS, charges=charges)
    return {"run": factory.factory.config.master_job_id, "done": len(done)}


def resume_on_this_one(root: str, run: str) -> Any:
    """Continue a run of its own storage on this one."""
    importlib.import_module("starfish_storage.integrations.starfish").install(root)
    return resume_from_checkpoint(run)
