"""The framework's own tests of its storage and its factory, on our storage."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from integrations.framework import PYTHON, environment_in, needed

TESTS = Path(sys.prefix) / "starfish-tests"
_WITHOUT_ITS_SETTINGS = ("-c", "/dev/null", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "-W", "ignore")


@pytest.mark.parametrize(
    ("part", "passed", "skipped"),
    [("storage", 15, 0), pytest.param("factory", 22, 2, marks=pytest.mark.slow)],  # more than a minute, of sleeps
)
def test_its_own_tests_pass(tmp_path: Path, part: str, passed: int, skipped: int):
    """The tests of the storage lie below /tmp, in directories whose names they say themselves."""
    needed()
    if not TESTS.exists():
        pytest.skip("they are in no package: make .venv/starfish-tests")
    options = json.dumps({"storage_uri": (tmp_path / "store").as_uri()})
    environment = environment_in(tmp_path, STARFISH_STORAGE_OPTIONS=options)
    command = [PYTHON, "-m", "pytest", "-q", "-p", "integrations.installed", *_WITHOUT_ITS_SETTINGS]
    ended = subprocess.run(
        [*command, f"--rootdir={TESTS}", TESTS / "tests" / "data_factory" / part],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        check=False,
    )
    counts = {what: int(count) for count, what in re.findall(r"(\d+) (passed|skipped|failed|errors?)", ended.stdout)}
    wanted = {"passed": passed} | ({"skipped": skipped} if skipped else {})
    assert (ended.returncode, counts) == (0, wanted), ended.stdout
    assert (tmp_path / "store").exists() == (part == "factory"), "and they have stored in it"
