"""What queries mean: in any script, and whatever people type. The suites of storages try a part on every engine."""

import asyncio
from pathlib import Path

import pytest

from starfish_storage import InvalidInputError, open_storage
from starfish_storage.interface import SearchHit
from starfish_storage.metadata.search.words import words_of
from starfish_storage.testing.samples import a_record, save_run
from starfish_storage.testing.suites.searching import TEXTS

FINDS: dict[str, set[str]] = {
    "photon": {"physics"},
    "PHOTON*": {"physics", "maths"},
    "physics": {"physics", "maths"},
    "topic:physics": {"physics"},
    "topic:physics OR topic:maths": {"physics", "maths"},
    "physics -maths": {"physics"},
    "physics -topic:physics": {"maths"},
    '"thank you"': {"physics"},
    '"you thank"': {"maths"},
    '"photons of phy"*': {"maths"},
    "photon maths": set(),
    "photon OR maths thank": {"physics", "maths"},
    "score:7": {"maths"},
    "0.5": {"physics"},
    "true": {"maths"},
    "cafe zurich": {"chat"},
    "CAFÉ": {"chat"},
    "messages:thank": {"chat"},
    "messages.content:thank": {"chat"},
    "messages.role:thank": set(),
    '"zürich thank"': set(),  # they stand in two messages
    "meta.source:crawl": {"chinese"},
    "大学": {"chinese"},
    "学": {"chinese"},
    "大学校园里": {"chinese"},
    "校学": set(),
    "習": set(),
    "東京": {"japanese"},
    "タワ": {"japanese"},
    "トウキョウ": {"japanese"},  # which is written in half-width forms
    "학교": {"korean"},
    "ประเทศไทย": {"thai"},
    "हिन्दी": {"hindi"},
    "हिन": set(),
    "елка": {"russian"},
    "strasse": {"russian"},
    "strass*": {"russian"},
    "script alert": {"hostile"},
    '"<script>alert("': {"hostile"},
    '"a"b":quoted': set(),
    "secret": set(),
    "c2VjcmV0": set(),
    "naive": {"spoken"},
    "nul": {"spoken"},
    "http://photon": set(),  # no record has a field of that name, so it is text
    "thank AND you": set(),  # a word like others
}
"""By query: which of the records have it."""

NO_QUERIES = ("", "   ", '""', "!?", "-photon", "-a -b", "OR", "a*", "x" * 1001, "w " * 33, "\ud800")
"""What cannot be searched for."""

HOSTILE_QUERIES = (
    '"', '""" "', "'; DROP TABLE records; --", "NEAR(a b)", "a NEAR/2 b", "{answer} : x", "answer : : x", "^photon",
    "(photon", "photon)", "photon AND NOT", "- photon", "--photon", "* photon", "photon**", "a:b:c:d", ":x", "x:",
    "\0x", "scope:1", "rank:1", "text:1", "c0:photon", "others:x", "\ue0011", "%00..", "\\", "photon\u202e",
    "&!|<->", "$1 ? :x",
    "\U0001e900", "photon \U0001e900", "-\U0001e900 photon",
)  # fmt: skip
"""What means something to an engine; it is text here, or refused."""


def test_words_are_found_in_any_script(tmp_path: Path) -> None:
    asyncio.run(search(tmp_path))


async def search(root: Path) -> None:
    async with open_storage(root) as storage:
        await save_run(storage)
        await storage.save_records((a_record(uid), data) for uid, data in TEXTS.items())
        await storage.index_records()
        for query, uids in FINDS.items():
            page = await storage.search_records(query)
            assert {hit.record.record_uid for hit in page.hits} == uids, query
            assert (page.found, page.is_cut, page.has_more) == (len(uids), False, False), query
            check_marks(page.hits)
        for query in NO_QUERIES:
            with pytest.raises(InvalidInputError):
                await storage.search_records(query)
        for query in HOSTILE_QUERIES:
            try:
                await storage.search_records(query)
            except InvalidInputError:
                continue


def check_marks(hits: list[SearchHit]) -> None:
    """Assert that marks are in order, not empty, and within the snippet."""
    for hit in hits:
        assert hit.marks, hit
        ends = [place for mark in hit.marks for place in mark]
        assert ends == sorted(set(ends))
        assert ends[-1] <= len(hit.snippet)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't panic_now 3.14", ["don", "t", "panic", "now", "3", "14"]),
        ("ÉCLAIR e\u0301clair", ["eclair", "eclair"]),
        ("漢字かな交じり", ["漢字", "字か", "かな", "な交", "交じ", "じり", "り"]),
        ("iPhone手机 case", ["iphone", "手机", "机", "case"]),
        ("\uff21\uff22\uff23 ﾄｳ", ["abc", "トウ", "ウ"]),
        ("हिन्दी", ["हिन्दी"]),
        ("\U0001f600 \x00\ue000", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert [word.text for word in words_of(text)] == words
