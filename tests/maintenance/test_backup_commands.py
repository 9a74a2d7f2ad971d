"""The commands that back up and restore."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maintenance import stores
from maintenance.test_verify import command, root
from starfish_storage.maintenance import verify

__all__ = ["root"]


async def test_the_commands_back_up_and_restore(root: Path, tmp_path: Path) -> None:
    status, out, errors = command("backup", str(tmp_path / "b"), "--store", str(root))
    assert (status, errors) == (0, "")
    assert f"{stores.RECORDS} records" in out
    status, out, errors = command("--store", str(tmp_path / "back"), "restore", str(tmp_path / "b"), "--json")
    assert (status, errors) == (0, "")
    assert json.loads(out)["records"] == stores.RECORDS
    assert verify(f"file://{tmp_path}/back").findings == ()
    status, out, errors = command("restore", str(tmp_path / "b"), "--store", str(tmp_path / "back"))
    assert (status, out) == (2, "")
    assert "Traceback" not in errors


VARIABLE = "STARFISH_STORAGE_URI"


async def test_the_store_may_come_from_the_environment_or_an_option(root: Path, tmp_path: Path) -> None:
    for arguments in (["verify"], ["repair", "--dry-run"], ["collect", "--dry-run"], ["backup", str(tmp_path / "b")]):
        for option, variables in (
            ([], {VARIABLE: f"file://{root}"}),
            (["--store", str(root)], {VARIABLE: "file:///no"}),
        ):
            status, out, errors = command(*arguments, *option, "--json", **variables)
            assert (status, errors) == (0, ""), arguments
            assert json.loads(out)["storage_uri"] == f"file://{root}"
    status, _, errors = command("restore", str(tmp_path / "b"), **{VARIABLE: str(tmp_path / "back")})
    assert (status, errors) == (0, "")
    assert verify(f"file://{tmp_path}/back").findings == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["backup"], "Missing argument 'TARGET'."),
        (["restore"], "Missing argument 'BACKUP'."),
        (["verify", "x"], "unexpected extra argument (x); name the store with --store."),
        (["backup", "x", "y"], "unexpected extra argument (y); name the store with --store."),
        (["restore", "x", "y"], "unexpected extra argument (y); name the store with --store."),
        (["verify", "--store", "s3://bucket/store"], "s3://bucket/store"),
    ],
)
def test_a_store_is_named_by_its_option_alone(arguments: list[str], message: str) -> None:
    status, out, errors = command(*arguments)
    assert (status, out) == (2, "")
    assert message in errors
