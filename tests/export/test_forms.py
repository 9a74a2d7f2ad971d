"""The forms that exist: the command line, the page and `form_of` know each of them, without being told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import click
import pytest

from cli.calling import call
from starfish_storage import export as exporting
from starfish_storage.cli import main
from starfish_storage.errors import InvalidInputError
from starfish_storage.export import Form, FormWriter, JsonLines, form_named, form_of, forms, registered
from starfish_storage.export import registered_forms as all_forms
from starfish_storage.form_option import FormOption

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "export.md").read_text("utf-8")


@pytest.fixture
def own_form(monkeypatch: pytest.MonkeyPatch) -> type[Form]:
    monkeypatch.setattr(forms, "_REGISTERED", dict(forms._REGISTERED))

    @registered
    @dataclass(frozen=True)
    class Upper(Form):
        compression: str | None = None
        letters: int = 0

        name: ClassVar[str] = "upper"
        endings: ClassVar[tuple[str, ...]] = (".upper",)
        is_compressed_by_ending: ClassVar[bool] = True
        options: ClassVar[tuple[FormOption, ...]] = (FormOption("letters", "How many.", kind=int),)

        def open(self, path: str, about: Any) -> FormWriter:
            return JsonLines().open(path, about)

    return Upper


@pytest.mark.parametrize("kind", all_forms(), ids=lambda kind: kind.name)
def test_the_page_has_a_row_for_each_form(kind: type[Form]) -> None:
    (row,) = re.findall(rf"^\| `{kind.name}` \| (.*) \|$", PAGE, re.MULTILINE)
    name, endings, extra = row.split(" | ")
    assert name == f"`{kind.__name__}`"
    assert getattr(exporting, kind.__name__) is kind
    compressed = (".gz", ".zst") if kind.is_compressed_by_ending else ()
    assert tuple(re.findall(r"`(\.\w+)`", endings)) == (*kind.endings, *compressed)
    assert not kind.is_directory or "directory" in endings
    assert extra.startswith("`")


@pytest.mark.parametrize("kind", all_forms(), ids=lambda kind: kind.name)
def test_the_command_line_offers_each_form_with_its_options(kind: type[Form]) -> None:
    command = main.get_command(click.Context(main), "export")
    assert command is not None
    options = {option: parameter for parameter in command.params for option in parameter.opts}
    assert isinstance(options["--form"].type, click.Choice)
    assert kind.name in options["--form"].type.choices
    said = call("export", "--help").out
    assert all(f"{ending}" in said for ending in kind.endings)
    for option in kind.options:
        assert option.on_command_line in options
        assert re.search(rf"^\| `{option.on_command_line}[ `]", PAGE, re.MULTILINE)


def test_a_form_of_ones_own_is_known_by_name_and_ending(own_form: type[Form]) -> None:
    assert form_of("a.upper.gz", letters=3) == own_form(compression="gzip", letters=3)  # type: ignore[call-arg]
    assert form_named("upper", "a.txt") == own_form()
    with pytest.raises(InvalidInputError, match=r"\.upper"):
        form_of("a.xls")


@pytest.mark.parametrize(("name", "endings"), [("csv", ()), ("other", (".csv",))])
def test_a_form_takes_no_name_and_no_ending_of_another(name: str, endings: tuple[str, ...]) -> None:
    class Other(JsonLines):
        pass

    Other.name, Other.endings = name, endings
    with pytest.raises(InvalidInputError, match="belongs to the form Csv"):
        registered(Other)
    assert Other not in all_forms()
