"""The handlers that LocalStorage is made of, held to their contracts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.row_log import FileRowLog, LoneRowLog
from starfish_storage.metadata.rows import RowCodec
from starfish_storage.metadata.sqlite.handler import SQLiteMetadataHandler
from starfish_storage.testing.suites.handler_tests import DataHandlerTests, Handlers, MetadataHandlerTests
from starfish_storage.testing.suites.row_log_tests import RowLogHandlerTests


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


@pytest.fixture
def content(tmp_path: Path) -> Callable[[], bytes]:
    return (tmp_path / "rows.jsonl").read_bytes


class TestFileRowLog(RowLogHandlerTests):
    @pytest.fixture
    def place(self, tmp_path: Path) -> FileRowLog:
        data = FileSystemDataHandler(str(tmp_path))
        data.setup()
        return data.row_log


class TestLoneRowLog(RowLogHandlerTests):
    @pytest.fixture
    def place(self, tmp_path: Path) -> LoneRowLog:
        return LoneRowLog(str(tmp_path))
