"""What the page on clients shows works, and costs what it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients import page
from clients.faults import check_texts, must_cost, questions, replies
from generation.runs import AT_ONCE, RUN, open_store, sound, start
from servers.paying import PayingServer

FILES = ("openai_answers.py", "anthropic_answers.py", "streamed_answers.py")


@pytest.mark.parametrize("name", FILES)
async def test_a_function_of_the_page_costs_what_it_must(
    tmp_path: Path, paying_server: PayingServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert set(page.write(tmp_path)) == {*FILES, "litellm_answers.py"}
    for variable, value in page.environment(paying_server.url).items():
        monkeypatch.setenv(variable, value)
    module = page.load(tmp_path / name)
    store = (tmp_path / "store").as_uri()
    async with open_store(store) as storage:
        inputs = [{"question": question} for question in questions(paying_server)]
        run = await start(storage, module.answer, inputs, retry=AT_ONCE)
        await module.client.close()
        assert (run.status, run.records) == ("completed", {"completed": len(inputs)})
        assert paying_server.payments == must_cost()
        assert run.attempts == paying_server.requests.total()
        check_texts(await replies(storage, RUN))
        assert run.input_tokens > 0
    sound(store)
