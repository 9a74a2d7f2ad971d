"""How stores that commands make hold data: packed unless they are asked for files, and as they are once they exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.calling import call

ANSWERS = "def answer(country: str):\n    return {'country': country}\n"


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a program, inputs, a store of files, and an archive of its run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "answers.py").write_text(ANSWERS, "utf-8")
    (tmp_path / "inputs.jsonl").write_text('{"country": "Peru"}\n{"country": "Japan"}\n', "utf-8")
    assert call("generate", "answers.py:answer", "inputs.jsonl", "--id", "r", "--layout", "files", "-q").status == 0
    assert call("archive", "r", "r.zip").status == 0
    return tmp_path


MAKING = {
    "generate": ["generate", "answers.py:answer", "inputs.jsonl", "--id", "r", "-q", "--store", "made"],
    "import": ["import", "inputs.jsonl", "-q", "--store", "made"],
    "copy": ["copy", "made"],
    "unarchive": ["unarchive", "r.zip", "--store", "made"],
}


@pytest.mark.parametrize("words", MAKING.values(), ids=MAKING)
def test_a_command_that_makes_a_store_packs_unless_it_is_told_otherwise(words: list[str], sources: Path):
    assert sorted(path.parent.parent.name for path in sources.glob("store/data/*/*.json")) == ["data", "data"]
    assert call(*words).status == 0
    (pack,) = sources.glob("made/data/*/*")
    assert (pack.name, pack.read_bytes().count(b"\n")) == ("000001.jsonl", 2)
    for other in (["--layout", "packed"], []):
        assert call(*words, *other).status == 0
    refused = call(*words, "--layout", "files")
    assert refused.status == 2
    assert "its layout is 'packed'" in refused.err
    assert "or run 'starfish-storage unpack'" in refused.err
    singly = [word.replace("made", "singly") for word in words]
    assert call(*singly, "--layout", "files").status == 0
    assert not list(sources.glob("singly/data/packs/*"))
    assert call("verify", "--store", "singly").status == 0
