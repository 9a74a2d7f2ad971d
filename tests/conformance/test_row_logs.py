"""The row logs in files, held to their contract."""

from collections.abc import Callable
from pathlib import Path

import pytest

from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.data.row_log import FileRowLog, LoneRowLog
from starfish_storage.testing.suites.row_log_tests import RowLogHandlerTests


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
