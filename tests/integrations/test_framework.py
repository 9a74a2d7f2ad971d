"""The processes of Starfish in which the tests of this directory call functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations.framework import DIALLED, Framework


def test_that_they_reach_no_other_machine_is_seen(framework: Framework, tmp_path: Path):
    with pytest.raises(AssertionError, match="posthog"):
        framework.call(tmp_path, "report_a_run")
    assert "getaddrinfo us.i.posthog.com" in (tmp_path / DIALLED).read_text()
