"""Real clients within a run: whatever befalls a call, the answers that were paid for are stored, and each is paid for
as often as it has to be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.asking import asking
from clients.faults import LOST, check_texts, must_cost, questions, replies
from generation.runs import AT_ONCE, RUN, open_store, sound, start
from servers.paying import PayingServer
from starfish_storage.interface import Storage


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with open_store(tmp_path.as_uri()) as opened:
        yield opened
    sound(tmp_path.as_uri())


# The others are those of the page.
@pytest.mark.parametrize(
    ("way", "blocking"),
    [("openai-responses", False), ("anthropic-stream", False), ("openai-chat", True), ("anthropic-messages", True)],
)
async def test_a_fault_costs_what_it_must(
    storage: Storage, paying_server: PayingServer, way: str, blocking: bool
) -> None:
    inputs = [{"question": question} for question in questions(paying_server)]
    async with asking(paying_server.url, way, blocking=blocking) as function:
        run = await start(storage, function, inputs, retry=AT_ONCE)
    assert (run.status, run.records) == ("completed", {"completed": len(inputs)})
    # A stream that ends early but in good order is an answer.
    lost = LOST[:1] if way.endswith("stream") else LOST
    assert paying_server.payments == must_cost(lost=lost)
    assert run.attempts == paying_server.requests.total()
    check_texts(await replies(storage, RUN), lost=lost)
