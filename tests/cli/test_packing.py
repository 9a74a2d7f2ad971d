"""``starfish-storage pack`` and ``unpack``."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from cli.calling import call, call_json, interrupt
from maintenance import stores
from starfish_storage import GenerationJob, GenerationMasterJob, LocalStorage, Project, Record


def data_files(root: Path) -> int:
    return len(list(root.glob("store/data/*/*.json")))


@pytest.fixture(name="directory")
async def a_store_of_files(empty: Path) -> Path:
    await stores.make(empty / "store", layout="files")
    return empty


def test_a_run_then_the_store_there_and_back(directory: Path):
    dry = call_json("pack", "--dry-run")
    assert (dry["records"], dry["dry_run"], data_files(directory)) == (stores.RECORDS, True, stores.RECORDS)
    told = call_json("pack", "m")  # the beginning of an id
    assert (told["master_job_id"], told["layout"], told["records"]) == ("m1", "packed", stores.RECORDS // 2)
    ended = call("pack", "--compress")
    assert ended.status == 0, ended
    first, second = ended.out.splitlines()
    assert first.startswith(f"{directory}/store: put 20 records (")
    assert ") into packs (" in first
    assert second.startswith("compressed 1 pack: ")
    assert data_files(directory) == 0
    assert [path.name for path in directory.glob("store/data/packs/*")] == ["000001.jsonl.zst"]
    again = call_json("pack", "--compress")
    assert (again["records"], again["compressed_packs"], again["packs_in_use"]) == (0, 0, 0)
    assert call("verify").status == 0
    assert json.loads(call("record", "r0003", "--json").out)["data"]["number"] == 3
    ended = call("unpack")
    assert ended.out.splitlines()[1] == "removed 1 empty pack"
    assert data_files(directory) == stores.RECORDS


def test_what_is_damaged_is_named_and_the_rest_is_moved(directory: Path):
    stores.flip_bit(stores.file_of(directory / "store", 5))
    ended = call("pack")
    assert ended.status == 1
    assert "left 1 where they are; 'verify' says more:\n  data/" in ended.out
    assert max(map(len, ended.out.splitlines()[1:])) <= 80
    assert data_files(directory) == 1
    assert call_json_of_failure("pack")["left"][0]["key"].endswith("/r0005.json")


def call_json_of_failure(*words: str) -> dict[str, list[dict[str, str]]]:
    ended = call(*words, "--json")
    assert ended.status == 1
    return json.loads(ended.out)


def test_what_cannot_be_done_is_refused(directory: Path):
    for words, message in (
        (["pack", "nobody"], "run 'nobody' "),
        (["--read-only", "pack"], "--read-only was given"),
        (["unpack", "--compress"], "No such option"),
        (["pack", "--store", "none"], "it does not exist"),
    ):
        ended = call(*words)
        assert ended.status == 2
        assert message in ended.err
    assert call("--read-only", "pack", "--dry-run").status == 0
    assert data_files(directory) == stores.RECORDS


async def make_large(root: Path) -> None:
    async with LocalStorage(root, layout="files", durability="process") as storage:
        await storage.save_project(Project(project_id="p", name="p"))
        await storage.log_master_job_start(
            GenerationMasterJob(
                master_job_id="m",
                project_id="p",
                request_config_ref=storage.generate_request_config_path("m"),
                output_schema={},
                storage_uri=storage.storage_uri,
                target_record_count=1,
            )
        )
        await storage.log_execution_job_start(GenerationJob(job_id="j", master_job_id="m", run_config={}))
        records = [Record(record_uid=f"r{n}", job_id="j", master_job_id="m", status="completed") for n in range(1200)]
        await storage.save_records([(record, {"n": record.record_uid}) for record in records])


def test_interrupted_it_says_so_and_the_same_command_goes_on(empty: Path):
    asyncio.run(make_large(empty / "store"))
    begun = empty / "store/data/packs/000001.jsonl"
    ended = interrupt("pack", directory=empty, when=begun, number=signal.SIGINT)
    assert (ended.status, ended.out) == (130, "")
    assert ended.err.endswith("Interrupted. What was moved stays so. Run the same command again to continue.\n")
    left = data_files(empty)
    assert left > 0
    assert json.loads(call("pack", "--json").out)["records"] == left
    assert call("verify").status == 0
