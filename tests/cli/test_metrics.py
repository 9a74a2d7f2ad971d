"""Metrics for Prometheus: what its own parser reads of them, which runs they show, and how they are served."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cli import stores
from cli.calling import COMMAND, ENVIRONMENT, call, call_json
from starfish_storage import LocalStorage, Project
from starfish_storage.runs import SlotAsk
from starfish_storage.testing.samples import a_master_job, at

DASHBOARD = Path(__file__).parents[2] / "docs" / "how-to" / "grafana-dashboard.json"
STORE = "starfish_storage_"


def read(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Return the samples by name and labels; the parser refuses what Prometheus would."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in ("counter", "gauge"), family
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in found.setdefault(sample.name, {}), sample
            found[sample.name][labels] = sample.value
    return found


def of(run: str, project: str = "geography", **labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({"project": project, "run": run, **labels}.items()))


def share_a_limit(here: Path) -> None:
    assert call("limits", "openai", "--rpm", "600", "--tpm", "9000").status == 0

    async def ask() -> None:
        async with LocalStorage((here / "store").as_uri()) as storage:
            await storage.ledger.take_slots("openai", stores.DESERTED, SlotAsk(1))

    asyncio.run(ask())


def test_what_a_store_says_of_its_runs_workers_and_limits(here: Path) -> None:
    share_a_limit(here)
    printed = call("metrics")
    assert (printed.status, printed.err) == (0, "")
    metrics = read(printed.out)
    as_json = {one["name"]: one for one in call_json("metrics")}
    assert as_json[f"{STORE}runs_shown"] == {
        "name": f"{STORE}runs_shown",
        "kind": "gauge",
        "help": "Runs that have series of their own: see --runs.",
        "samples": [{"labels": {}, "value": 3}],
    }
    assert set(as_json) == set(metrics)
    ((labels, one),) = metrics[f"{STORE}info"].items()
    assert (dict(labels)["store"], one) == (str(here / "store"), 1)
    assert metrics[f"{STORE}runs"][(("status", "running"),)] == 2
    assert metrics[f"{STORE}runs"][(("status", "failed"),)] == 0
    assert metrics[f"{STORE}runs_shown"] == {(): 3}
    ended = stores.ENDED
    assert metrics[f"{STORE}run_records"][of(ended, status="completed")] == 2
    assert metrics[f"{STORE}run_inputs"][of(ended, status="failed")] == 2
    assert metrics[f"{STORE}run_tokens_total"][of(ended, direction="input")] > 0
    assert metrics[f"{STORE}run_cost_total"][of(ended)] == metrics[f"{STORE}run_attempts_total"][of(ended)] / 4
    # Its worker's lease ended long ago; a run of a pipeline that logs by itself has no ledger.
    workers = {state: metrics[f"{STORE}run_workers"][of(stores.DESERTED, state=state)] for state in ("working", "dead")}
    assert workers == {"working": 0, "dead": 1}
    assert of(stores.LOGGED, "sums") not in metrics[f"{STORE}run_attempts_total"]
    assert metrics[f"{STORE}limit_requests_per_minute"] == {(("limit", "openai"),): 600}
    assert metrics[f"{STORE}limit_share_ratio"] == {(("limit", "openai"), ("run", stores.DESERTED)): 1}
    assert metrics[f"{STORE}limit_paused_seconds"] == {(("limit", "openai"),): 0}


def test_ended_runs_are_bounded_and_names_are_escaped(empty: Path) -> None:
    hostile = 'a "name"\\ of\nlines sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH'

    async def fill() -> None:
        async with LocalStorage((empty / "store").as_uri()) as storage:
            await storage.save_project(Project(project_id="p", name="P"))
            for number in range(4):
                job = a_master_job(storage, f"run-{number}", name=hostile, project_id="p")
                await storage.log_master_job_start(job)
                if number:
                    await storage.log_master_job_end(f"run-{number}", "completed", {}, at(9), at(9))

    asyncio.run(fill())
    for asked, shown in (("2", 3), ("0", 1)):
        metrics = read(call("metrics", "--runs", asked).out)
        assert metrics[f"{STORE}runs_shown"] == {(): shown}
        assert metrics[f"{STORE}runs"][(("status", "completed"),)] == 3
        (name,) = {dict(labels)["name"] for labels in metrics[f"{STORE}run_info"]}
        assert name.startswith('a "name"\\ of\nlines ')
        assert "sk-proj" not in name


def test_serving_until_a_signal(here: Path) -> None:
    served = [*COMMAND, "metrics", "--serve", "127.0.0.1:0"]
    process = subprocess.Popen(
        served, cwd=here, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(address) as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert read(answer.read().decode())[f"{STORE}runs_shown"] == {(): 3}
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD")) as answer:
            assert (answer.status, answer.read()) == (200, b"")
        root = address.removesuffix("metrics")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(root)
        # What it cannot read now it says, and reads again when it can.
        (here / "store").rename(here / "away")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address)
        with refused.value as answer:
            assert (answer.status, "it does not exist" in answer.read().decode()) == (503, True)
        with urllib.request.urlopen(f"{root}healthz") as answer:
            assert answer.read() == b"ok\n"
        (here / "away").rename(here / "store")
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Stop with Ctrl-C." in err


@pytest.mark.parametrize("given", ["9464", "host:", "127.0.0.1:70000", ":x", ""])
def test_an_address_that_is_none_is_refused(here: Path, given: str) -> None:
    refused = call("metrics", "--serve", given)
    assert refused.status == 2
    assert "HOST:PORT" in refused.err


def test_a_store_of_an_earlier_format_is_read_and_stays_as_it_is(empty: Path) -> None:
    def files() -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in (empty / "store").rglob("*") if file.is_file()}

    shutil.unpack_archive(Path(__file__).parents[1] / "migrations" / "assets" / "v1.zip", empty / "store")
    (store,) = [file.parent for file in (empty / "store").rglob("metadata.db")]
    before = files()
    ended = call("metrics", "--store", str(store))
    assert (ended.status, ended.err) == (0, "")
    assert sum(read(ended.out)[f"{STORE}runs"].values()) > 0
    assert files() == before


def test_the_dashboard_names_only_what_there_is(here: Path) -> None:
    share_a_limit(here)
    known = set(read(call("metrics").out))
    text = DASHBOARD.read_text("utf-8")
    panels = json.loads(text)["panels"]
    asked = " ".join(target["expr"] for panel in panels for target in panel.get("targets", ()))
    named = set(re.findall(rf"\b{STORE}\w+", asked))
    assert named <= known, named - known
    assert named >= {name for name in known if "run_" in name} - {f"{STORE}run_info"}
