"""The tutorial: each of its commands prints what the page shows below it."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

from docs.pages import PROJECT, blocks, commands, file_of, run_command

PAGE = PROJECT / "docs" / "tutorial" / "first-run.md"
# Columns are padded in a terminal and parted by tabs in a pipe.
ALIKE = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def test_commands_print_what_the_page_shows(tmp_path: Path):
    printed = ""
    compared = 0
    for block in blocks(PAGE):
        shown = file_of(block)
        if shown is not None:
            (tmp_path / shown).write_text(block.text, "utf-8")
        elif block.info == "console":
            printed = "".join(run_command(as_it_ends(command), tmp_path) for command in commands(block))
        else:
            assert block.info == "text"
            alike = doctest.OutputChecker().check_output(lasting(block.text), lasting(printed), ALIKE)
            assert alike, f"line {block.line}:\n{printed}"
            compared += 1
    assert compared == 8


def as_it_ends(command: str) -> str:
    """Let the run that has a failed input end as the page says."""
    return f"{command} || test $? = 1" if " generate " in command else command


def lasting(output: str) -> str:
    """Return an output without its times, and without ids, whose order is that of the calls' ends."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ|\b[0-9a-f]{32}\b", "#", output)
