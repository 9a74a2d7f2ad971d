"""Names that the published `LocalStorage` has, and that programs written for it use."""

import json
from pathlib import Path

from starfish_storage import LocalStorage
from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.interface import DataHandler, MetadataHandler
from starfish_storage.metadata.sqlite.handler import SQLiteMetadataHandler
from starfish_storage.testing.samples import a_project


def test_handlers_and_paths_before_setup(tmp_path: Path) -> None:
    storage = LocalStorage(f"file://{tmp_path}/store", f"file://{tmp_path}/data")
    assert isinstance(storage._metadata_handler, SQLiteMetadataHandler)
    assert isinstance(storage._data_handler, FileSystemDataHandler)
    assert (storage.base_path, storage.data_base_path) == (f"{tmp_path}/store", f"{tmp_path}/data")
    assert storage.metadata_db_path == f"{tmp_path}/store/metadata.db"


async def test_a_program_that_reaches_for_the_handlers(tmp_path: Path) -> None:
    async with LocalStorage(f"file://{tmp_path}") as storage:
        metadata: MetadataHandler = storage._metadata_handler
        data: DataHandler = storage._data_handler
        project = a_project()
        await metadata.save_project(project)
        assert await storage.get_project(project.project_id) == project
        reference = await storage.save_record_data("r1", "m1", "j1", {"a": 1})
        assert json.loads(data.read(data.to_key(reference))) == {"a": 1}
