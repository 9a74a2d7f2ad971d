"""What can befall a call of a model, each at the first call for a question, and what it must cost."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from servers.paying import PayingServer
from starfish_storage.interface import Storage

FREE = ("limited", "broken", "overloaded", "unavailable", "hang_up")
LOST = ("cut", "json")
"""Paid for, but the answer does not arrive whole: only these must be paid for again."""
KEPT = ("answer", "truncated", "refusal", "no_usage", "empty")
KINDS = (*FREE, *LOST, *KEPT)


def questions(server: PayingServer, start: str = "") -> list[str]:
    """Return a question for each fault, and tell the model to commit it once."""
    for kind in KINDS:
        server.tell(kind, match=f"{start}{kind}?", retry_after=0.01 if kind == "limited" else None)
    return [f"{start}{kind}?" for kind in KINDS]


def must_cost(start: str = "", lost: Collection[str] = LOST) -> dict[str, int]:
    """Return how often each question must have been paid for."""
    return {f"{start}{kind}?": 1 + (kind in lost) for kind in KINDS}


async def replies(storage: Storage, run: str) -> dict[str, dict[str, Any]]:
    """Return what is stored of each question."""
    found: dict[str, dict[str, Any]] = {}
    for job in await storage.list_execution_jobs(run):
        (record,) = await storage.list_record_metadata(run, job.job_id)
        assert record.output_ref is not None, record.error_message
        found[str((job.run_config or {})["question"])] = await storage.get_record_data(record.output_ref)
    return found


def text_of(reply: dict[str, Any]) -> str | None:
    """Return what the model said, or that it declines, in a reply as it is stored."""
    for name in ("answer", "text"):
        if name in reply and not isinstance(reply[name], dict):
            return reply[name]
    if "choices" in reply:
        message = reply["choices"][0]["message"]
        return message["refusal"] or message["content"]
    parts = reply["output"][0]["content"] if "output" in reply else reply["content"]
    return (parts[0].get("refusal") or parts[0].get("text")) if parts else None


def check_texts(found: dict[str, dict[str, Any]], start: str = "", lost: Collection[str] = LOST) -> None:
    """What the model said last for each question is there."""
    for kind in set(KINDS) - {"truncated", "empty", "refusal"} - (set(LOST) - set(lost)):
        question = f"{start}{kind}?"
        number = 2 if kind in lost else 1
        assert text_of(found[question]) == f'{{"answer": "{question}", "reply": {number}}}'
    assert text_of(found[f"{start}refusal?"]) in (
        "I can't help with that.",
        None,
    )  # None: a page that asks for the text
