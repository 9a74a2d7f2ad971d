"""The forms that exist: the command line and the page know each of them."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from cli.calling import call
from starfish_storage.cli import main
from starfish_storage.imports.recognising import FORMS, recognise
from starfish_storage.imports.source_forms import ToolForm
from starfish_storage.row_files.file_form import FileForm
from starfish_storage.row_files.forms import FILE_FORMS

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "how-to" / "imports.md").read_text("utf-8")


def test_no_two_have_a_name_or_an_ending_in_common() -> None:
    names = [form.name for form in FORMS] + [ending for form in FILE_FORMS for ending in form.endings]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_the_page_has_a_row_for_each_form(form: FileForm | ToolForm) -> None:
    (row,) = re.findall(rf"^\| `{form.name}` \| (.*) \|$", PAGE, re.MULTILINE)
    if isinstance(form, FileForm):
        assert row.startswith(f"{form.title} | ")
        assert tuple(re.findall(r"`(\.\w+)`", row.split(" | ")[1])) == form.endings
    else:
        assert re.sub(r"\[(\w+)\]\(#\w+\)", r"\1", re.sub(r" \(\[.*\)$", "", row)) == form.title


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_the_command_line_offers_each_form_with_its_options(form: FileForm | ToolForm) -> None:
    command = main.get_command(click.Context(main), "import")
    assert command is not None
    options = {option: parameter for parameter in command.params for option in parameter.opts}
    assert isinstance(options["--from"].type, click.Choice)
    assert form.name in options["--from"].type.choices
    assert form.title in " ".join(call("import", "--help").out.split())
    assert all(option.on_command_line in options for option in form.options)


@pytest.mark.parametrize("ending", [ending for form in FILE_FORMS for ending in form.endings])
def test_a_file_is_recognised_by_its_ending(ending: str) -> None:
    (form,) = [form for form in FILE_FORMS if ending in form.endings]
    assert recognise(f"answers{ending.upper()}.gz") == form.name


def test_directories_are_recognised_by_what_is_in_them(tmp_path: Path) -> None:
    assets = PROJECT / "tests" / "imports" / "assets"
    assert recognise(str(assets / "curator")) == "curator"
    assert recognise(str(assets / "pipelines")) == "distilabel"
    for name in ("metadata.db", "responses_0.jsonl"):  # Curator keeps such a database beside its runs
        (tmp_path / name).touch()
        assert recognise(str(tmp_path)) == ("starfish" if name == "metadata.db" else "curator")
