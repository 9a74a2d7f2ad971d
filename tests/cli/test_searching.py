"""``search``: records by their words, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.calling import call, call_json, rows
from cli.stores import ENDED
from starfish_storage import Record
from starfish_storage.metadata.search.place import CACHE_VARIABLE

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "search"


def test_it_lists_hits_as_text_and_as_json() -> None:
    ended = call("search", "capital:nap*", "--run", "capitals-1", "--limit", "1")
    assert ended.status == 0
    assert "Found 2 records" in ended.err
    (found,) = rows(ended.out)
    page = call_json("search", "capital:nap*", "--run", ENDED, "--field", "capital", "--limit", "1")
    (hit,) = page["hits"]
    assert set(Record.model_fields) | {"rank", "field", "snippet", "marks"} == set(hit)
    assert (hit["record_uid"], hit["field"]) == (found["record"], "capital")
    assert [hit["snippet"][start:end] for start, end in hit["marks"]] == [found["text"]]
    assert (page["found"], page["remaining"], page["is_cut"], page["has_more"]) == (2, 0, False, True)
    assert call("search", "nothing").out.splitlines() == ["record\trun\tfield\ttext"]


def test_forgetting_removes_the_index(cache: Path) -> None:
    assert call("search", "--forget").status == 0
    call("search", "napaj")
    assert list(cache.glob("*.index"))
    assert call("search", "--forget").status == 0
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Give a QUERY"),
        (["x", "--forget"], "Give a QUERY"),
        (["x", "--run", "last", "--project", "p"], "not both"),
        (["!"], "no word to search for"),
        (["x", "--run", "gone"], "gone"),
        (["x", "--limit", "0"], "--limit"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], said: str) -> None:
    ended = call("search", *words)
    assert ended.status == 2
    assert said in ended.err
