"""The contract of projects."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from starfish_storage.errors import (
    InvalidIdError,
    InvalidInputError,
)
from starfish_storage.interface import Storage
from starfish_storage.testing.hostile import HOSTILE_IDS
from starfish_storage.testing.samples import (
    PROJECT,
    RECORD,
    a_project,
    a_record,
    as_foreign_model,
    at,
    save_run,
)
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.suite import StorageSuite, assert_utc, refused


class ProjectTests(StorageSuite):
    """Saving, reading and listing projects; deleting them is in `DeletionTests`."""

    async def test_a_project_reads_back_as_it_was_saved(self, storage: Storage) -> None:
        """Every field is there."""
        project = a_project()
        await storage.save_project(project)
        found = await storage.get_project(PROJECT)
        assert found is not None
        assert found == project
        assert found is not project
        assert_utc(found.created_when, found.updated_when)

    async def test_a_project_of_defaults_reads_back(self, storage: Storage) -> None:
        """Optional fields stay None."""
        project = a_project(description=None)
        await storage.save_project(project)
        assert await storage.get_project(PROJECT) == project

    async def test_an_unknown_project_is_none(self, storage: Storage) -> None:
        """Reading what is not there is no error."""
        assert await storage.get_project("nobody") is None
        assert await storage.get_project("") is None

    async def test_saving_again_updates(self, storage: Storage) -> None:
        """The last call counts."""
        await storage.save_project(a_project())
        again = a_project(name="renamed", description=None, created_when=at(100), updated_when=at(101))
        await storage.save_project(again)
        assert await storage.list_projects() == [again]

    async def test_saving_the_same_twice_changes_nothing(self, storage: Storage) -> None:
        """It is idempotent."""
        for _ in range(2):
            await storage.save_project(a_project())
        assert await storage.list_projects() == [a_project()]

    async def test_saving_again_keeps_everything_in_it(self, storage: Storage) -> None:
        """Updating never deletes: jobs, records and data stay."""
        await save_run(storage)
        reference = await storage.save_record(a_record(), {"answer": 42})
        jobs, executions = await storage.list_master_jobs(), await storage.list_execution_jobs("master-1")
        await storage.save_project(a_project(name="renamed"))
        assert await storage.list_master_jobs(PROJECT) == jobs != []
        assert await storage.list_execution_jobs("master-1") == executions != []
        assert await storage.get_record_metadata(RECORD) is not None
        assert await storage.get_record_data(reference) == {"answer": 42}

    async def test_what_was_saved_is_not_what_the_caller_changes_later(self, storage: Storage) -> None:
        """The storage keeps no hold of the caller's object."""
        project = a_project()
        await storage.save_project(project)
        project.name = "changed after saving"
        found = await storage.get_project(PROJECT)
        assert found is not None
        assert found.name == a_project().name

    async def test_projects_are_listed_by_name_then_id(self, storage: Storage) -> None:
        """Names are ordered by code point, in every language alike."""
        names = {"3": "beta", "2": "beta", "1": "gamma", "5": "Zeta", "4": "alpha", "6": "éta", "7": ""}
        for project_id, name in names.items():
            await storage.save_project(a_project(project_id, name=name))
        found = [project.project_id for project in await storage.list_projects()]
        assert found == ["7", "5", "4", "2", "3", "1", "6"]

    async def test_a_rename_moves_it_in_the_list(self, storage: Storage) -> None:
        """The order is that of the present names."""
        for project_id in ("1", "2"):
            await storage.save_project(a_project(project_id, name=project_id))
        await storage.save_project(a_project("1", name="9"))
        assert [project.project_id for project in await storage.list_projects()] == ["2", "1"]

    async def test_naive_times_are_utc_and_other_zones_are_converted(self, storage: Storage) -> None:
        """On the way out every time is aware and in UTC."""
        naive = datetime(2026, 1, 31, 12)  # noqa: DTZ001 (what is tested)
        elsewhere = datetime(2026, 1, 31, 23, 30, tzinfo=timezone(timedelta(hours=-2)))
        await storage.save_project(a_project(created_when=naive, updated_when=elsewhere))
        found = await storage.get_project(PROJECT)
        assert found is not None
        assert found.created_when == at(0)
        assert found.updated_when.isoformat() == "2026-02-01T01:30:00+00:00"
        assert_utc(found.created_when, found.updated_when)

    async def test_a_foreign_model_with_the_attributes_is_accepted(self, storage: Storage) -> None:
        """Another library's model will do, naive times included."""
        naive = datetime(2026, 1, 31, 12)  # noqa: DTZ001 (what is tested)
        await storage.save_project(as_foreign_model(a_project(), created_when=naive))
        assert await storage.get_project(PROJECT) == a_project()

    @pytest.mark.parametrize("junk", [None, "project-1", {"project_id": "p"}], ids=repr)
    async def test_what_is_no_project_is_refused(self, storage: Storage, junk: Any) -> None:
        """It needs the attributes of one."""
        with refused(InvalidInputError, "Project"):
            await storage.save_project(junk)
        assert await storage.list_projects() == []

    async def test_an_error_does_not_quote_what_was_given(self, storage: Storage) -> None:
        """What people store may be secret."""
        with pytest.raises(InvalidInputError) as caught:
            await storage.save_project(as_foreign_model(a_project(), created_when="sk-secret"))
        assert "created_when" in str(caught.value)
        assert "sk-secret" not in str(caught.value)

    async def test_hostile_ids_are_refused(self, storage: Storage, store: StoreUnderTest) -> None:
        """The message names the id, and nothing is written."""
        for hostile in HOSTILE_IDS:
            project = a_project().model_copy(update={"project_id": hostile})
            with refused(InvalidIdError, hostile):
                await storage.save_project(project)
        assert await storage.list_projects() == []
        assert store.raw_keys() == set()

    async def test_text_that_is_none_is_refused(self, storage: Storage) -> None:
        """A lone surrogate is no character."""
        with refused(InvalidInputError, "name"):
            await storage.save_project(a_project(name="half a smile \ud83d"))
        assert await storage.list_projects() == []
