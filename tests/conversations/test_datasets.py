"""What is exported opens in `datasets` as it was written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from conversations.rows import ANSWER, ASK, FUNCTION, RESULT, SYSTEM, TOOLS, WORSE, Row, call, calling
from export.saving import save
from starfish_storage import LocalStorage
from starfish_storage.conversations import shape_named
from starfish_storage.export import export, form_named
from starfish_storage.imports.checking import check_file
from starfish_storage.testing.samples import MASTER_JOB, save_run

# Arguments that are not alike, and a null in them that somebody means.
NEWS = call("call_2", "news", '{"q": "Rome", "days": [1, 2.5], "source": null}')
TELLS = [*TOOLS, {"type": "function", "function": FUNCTION | {"name": "news"}}]
CHATS: list[Row] = [
    {"chat": [SYSTEM, ASK, calling(), RESULT, ANSWER | {"reasoning_content": "Warm."}], "tools": TOOLS},
    {"chat": [ASK, calling(call(), NEWS), RESULT, RESULT | {"tool_call_id": "call_2"}, ANSWER], "tools": TELLS},
    {"chat": [ASK, ANSWER], "tools": TOOLS},
]
ANSWERED: list[list[Row]] = [[SYSTEM, ASK, ANSWER], [ASK, WORSE]]
PLAIN = [{"chat": chat, "ask": chat[:-1], "good": ANSWER, "bad": WORSE} for chat in ANSWERED]
PAIRED = {"messages_from": "ask", "chosen_from": "good", "rejected_from": "bad"}
KEPT = {"messages_from": "chat", "tools_from": "tools", "thinking": "keep"}
CASES: dict[str, tuple[list[Row], dict[str, Any]]] = {
    "openai": (CHATS, {"messages_from": "chat", "tools_from": "tools"}),
    "trl": (CHATS, KEPT),
    "trl-prompt-completion": (CHATS, KEPT),
    "sharegpt": (CHATS, KEPT),
    "alpaca": (PLAIN, {"messages_from": "chat"}),
    "preferences": (PLAIN, PAIRED),
    "openai-dpo": (PLAIN, PAIRED),
}


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    async with LocalStorage(tmp_path / "store", durability="process") as storage:
        await save_run(storage)
        yield storage


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def opened(path: Path) -> list[Row]:
    """Return the rows of a file or dataset as `datasets` reads them."""
    import datasets

    datasets.disable_progress_bars()
    cache = str(path.parent / "cache")
    if path.is_dir():
        found: Any = datasets.load_dataset(str(path), cache_dir=cache)
    else:
        found = datasets.load_dataset("json", data_files=str(path), cache_dir=cache)
    return list(found["train"])


def without_nulls(value: Any) -> Any:
    """Return what trainers see: TRL leaves out the nulls by which columns are filled up, but for those in arguments."""
    if isinstance(value, dict):
        kept = {key: one if key == "arguments" else without_nulls(one) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("names", [("trl", "preferences"), pytest.param(tuple(CASES), marks=pytest.mark.slow)], ids=len)
async def test_each_shape_opens_in_datasets_as_it_was_written(
    names: tuple[str, ...], storage: LocalStorage, tmp_path: Path
) -> None:
    for name in names:
        data, options = CASES[name]
        await save(storage, data)
        (tmp_path / name).mkdir()
        paths = [tmp_path / name / one for one in ("rows.jsonl", "dataset")]
        for path in paths:
            form = form_named(name, path.name, **options)
            uids = [f"r{number:04}" for number in range(len(data))]
            report = await export(storage, path, form, master_job_ids=[MASTER_JOB], limit=len(uids))
            assert (report.form, report.records) == (name, len(data))
        of_file, of_dataset = map(opened, paths)
        assert without_nulls(of_file) == without_nulls(of_dataset)
        assert len(of_file) == len(data)
        for row in of_dataset:
            assert shape_named(name).check(without_nulls(row)) == []
        assert check_file(paths[0], name).faults == 0
