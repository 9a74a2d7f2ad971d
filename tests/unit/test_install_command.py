"""The command that a missing extra is installed with."""

from __future__ import annotations

from pathlib import Path

import pytest

from starfish_storage.errors import install_command

WANTED = "'starfish-storage[s3]'"


@pytest.mark.parametrize(
    ("place", "files", "expected"),
    [
        ("venv", {"pyvenv.cfg": "home = /usr/bin\nversion = 3.11.7\n"}, f"pip install {WANTED}"),
        ("venv", {"pyvenv.cfg": "home = /usr/bin\nuv = 0.9.9\n"}, f"uv pip install {WANTED}"),
        ("uv/tools/starfish-storage", {"uv-receipt.toml": "", "pyvenv.cfg": "uv = 1\n"}, f"uv tool install {WANTED}"),
        ("venvs/starfish-storage", {"pipx_metadata.json": "{}"}, f"pipx install --force {WANTED}"),
        ("uv/archive-v0/a-b_c", {"pyvenv.cfg": "uv = 0.9.9\n"}, f"uvx --from {WANTED} starfish-storage"),
        ("usr", {}, f"pip install {WANTED}"),
        ("usr", {"pyvenv.cfg": "\udcff = not text"}, f"pip install {WANTED}"),
    ],
)
def test_it_is_that_of_what_installed_the_library(tmp_path: Path, place: str, files: dict[str, str], expected: str):
    home = tmp_path / place
    home.mkdir(parents=True)
    for name, text in files.items():
        (home / name).write_text(text, "utf-8", "surrogateescape")
    assert install_command("s3", home) == expected
