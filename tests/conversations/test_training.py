"""What is written renders in the chat templates of real models, and is what TRL takes; needs `make .venv/training`.

The templates are those that TRL brings for its own tests: of models, as their makers have published them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from conversations.rows import ANSWER, ASK, SYSTEM, TOOLS, WORSE, Row, call, calling, trl_call
from conversations.test_datasets import CASES, opened, without_nulls
from export.saving import save
from export.test_messages import lines
from starfish_storage import LocalStorage
from starfish_storage.conversations.messages import Conversation
from starfish_storage.conversations.pairs import pair_of
from starfish_storage.conversations.shapes import ConversationShape, PairShape, shape_named
from starfish_storage.export import export, form_named
from starfish_storage.testing.samples import MASTER_JOB, save_run

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast  # pyright: ignore[reportMissingImports] (of the group `training`)

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("trl") is None, reason="transformers and TRL are not installed: make .venv/training"
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of what they import
]

TOOL_MODELS = ("glm4moe", "gptoss", "llama3_1", "nemotron_3_nano", "qwen2_5", "qwen3", "qwen3_6")
TOLD = Conversation(
    [SYSTEM, ASK, calling(call("a", arguments='{"city": "Rome"}')) | {"thinking": "I shall look."},
     {"role": "tool", "tool_call_id": "a", "name": "weather", "content": "21 C, dry"}, ANSWER],
    TOOLS,
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of three words: its templates are what matters."""
    from tokenizers import Tokenizer  # pyright: ignore[reportMissingImports] (of the group `training`)
    from tokenizers.models import WordLevel  # pyright: ignore[reportMissingImports] (of the group `training`)
    from transformers import PreTrainedTokenizerFast  # pyright: ignore[reportMissingImports] (of the group `training`)

    words = Tokenizer(WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2}, "<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def template(model: str) -> str:
    """Return the chat template of a model."""
    spec = importlib.util.find_spec("trl")
    assert spec is not None
    [directory] = spec.submodule_search_locations or []
    return (Path(directory) / "chat_templates" / f"{model}.jinja").read_text("utf-8")


def rendered(tokenizer: PreTrainedTokenizerFast, model: str, messages: Sequence[Row], tools: Any = None) -> str:
    """Return the text of a conversation as a model is trained on it."""
    text = tokenizer.apply_chat_template(list(messages), tools=tools, chat_template=template(model), tokenize=False)
    return cast("str", text)


def written(name: str, told: Conversation) -> Row:
    """Return the row of a conversation."""
    return cast("ConversationShape", shape_named(name)).written(told)


def test_chat_templates_take_what_is_written(tokenizer: PreTrainedTokenizerFast) -> None:
    row = written("trl", TOLD)
    split = written("trl-prompt-completion", TOLD)
    # As the guide of transformers has it, by hand.
    by_hand = [
        SYSTEM,
        ASK,
        {"role": "assistant", "thinking": "I shall look.", "tool_calls": [trl_call() | {"id": "a"}]},
        {"role": "tool", "name": "weather", "content": "21 C, dry", "tool_call_id": "a"},
        ANSWER,
    ]
    for model in TOOL_MODELS:
        text = rendered(tokenizer, model, row["messages"], row["tools"])
        assert text == rendered(tokenizer, model, by_hand, TOOLS)
        places = [text.rindex(said) for said in ("How warm is it", "Rome", "21 C, dry", "It is 21 degrees.")]
        assert places == sorted(places), model
        assert "Tells the weather." in text
        assert '\\"' not in text  # no arguments that are quoted once more
        assert text == rendered(tokenizer, model, split["prompt"] + split["completion"], split["tools"])


async def test_a_dataset_renders_as_its_rows_do(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    data, options = CASES["trl"]
    async with LocalStorage(tmp_path / "store", durability="process") as storage:
        await save_run(storage)
        await save(storage, data)
        for name in ("rows.jsonl", "dataset"):
            await export(storage, tmp_path / name, form_named("trl", name, **options), master_job_ids=[MASTER_JOB])
    rows = lines(tmp_path / "rows.jsonl")
    found = [without_nulls(row) for row in opened(tmp_path / "dataset")]
    for model in ("gptoss", "nemotron_3_nano", "qwen3", "qwen3_6"):
        for row, loaded in zip(rows, found, strict=True):
            text = rendered(tokenizer, model, row["messages"], row["tools"])
            assert rendered(tokenizer, model, loaded["messages"], loaded["tools"]) == text


def test_chat_templates_refuse_what_the_check_refuses(tokenizer: PreTrainedTokenizerFast) -> None:
    from jinja2.exceptions import TemplateError

    shape = shape_named("trl")
    twice = [ASK, ASK, ANSWER]
    assert [one.path for one in shape.check({"messages": twice})] == ["messages[1]"]
    for model in ("cohere", "gemma", "gemma3"):
        with pytest.raises(TemplateError, match="alternate"):
            rendered(tokenizer, model, twice)
    as_text = written("openai", TOLD)["messages"]
    assert "arguments" in shape.check({"messages": as_text})[0].path
    for model in ("glm4moe", "nemotron_3_nano", "qwen3_6"):
        with pytest.raises((TypeError, TemplateError)):
            rendered(tokenizer, model, as_text, TOOLS)
    for model in ("gptoss", "llama3_1", "qwen2_5"):
        assert '\\"city\\"' in rendered(tokenizer, model, as_text, TOOLS)  # text in quotes, which a model would learn


def test_trl_takes_what_is_written(tokenizer: PreTrainedTokenizerFast) -> None:
    from datasets import Dataset
    from trl import data_utils as trl  # pyright: ignore[reportMissingImports] (of the group `training`)

    tokenizer.chat_template = template("qwen2_5")
    pair = pair_of(Conversation([SYSTEM, ASK, ANSWER]), Conversation([SYSTEM, ASK, WORSE]))
    row = cast("PairShape", shape_named("preferences")).written(pair)
    implicit = {"chosen": row["prompt"] + row["chosen"], "rejected": row["prompt"] + row["rejected"]}
    assert shape_named("preferences").check(implicit) == []
    assert trl.extract_prompt(implicit) == row
    rows = [row, implicit, written("trl", TOLD), written("trl-prompt-completion", TOLD)]
    assert all(map(trl.is_conversational, rows))
    texts = trl.apply_chat_template(row, tokenizer)
    assert set(texts) == {"prompt", "chosen", "rejected"}
    assert (ANSWER["content"] in texts["chosen"], WORSE["content"] in texts["rejected"]) == (True, True)
    unpaired = cast("dict[str, Any]", trl.unpair_preference_dataset(Dataset.from_list([row])).to_dict())
    assert [*zip(unpaired["completion"], unpaired["label"], strict=True)] == [
        (row["chosen"], True),
        (row["rejected"], False),
    ]
    # And what it cannot tell the purpose of, the check does not let pass.
    both = written("trl", TOLD) | {"prompt": [ASK]}
    with pytest.raises(KeyError, match="Invalid keys"):
        trl.apply_chat_template(both, tokenizer)
    assert [one.path for one in shape_named("trl").check(both)] == ["prompt"]
