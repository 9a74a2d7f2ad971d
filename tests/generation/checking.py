"""Checking outputs in tests."""

from __future__ import annotations

from starfish_storage.generation.outcomes import OutputChecks
from starfish_storage.runs import Output


async def outputs_of(checks: OutputChecks, returned: object) -> list[Output]:
    return (await checks.check(returned)).outputs


async def one(checks: OutputChecks, returned: object) -> Output:
    outputs = await outputs_of(checks, returned)
    assert len(outputs) == 1
    return outputs[0]
