"""docs/reference/errors.md: every class of the family, its code, its meaning and a message, and nothing else."""

from __future__ import annotations

import re

import pytest

from docs.pages import PROJECT
from starfish_storage.errors import StorageError
from unit.every_error import EXAMPLES

PAGE = (PROJECT / "docs" / "reference" / "errors.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def family(kind: type[StorageError] = StorageError) -> list[type[StorageError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in family(child))]


def test_every_code_has_a_section_and_every_section_a_code():
    assert sorted(SECTIONS) == sorted({kind.code for kind in family()})
    assert len(re.findall("^### ", PAGE, re.MULTILINE)) == len(SECTIONS)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: error.code)
def test_a_section_says_what_the_class_means_why_it_is_raised_and_what_to_do(error: StorageError):
    kind = type(error)
    ((text, message),) = re.findall(r"\A(.*)^```text\n(.*)^```\n*\Z", SECTIONS[error.code], re.MULTILINE | re.DOTALL)
    said, cause, remedy = (" ".join(part.split()) for part in re.split(r"^- ", text, flags=re.MULTILINE))
    bases = [base.__name__ for base in kind.__bases__ if base is not Exception]
    assert re.findall(r"`(\w+)`", said.partition(". ")[0]) == [kind.__name__, *bases]
    assert said.partition(". ")[2] == str(kind.__doc__).split("\n")[0].replace("``", "`")
    assert re.fullmatch(r"\*\*Cause:\*\* \S.{20,}\.", cause)
    assert re.fullmatch(r"\*\*Remedy:\*\* \S.{20,}\.", remedy)
    # The page has the command for pip; `make test` runs in an environment of uv, whose command the error names.
    assert message.strip() == str(error).replace("uv pip install", "pip install")
