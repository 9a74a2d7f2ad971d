"""What Starfish gets wrong around storage, and is mended by what it is wrapped in."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import pytest

from integrations.framework import HERE, Framework
from servers.paying import PayingServer
from starfish_storage import (
    LocalStorage,
    MissingExtraError,
    UnsupportedVersionError,
    UntrustedCodeError,
    open_storage,
)
from starfish_storage.integrations.starfish import install
from starfish_storage.integrations.starfish.stored_code import refuse_untrusted

PROGRAM = HERE / "mended.py"


def call(framework: Framework, directory: Path, function: str, /, **arguments: Any) -> Any:
    return framework.start(directory, function, program=PROGRAM, **arguments).result()


def test_only_a_version_that_is_known_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"starfish-storage\[starfish\]"):
        install(tmp_path / "store")
    described = tmp_path / "starfish_core-0.2.0.dist-info" / "METADATA"
    described.parent.mkdir()
    described.write_text("Metadata-Version: 2.1\nName: starfish-core\nVersion: 0.2.0\n")
    importlib.invalidate_caches()
    with pytest.raises(UnsupportedVersionError, match=r"0\.2\.0 is not one .* \(0\.1\.3\)"):
        install(tmp_path / "store")


def test_jobs_end(framework: Framework, tmp_path: Path):
    found = call(framework, tmp_path, "jobs_that_would_not_end", store=f"{tmp_path}/store")
    assert set(found.values()) == {True}, found


def test_a_factory_may_be_called_while_it_runs(framework: Framework, tmp_path: Path):
    found = call(framework, tmp_path, "one_factory_in_many_calls", store=f"{tmp_path}/store")
    assert [one for one in found if "Lima" in one] == ["{'words': ['LIMA', 'Lima']}"]
    assert len(found) == 5


async def test_what_was_paid_for_is_kept_though_it_fails(framework: Framework, tmp_path: Path):
    store = f"{tmp_path}/store"
    found = call(framework, tmp_path, "answers_that_were_paid_for", store=store)
    assert found.pop("odd") == [{"city": "Lima", "score": None, "tags": ["a"]}, {"text": "Lima"}]
    assert all(said.startswith("OutputError") for said in found.values())
    async with open_storage(store, read_only=True) as storage:
        for job in await storage.list_master_jobs():
            records = await storage.get_records_for_master_job(job.master_job_id)
            data = await storage.get_records_data([one.output_ref or "" for one in records if one.output_ref])
            assert {"city": "Lima"} in [{"city": row.get("city")} for row in data], job.name
            assert job.name == "odd" or {one.status for one in records} == {"failed"}


async def test_what_cannot_be_stored_is_refused_before_anything_is_paid_for(framework: Framework, tmp_path: Path):
    store = f"{tmp_path}/store"
    found = call(framework, tmp_path, "what_is_refused", store=store)
    assert found["key"].startswith("InvalidInputError: input 0 contains a secret at 'api_key'")
    assert found["object"].startswith("InvalidDataError: input 0 cannot be stored as JSON")
    assert found["called"] == []
    async with open_storage(store, read_only=True) as storage:
        assert await storage.list_master_jobs() == []


async def test_only_a_run_of_starfish_that_nobody_works_on_is_resumed(framework: Framework, tmp_path: Path):
    store = f"{tmp_path}/store"
    how = {"inputs": 2, "charges": f"{tmp_path}/charges", "seconds": 60.0, "concurrency": 2}
    running = framework.start(tmp_path, "run_squares", store=store, **how)
    running.hear()
    async with open_storage(store) as storage:
        (job,) = await storage.list_master_jobs()
        assert job.status == "running"
        said = call(framework, tmp_path, "refuses_a_run_of_others", store=store, run=job.master_job_id)
        assert "is under way in another process" in said
        running.kill()
        await storage.save_request_config(job.request_config_ref, {"function": "f", "config": {"model": "m"}})
        said = call(framework, tmp_path, "refuses_a_run_of_others", store=store, run=job.master_job_id)
        assert "is not the configuration of a run of Starfish" in said


async def test_calls_of_models_are_recorded(framework: Framework, tmp_path: Path, paying_server: PayingServer):
    """An answer is asked for anew after a hook has refused it, and not after something else has failed."""
    store = f"{tmp_path}/store"
    found = call(framework, tmp_path, "calls_of_a_model", store=store, url=paying_server.url)
    assert found["cities"] == ["Lima", "Oslo", "Quito"]
    assert paying_server.payments == {"about Lima": 2, "about Oslo": 1, "about Quito": 1}
    async with open_storage(store, read_only=True) as storage:
        state = await storage.ledger.get_run(found["run"])
        assert state is not None
        assert state.cost > 0
        assert (state.attempts, state.failed_attempts) == (5, 1)
        assert (await storage.ledger.count_calls(found["run"])).replayed == 1


def test_the_last_install_counts(framework: Framework, tmp_path: Path):
    names = {"store": f"{tmp_path}/first", "another": f"{tmp_path}/second"}
    assert call(framework, tmp_path, "installed_twice", **names) == [False, True, f"file://{tmp_path}/second"]


async def test_a_run_keeps_its_storage_though_that_is_taken_away(framework: Framework, tmp_path: Path):
    store = f"{tmp_path}/store"
    found = call(framework, tmp_path, "taken_away_within_a_run", store=store)
    async with open_storage(store, read_only=True) as storage:
        counts = await storage.ledger.count_inputs(found["run"])
    assert counts == {"completed": len(found["cities"])} == {"completed": 5}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
async def test_code_is_not_loaded_from_below_a_directory_of_somebody_else(tmp_path: Path):
    """The owner of a sticky directory, where nobody else may, can put another store in the place of this one."""
    above = tmp_path / "above"
    async with LocalStorage((above / "store").as_uri()) as storage:
        reference = await storage.save_request_config(storage.generate_request_config_path("run"), {"func": "80"})
        above.chmod(0o1777)
        refuse_untrusted(storage, reference, trusts_code=False)
        os.chown(above, 65534, 65534)
        with pytest.raises(UntrustedCodeError, match="belongs to another user"):
            refuse_untrusted(storage, reference, trusts_code=False)
