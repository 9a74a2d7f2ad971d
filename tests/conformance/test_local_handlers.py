"""The handlers that LocalStorage is made of, held to their contracts."""

from pathlib import Path

import pytest

from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.metadata.rows import RowCodec
from starfish_storage.metadata.sqlite.handler import SQLiteMetadataHandler
from starfish_storage.testing.suites.handler_tests import DataHandlerTests, Handlers, MetadataHandlerTests


class TestFileSystemDataHandler(DataHandlerTests):
    @pytest.fixture
    def handler(self, tmp_path: Path) -> FileSystemDataHandler:
        return FileSystemDataHandler(str(tmp_path / "store"))


class TestSQLiteMetadataHandler(MetadataHandlerTests):
    @pytest.fixture
    def handlers(self, tmp_path: Path) -> Handlers:
        data = FileSystemDataHandler(str(tmp_path))
        codec = RowCodec(data, tmp_path.as_uri(), None)
        return Handlers(SQLiteMetadataHandler(str(tmp_path), data, data.row_log, codec), data)
