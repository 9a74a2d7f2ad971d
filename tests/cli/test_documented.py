"""The page of the command line names every command, option and field that there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from starfish_storage import GenerationJob, GenerationMasterJob, Project, Record
from starfish_storage.cli import main
from starfish_storage.export import registered_forms
from starfish_storage.generation import AskedReason, Run
from starfish_storage.runs import (
    Annotation,
    AnnotationCounts,
    Attempt,
    CallCounts,
    CallNote,
    Conversion,
    ErrorGroup,
    RecordVersion,
    RunState,
    Segment,
    Step,
    StepSource,
    StepTotal,
    Usage,
    Worker,
)

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
MODELS = {
    "project": Project,
    "master job": GenerationMasterJob,
    "execution job": GenerationJob,
    "record": Record,
}
CLASSES = {
    "run state": RunState,
    "run": Run,
    "attempt": Attempt,
    "conversion": Conversion,
    "usage": Usage,
    "step": Step,
    "asked reason": AskedReason,
    "step source": StepSource,
    "call counts": CallCounts,
    "call note": CallNote,
    "step total": StepTotal,
    "version": RecordVersion,
    "segment": Segment,
    "annotation": Annotation,
    "annotation counts": AnnotationCounts,
    "worker": Worker,
    "error group": ErrorGroup,
}


@pytest.mark.parametrize("name", [*MODELS, *CLASSES])
def test_the_fields_of_an_object(name: str):
    (row,) = re.findall(rf"^\| \*{name}\* \| (.*) \|$", PAGE, re.MULTILINE)
    known = MODELS[name].model_fields if name in MODELS else [field.name for field in fields(CLASSES[name])]
    totals = ["input_tokens", "output_tokens", "cost"] if name == "attempt" else []
    assert re.findall(r"`(\w+)`", row) == [*known, *totals]


def test_every_command_and_option_is_there():
    context = click.Context(main)
    # Those of forms stand on the pages of the forms, as tests/export/test_forms.py sees to.
    elsewhere = {option.on_command_line for form in registered_forms() for option in form.options}
    for name in main.list_commands(context):
        assert f"`{name}" in PAGE
        command = main.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            option = max(parameter.opts, key=len)
            is_shown = isinstance(parameter, click.Option) and not parameter.hidden
            assert not is_shown or option in PAGE or option in elsewhere, f"{option} of {name}"
