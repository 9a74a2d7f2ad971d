"""Dataset directories: the real `datasets` library opens them offline, and the card tells what the store knows."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from cli import stores
from starfish_storage import LocalStorage
from starfish_storage.codec import encode
from starfish_storage.errors import InvalidInputError, NotFoundError, StoreDamagedError
from starfish_storage.export import features
from starfish_storage.export.card import inline, quoted
from starfish_storage.export.dataset_directory import write_dataset
from starfish_storage.export.provenance import collect_provenance, identity_of
from starfish_storage.export.records import ExportedRecord
from starfish_storage.export.splitting import Division, SplitOptions, split_of
from starfish_storage.export.table_sink import TableSink
from starfish_storage.export.tokens import without_tokens

ROWS: list[dict[str, Any]] = [
    {
        "text": f"tëxt {number}",
        "number": number if number % 2 else number + 0.5,
        "flag": True,
        "none": None,
        "tags": ["a", "b"][: number % 3],
        "nested": {"score": 1, "inner": [{"deep": [[number]], "empty": []}]},
        "odd.name: é|#": number,
        "": "empty",
        "mixed": number if number % 2 else {"x": [number]},
        "level": ("easy", "hard")[number % 5 == 0],
    }
    for number in range(300)
]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def load(directory: Path, cache: Path) -> Any:
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(str(directory), cache_dir=str(cache))


def write(
    directory: Path,
    rows: list[dict[str, Any]],
    options: SplitOptions | None = None,
    card: Any = "# Mine",
    shard_bytes: int | None = None,
    *,
    plain_json: bool = False,
) -> TableSink:
    directory.mkdir(exist_ok=True)
    options = options or SplitOptions()
    sink = TableSink(str(directory.parent), None, options.names, shard_bytes)
    split = split_of(options)
    try:
        for number, row in enumerate(rows):
            record = ExportedRecord(f"r{number}", encode(row, "row"), None)
            sink.add(record.uid, record.payload, split=split(record))
        division = Division(options, None)
        write_dataset(sink, str(directory), {"run": "m1"}, card, division=division, plain_json=plain_json)
    finally:
        sink.close()
    return sink


def front(directory: Path) -> dict[str, Any]:
    return yaml.safe_load((directory / "README.md").read_text("utf-8").split("---\n")[1])


def test_datasets_opens_it(tmp_path: Path):
    options = SplitOptions({"train": 0.8, "validation": 0.1, "test": 0.1}, seed=7)
    sink = write(tmp_path / "set", ROWS, options, shard_bytes=10_000)
    opened = load(tmp_path / "set", tmp_path / "cache")
    assert list(opened) == ["train", "validation", "test"]
    assert sum(split.num_rows for split in opened.values()) == len(ROWS)  # none twice where a file ends
    read = {row["text"]: row for split in opened.values() for row in split}
    assert len(read) == len(ROWS)
    for row in ROWS:
        assert read[row["text"]] == row
    assert [conflict.path for conflict in sink.conflicts] == ["$.mixed"]
    about = front(tmp_path / "set")
    assert about["tags"] == ["synthetic"]
    assert about["size_categories"] == ["n<1K"]
    written = {split["name"]: split["num_examples"] for split in about["dataset_info"]["splits"]}
    assert written == {name: split.num_rows for name, split in opened.items()}
    files = sorted((tmp_path / "set" / "data").iterdir())
    assert about["dataset_info"]["download_size"] == sum(file.stat().st_size for file in files)
    shards = [file.name for file in files if file.name.startswith("train")]
    assert len(shards) > 3
    assert shards == [f"train-{number:05}-of-{len(shards):05}.parquet" for number in range(len(shards))]
    assert all(pq.read_metadata(file).metadata[b"run"] == b"m1" for file in files)


def test_the_features_of_the_card_are_those_that_datasets_finds(tmp_path: Path):
    import datasets

    write(tmp_path / "set", ROWS)
    (file,) = (tmp_path / "set" / "data").iterdir()
    told = datasets.DatasetInfo._from_yaml_dict(front(tmp_path / "set")["dataset_info"])
    assert told.features == datasets.Features.from_arrow_schema(pq.read_schema(file))


CALLS: list[dict[str, Any]] = [
    {
        "calls": [{"name": "a", "arguments": {"city": "Rome"}}],
        "big": {"n": 2**70},
        "mixed": 1,
        "either": None,
        "none": [None] * 9,
    },
    {"calls": [{"name": "b", "arguments": {"q": 1, "k": [0.57]}}], "big": {}, "mixed": "x", "either": {"a": 2**64 - 1}},
    {"calls": [{"name": "c", "arguments": None}], "big": {"n": 1}, "mixed": ["y"]},
]


def test_json_text_is_read_as_objects(tmp_path: Path):
    """Where `datasets` can: it fails on integers beyond 64 bits."""
    import datasets

    sink = write(tmp_path / "set", CALLS)
    (file,) = (tmp_path / "set" / "data").iterdir()
    found = datasets.Features.from_arrow_schema(pq.read_schema(file))
    assert found == datasets.Features(
        {
            "calls": datasets.List({"name": datasets.Value("string"), "arguments": datasets.Json()}),
            "big": datasets.Value("string"),
            "mixed": datasets.Json(),
            "either": datasets.Json(),
            "none": datasets.List(datasets.Value("null")),
        }
    )
    assert datasets.DatasetInfo._from_yaml_dict(front(tmp_path / "set")["dataset_info"]).features == found
    rows = list(load(tmp_path / "set", tmp_path / "cache")["train"])
    assert [json.loads(row.pop("big")) for row in rows] == [row["big"] for row in CALLS]
    expected: list[Any] = [{key: row.get(key) for key in CALLS[0] if key != "big"} for row in copy.deepcopy(CALLS)]
    # In JSON text, it reads 15 digits.
    assert rows[1]["calls"][0]["arguments"].pop("k") == [pytest.approx(0.57, rel=1e-14)]
    del expected[1]["calls"][0]["arguments"]["k"]
    assert rows == expected
    assert [str(conflict) for conflict in sink.conflicts][:2] == [
        "$.calls[].arguments is written as JSON text, 2 values: objects of which some have keys that others lack",
        "$.big is written as JSON text, 3 values: objects of which some have keys that others lack",
    ]


@pytest.mark.parametrize("installed", ["4.6.1", "asked for", "without the type"])
def test_json_text_stays_text_for_older_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: str):
    if installed == "without the type":
        monkeypatch.delattr("pyarrow.json_")
    elif installed != "asked for":
        monkeypatch.setattr(features, "version", lambda package: installed)
    write(tmp_path / "set", CALLS, plain_json=installed == "asked for")
    (file,) = (tmp_path / "set" / "data").iterdir()
    assert str(pq.read_schema(file).field("mixed").type) == "string"
    assert front(tmp_path / "set")["dataset_info"]["features"][2] == {"name": "mixed", "dtype": "string"}


def test_same_records_same_bytes(tmp_path: Path):
    for name in ("one", "two"):
        write(tmp_path / name, ROWS, SplitOptions({"train": 0.5, "test": 0.5}), shard_bytes=20_000)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) > 4
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_field_names_the_split(tmp_path: Path):
    write(tmp_path / "set", ROWS, SplitOptions(split_by="level"))
    opened = load(tmp_path / "set", tmp_path / "cache")
    assert {name: split.num_rows for name, split in opened.items()} == {"hard": 60, "easy": 240}
    assert set(opened["hard"]["level"]) == {"hard"}


def test_a_split_without_records_gets_no_file(tmp_path: Path):
    write(tmp_path / "set", ROWS[:1], SplitOptions({"train": 1 - 1e-9, "test": 1e-9}))
    assert list(load(tmp_path / "set", tmp_path / "cache")) == ["train"]
    with pytest.raises(InvalidInputError, match="no row would be in it"):
        write(tmp_path / "none", [])
    assert not (tmp_path / "none" / "data").exists()


def test_metadata_has_its_column(tmp_path: Path):
    sink = TableSink(str(tmp_path), "metadata")
    sink.add("r1", b'{"a":1}\n', {"uid": "r1", "input": {"q": "x"}})
    with pytest.raises(StoreDamagedError, match="r2"):
        sink.add("r2", b"{", {})
    seen: list[int] = []
    write_dataset(sink, str(tmp_path / "set"), {}, "", seen.append)
    sink.close()
    assert seen == [1]
    assert load(tmp_path / "set", tmp_path / "cache")["train"][0]["metadata"] == {"uid": "r1", "input": {"q": "x"}}


@pytest.fixture
async def store(tmp_path: Path) -> Path:
    await stores.make(tmp_path / "store")
    return tmp_path / "store"


async def test_the_card_tells_what_the_store_knows(store: Path, tmp_path: Path):
    async with LocalStorage(store.as_uri()) as storage:
        provenance = await collect_provenance(storage, [stores.ENDED, stores.LOGGED])
        with pytest.raises(NotFoundError, match="nobody"):
            await collect_provenance(storage, ["nobody"])
    write(tmp_path / "set", ROWS[:5], card=provenance)
    text = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert list(load(tmp_path / "set", tmp_path / "cache")) == ["train"]
    for said in (
        "# Geography, Sums",
        "Capitals",
        "5 synthetic records",
        "| id | capitals-1 |",
        "| models | small-1 |",
        "| status | completed_with_errors |",
        "| records | 2 completed, 1 duplicate, 2 failed, 1 filtered |",
        "| TimeoutError | 2 |",
        "für capitals-1",
        '"model": "small-1"',
        "| attempts | 7, of which 3 failed |",
        "2026-01-31 12:00 UTC",
        "| cost | 1.75 |",
        "$.mixed is written as JSON text",
        "reads the JSON text as objects",
    ):
        assert said in text, said
    assert str(store) not in text
    identity = identity_of(provenance)
    assert json.loads(identity["starfish_storage.master_job_ids"]) == [stores.ENDED, stores.LOGGED]
    assert json.loads(identity["starfish_storage.records"])[stores.ENDED]["completed"] == 2
    assert all(len(one) == 64 for one in json.loads(identity["starfish_storage.request_config_sha256"]).values())


SECRETS = ("sk-abcdefghijklmnop1234", "hunter2hunter2", "hf_abcdefghijklmnopqrst", "AKIAABCDEFGHIJKLMNOP", "pa55")


async def test_secrets_never_come_into_the_card(tmp_path: Path):
    config = {
        "model": "small-1",
        "api_key": "hunter2hunter2",
        "headers": {"Authorization": "Bearer hunter2hunter2"},
        "prompt": "call it with sk-abcdefghijklmnop1234 please",
        "note": ["hf_abcdefghijklmnopqrst", {"url": "https://me:pa55@example.org/x"}],
        "pem": "-----BEGIN RSA PRIVATE KEY-----\nhunter2hunter2",
        "inputs": "/home/somebody/secret place/inputs.jsonl",
        "command": ["run", "--api-key", "hunter2hunter2", "--token=hunter2hunter2"],
        "said": [
            "https://example.org/?api_key=hunter2hunter2&x=1", "host=h password=hunter2hunter2",
            "Authorization: Basic hunter2hunter2", "X-Api-Key: hunter2hunter2", '{"api_key": "hunter2hunter2"}',
            "https://hunter2hunter2@github.com/x", "AccountKey=hunter2hunter2", "https://me:p@hunter2hunter2@h/",
            "https://x/?X-Amz-Signature=hunter2hunter2", "export OPENAI_API_KEY=hunter2hunter2",
        ],
    }  # fmt: skip
    root = tmp_path / "store"
    await stores.make(root)
    async with LocalStorage(root.as_uri(), redact_secrets=False) as storage:
        job = await storage.get_master_job(stores.LOGGED)
        assert job is not None
        await storage.save_request_config(job.request_config_ref, config)
        project = await storage.get_project(job.project_id)
        assert project is not None
        await storage.save_project(
            project.model_copy(
                update={"name": "of hf_abcdefghijklmnopqrst", "description": "ghp_abcdefghijklmnopqrstuv"}
            )
        )
        provenance = await collect_provenance(storage, [stores.LOGGED])
    write(tmp_path / "set", ROWS[:5], card=provenance)
    text = (tmp_path / "set" / "README.md").read_text("utf-8")
    for secret in (*SECRETS, "somebody"):
        assert secret not in text, secret
    assert "call it with [redacted] please" in text
    assert "abcdefghijklmnopqrst" not in text
    assert "inputs.jsonl" in text
    for secret in SECRETS:
        assert secret not in json.dumps(identity_of(provenance))


def test_secrets_do_not_come_into_a_body_of_ones_own(tmp_path: Path):
    write(tmp_path / "set", ROWS[:5], card="# Mine\n\nasked with sk-abcdefghijklmnop1234")
    assert (tmp_path / "set" / "README.md").read_text("utf-8").endswith("---\n\n# Mine\n\nasked with [redacted]\n")


async def test_a_lost_configuration_is_said(store: Path, tmp_path: Path):
    for file in (store / "configs").iterdir():
        file.unlink()
    async with LocalStorage(store.as_uri()) as storage:
        provenance = await collect_provenance(storage, [stores.LOGGED])
    write(tmp_path / "set", ROWS[:5], card=provenance)
    assert "It is lost." in (tmp_path / "set" / "README.md").read_text("utf-8")


async def test_texts_cannot_break_out_of_their_place(store: Path, tmp_path: Path):
    async with LocalStorage(store.as_uri()) as storage:
        job = await storage.get_master_job(stores.LOGGED)
        assert job is not None
        await storage.save_request_config(
            job.request_config_ref, {"prompt": "````\n---\n# <script>", "odd": ["\ud800", 2**70]}
        )
        provenance = await collect_provenance(storage, [stores.LOGGED])
    write(tmp_path / "set", ROWS[:5], card=provenance)
    text = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert "\n`````text\n````\n---\n# <script>\n`````\n" in text
    assert "\ufffd" in text
    assert f"{2**70}" in text
    assert inline("<script>|\n# x") == "\\<script\\>\\| \\# x"


ODD_TEXTS = [
    "a",
    "é",
    '"',
    "\\",
    "\x00\x07\x1b\x7f\x85\x9f",
    "\u2028",
    "\ufeff",
    "\ufffe",
    "🐟",
    "\t\r\n",
    "null",
    ": #",
]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_yaml_reads_what_is_quoted(text: str):
    assert yaml.safe_load(f"- {quoted(text)}") == [text]


@pytest.mark.parametrize(
    "text", ["sk-proj-short", "task-force-and-more-text-here", "https://example.org/a:b@c", "model-1"]
)
def test_ordinary_text_is_left_as_it_is(text: str):
    assert without_tokens(text) == text


def test_what_looks_like_a_word_is_no_token():
    for text in ("xai-safety-questions-v1", "pk-answers-of-may-2026", "max_tokens=4096", "the token count: 17"):
        assert without_tokens(text) == text
    for text in ('{"allow_secrets": false, "api_key": null}', "use_token=True"):
        assert without_tokens(text) == text
    assert without_tokens('{"password": "falseness", "n": 1}') == '{"password": "[redacted]", "n": 1}'


@pytest.mark.parametrize("key", ["a \u2028 b", "x\u2028---\u2029y", "\x85", "\ufeff"])
def test_odd_names_of_columns_can_be_opened(tmp_path: Path, key: str):
    write(tmp_path / "set", [{key: 1}])
    assert load(tmp_path / "set", tmp_path / "cache")["train"][0] == {key: 1}
