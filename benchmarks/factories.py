"""Runs of Starfish's factories as a contestant: with its own storage, with ours in its place, and with none.

Runs in the peer's environment, which has what this library needs as well, with this library importable. The framework
is used as its authors use it, with its logging and its progress switched off.
"""

from __future__ import annotations

import logging
import os
import time
from importlib import import_module
from typing import Any

from benchmarks.payloads import make_payloads
from benchmarks.turns import serve

_payloads: list[dict[str, Any]] = []


def run_factory(directory: str, storage: str, inputs: int, concurrency: int, durability: str = "") -> dict[str, float]:
    """Run a factory whose function returns at once; return the seconds, from the call to its return, and of processors.

    Args:
        directory: where the store is made.
        storage: ``starfish`` (its own), ``nothing`` (its storage in memory, which keeps nothing), ``files`` or
            ``packed`` (ours).
        inputs: how many there are.
        concurrency: how many are at work at a time.
        durability: of ours.
    """
    while len(_payloads) < inputs:
        _payloads.extend(make_payloads(inputs))
    integration = import_module("starfish_storage.integrations.starfish")
    module: Any = import_module("starfish.data_factory.factory_")
    if storage == "starfish":
        integration.uninstall()
        module.LOCAL_STORAGE_URI = f"file://{directory}"
    elif storage == "nothing":
        integration.install(directory)  # which mends the storage in memory
    else:
        integration.install(directory, layout=storage, durability=durability)
    where = "in_memory" if storage == "nothing" else "local"
    factory = import_module("starfish").data_factory(storage=where, max_concurrency=concurrency, show_progress=False)(
        _answer
    )
    data = [{"n": n} for n in range(inputs)]
    os.sync()
    begun, worked = time.perf_counter(), time.process_time()
    done = factory.run(data=data)
    took = {"seconds": time.perf_counter() - begun, "processors": time.process_time() - worked}
    if len(done) != inputs:
        raise AssertionError(f"{storage} gives back {len(done)} of {inputs}")
    return took


async def _answer(n: int) -> list[dict[str, Any]]:
    return [_payloads[n]]


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    import_module("starfish")  # which adds what is removed here
    import_module("loguru").logger.remove()
    serve({"run_factory": run_factory})
