"""The contract of `search_records`: which records contain these words, and why."""

from __future__ import annotations

from typing import Any

from starfish_storage.errors import InvalidInputError
from starfish_storage.interface import SearchHit, SearchPlace, Storage
from starfish_storage.testing.samples import JOB, MASTER_JOB, PROJECT, a_record, save_run
from starfish_storage.testing.store import StoreUnderTest
from starfish_storage.testing.suites.suite import StorageSuite, refused

TEXTS: dict[str, dict[str, Any]] = {
    "physics": {"topic": "Physics", "answer": "A photon has no mass, thank you.", "score": 0.5},
    "maths": {"topic": "maths", "answer": "You thank the photons of physics", "score": 7, "ok": True},
    "chat": {"messages": [{"role": "user", "content": "Où est le Café Zürich?"}, {"role": "x", "content": "thank"}]},
    "chinese": {"answer": "我在大学校园里学习。", "meta": {"source": {"name": "web crawl"}}},
    "japanese": {"answer": "東京タワーはﾄｳｷｮｳにある"},
    "korean": {"answer": "학교에서 공부한다"},
    "thai": {"answer": "ฉันรักประเทศไทยมาก"},
    "hindi": {"answer": "हिन्दी में लिखा"},
    "russian": {"answer": "Ёлка стоит. STRASSE und Straße"},
    "empty": {},
    "hostile": {"<b>": '<script>alert("1")</script>', 'a"b': "quoted", "image": "data:image/png;base64,c2VjcmV0"},
    "spoken": {"answer": "naïve \u202eevil\u202c \x1b[31mred\x1b[0m \0nul"},
}

FINDS: dict[str, set[str]] = {
    "photon": {"physics"},
    "topic:physics": {"physics"},
    "physics -maths": {"physics"},
    '"thank you"': {"physics"},
    "photon OR maths thank": {"physics", "maths"},
    "PHOTON* mass": {"physics"},
    "messages.content:thank": {"chat"},
    "meta.source:crawl": {"chinese"},
    "大学校园里": {"chinese"},
    '"<script>alert("': {"hostile"},
    "-photon AND NOT (x": set(),
}
"""By query: which of the records have it."""


class SearchTests(StorageSuite):
    """Searching the data of records."""

    async def test_words_are_found_in_any_script(self, storage: Storage) -> None:
        """Words, phrases, beginnings, fields, alternatives and exclusions; and nothing that people type is an error."""
        await save_run(storage)
        await storage.save_records((a_record(uid), data) for uid, data in TEXTS.items())
        assert await storage.index_records() == (len(TEXTS), 0)
        for query, uids in FINDS.items():
            page = await storage.search_records(query)
            assert {hit.record.record_uid for hit in page.hits} == uids, query
            assert (page.found, page.is_cut, page.has_more) == (len(uids), False, False), query
            _check_marks(page.hits)
            assert await storage.find_matching(query, [*TEXTS, "nothing"]) == uids, query
            assert await storage.find_matching(query, []) == set()
        for query in ("", "-photon", "a*", "x" * 1001):
            with refused(InvalidInputError):
                await storage.search_records(query)
            with refused(InvalidInputError):
                await storage.find_matching(query, [])

    async def test_hits_show_why_they_were_found(self, storage: Storage) -> None:
        """With the record as it is, the field, and a part of its text as it was written."""
        await save_run(storage)
        await storage.save_records((a_record(uid), data) for uid, data in TEXTS.items())
        (hit,) = (await storage.search_records("messages.content:ZURICH cafe")).hits
        assert hit.record == await storage.get_record_metadata("chat")
        assert (hit.field, hit.snippet) == ("messages.content", "Où est le Café Zürich?")
        assert [hit.snippet[start:end] for start, end in hit.marks] == ["Café", "Zürich"]
        (hit,) = (await storage.search_records("evil")).hits
        assert hit.snippet == "naïve \u202eevil\u202c \x1b[31mred\x1b[0m \0nul"  # whole: it is text here
        text = "far " * 500 + "the needle\nis here" + " away" * 500
        await storage.save_record(a_record("long"), {"a": {"b": ["no", text]}})
        (hit,) = (await storage.search_records('"needle is"')).hits
        assert hit.field == "a.b"
        assert len(hit.snippet) < 300
        assert [hit.snippet[start:end] for start, end in hit.marks] == ["needle is"]

    async def test_only_a_run_a_project_or_some_fields(self, storage: Storage) -> None:
        """Each narrows the search; pages follow each other and repeat nothing."""
        await save_run(storage)
        await save_run(storage, "master-2", "job-2", "project-2")
        for run, job, number in ((MASTER_JOB, JOB, 30), ("master-2", "job-2", 10)):
            await storage.save_records(
                (a_record(f"{run}-{at}", job, run), {"a": "apple " * (at % 4 + 1), "b": {"c": f"pear {at}"}})
                for at in range(number)
            )
        for scope, number in (
            ({}, 40),
            ({"master_job_id": MASTER_JOB}, 30),
            ({"project_id": "project-2"}, 10),
            ({"project_id": PROJECT}, 30),
            ({"master_job_id": "nothing"}, 0),
            ({"project_id": "../x"}, 0),
        ):
            first: Any = scope
            found = await _every_hit(storage, "apple", **first)
            assert len({hit.record.record_uid for hit in found}) == len(found) == number
            assert [hit.rank for hit in found] == sorted((hit.rank for hit in found), reverse=True)
        best = (await storage.search_records("apple", limit=1)).hits
        assert best[0].rank > 0
        for fields, query, number in (
            (["a"], "apple", 40), (["b"], "apple", 0), (["b"], "pear", 40), (["b.c"], '"pear 3"', 2),
            (["x"], "pear", 0), (["a", "b"], "apple pear", 40), (["a"], "b:pear", 0),
        ):  # fmt: skip
            assert (await storage.search_records(query, fields=fields)).found == number, (fields, query)
        calls: tuple[dict[str, Any], ...] = (
            {"limit": 0}, {"limit": 1001}, {"limit": True}, {"limit": "5"}, {"fields": "a"}, {"fields": [1]},
            {"after": "x"}, {"after": SearchPlace(float("nan"), "x")}, {"master_job_id": 1},
            {"master_job_id": "a", "project_id": "b"},
        )  # fmt: skip
        for call in calls:
            with refused(InvalidInputError):
                await storage.search_records("apple", **call)
        for seconds in (-1, "1", float("nan"), True):
            with refused(InvalidInputError):
                await storage.index_records(seconds)  # type: ignore[arg-type]

    async def test_what_was_replaced_or_deleted_is_not_found(self, storage: Storage, store: StoreUnderTest) -> None:
        """Not by its old text, whoever changed it; what is new is found."""
        await save_run(storage)
        await save_run(storage, "master-2", "job-2")
        await storage.save_records((a_record(f"r{at}"), {"text": f"old{at} word"}) for at in range(5))
        await storage.save_record(a_record("other", "job-2", "master-2"), {"text": "word"})
        assert (await storage.index_records()).remaining == 0  # a search has a tenth of a second for it
        assert (await storage.search_records("word")).found == 6
        async with store.open() as writer:
            await writer.save_record(a_record("r1"), {"text": "new1 word"})
            await writer.save_record_data("r2", MASTER_JOB, JOB, {"text": "new2 word"})
            await writer.save_record(a_record("r5"), {"text": "new5 word"})
            await writer.log_record_metadata(a_record("bare"))
            await writer.annotations.edit_record("r3", {"text": "new3 word"}, author="a reviewer")
        assert await storage.find_matching("word", [f"r{at}" for at in range(5)]) == {"r0", "r4"}
        assert await _uids(storage, "new1 OR new2 OR new3 OR old4 OR new5") == {"r1", "r2", "r3", "r4", "r5"}
        assert await _uids(storage, "old1 OR old2 OR old3") == set()
        async with store.open() as writer:
            await writer.delete_master_job(MASTER_JOB)
            assert await _uids(writer, "word") == {"other"}
        assert await _uids(storage, "word") == {"other"}
        await storage.drop_search_index()
        await storage.index_records()
        page = await storage.search_records("word")
        assert [hit.record.record_uid for hit in page.hits] == ["other"]
        assert (page.indexed, page.remaining) == (1, 0)


async def _every_hit(storage: Storage, query: str, **scope: Any) -> list[SearchHit]:
    """Return all hits, page by page."""
    found: list[SearchHit] = []
    after: SearchPlace | None = None
    while True:
        page = await storage.search_records(query, limit=7, after=after, **scope)
        found += page.hits
        assert len(page.hits) == 7 or not page.has_more
        if not page.has_more:
            assert page.found == len(found)
            return found
        after = page.hits[-1].place


async def _uids(storage: Storage, query: str) -> set[str]:
    await storage.index_records()
    return {hit.record.record_uid for hit in (await storage.search_records(query)).hits}


def _check_marks(hits: list[SearchHit]) -> None:
    """Assert that marks are in order, not empty, and within the snippet."""
    for hit in hits:
        assert hit.marks, hit
        ends = [place for mark in hit.marks for place in mark]
        assert ends == sorted(set(ends))
        assert ends[-1] <= len(hit.snippet)
