"""What all tests share: a reproducible Hypothesis profile, suites whose assertions show values, and real servers."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["collecting", "servers.fixtures", "side_by_side"]

pytest.register_assert_rewrite("starfish_storage.testing")

# The same examples on every machine and in every run; `make test-slow` takes more of them, and some tests even more.
settings.register_profile("reproducible", derandomize=True, deadline=None, database=None, max_examples=12)
settings.register_profile("thorough", settings.get_profile("reproducible"), max_examples=200)
settings.load_profile("reproducible")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse names that differ from process to process: workers would not run side by side."""
    unstable = [item.nodeid for item in session.items if " object at 0x" in item.nodeid]
    if unstable:
        raise pytest.UsageError(f"give these tests names without addresses: {unstable}")


@pytest.fixture(scope="session", autouse=True)
def _spools_and_caches() -> Iterator[None]:
    """Let nothing of a run that ends without its store, and no search index, go to the directories of whoever tests."""
    with tempfile.TemporaryDirectory(prefix="starfish-spools-") as path, pytest.MonkeyPatch.context() as patched:
        patched.setenv("STARFISH_STORAGE_SPOOL", path)
        patched.setenv("STARFISH_STORAGE_CACHE", f"{path}/cache")
        yield


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that other users may enter. Not pytest's: each worker that starts closes the one they all share."""
    path = Path(tempfile.mkdtemp(prefix="starfish-storage-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
