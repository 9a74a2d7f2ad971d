"""Steps between the records of a store and the file: what they are given, and what becomes of what they yield."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from generation.runs import open_store
from starfish_storage import Storage
from starfish_storage.errors import NotExportableError
from starfish_storage.export import ExportedRecord, ExportReport, JsonLines, RecordSource, Refusal, Reshaper, export
from starfish_storage.generation import generate
from starfish_storage.testing.samples import a_record, an_execution_job, save_run
from starfish_storage.testing.suites.suite import refused

RUNS = ["run-1", "run-2"]
AGAIN = 10
COUNT = 340  # of which more records come than one batch has


def answers(n: int) -> list[dict[str, int]]:
    return [{"n": n, "k": k} for k in range(1 + n % 2)]


@pytest.fixture
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """A store with two runs, the second of a few of the inputs, backwards: local, or as a test wants it."""
    place = (tmp_path / "store").as_uri()
    if getattr(request, "param", "sqlite") == "postgres":
        place = f"{request.getfixturevalue('postgres_uri')} {place}"
    async with open_store(place) as storage:
        for run, inputs in zip(RUNS, (range(COUNT), reversed(range(AGAIN))), strict=True):
            await generate(
                storage, answers, [{"n": n} for n in inputs], project="p", master_job_id=run, progress="quiet"
            )
        yield storage


@dataclass
class Odd(Reshaper):
    """Leaves out what has an even number, refuses 7, doubles 9, and ends with the sum."""

    needs_source = True
    seen: list[ExportedRecord] = field(default_factory=list[ExportedRecord])
    closed: int = 0

    def reshape(self, records: Sequence[ExportedRecord]) -> Iterator[ExportedRecord | Refusal]:
        for record in records:
            self.seen.append(record)
            n = json.loads(record.payload)["n"]
            if n == 7:
                yield Refusal(record.uid, NotExportableError(record.uid, "odd", "it is 7"))
            elif n % 2:
                yield from [record] * (2 if n == 9 else 1)

    def finish(self) -> Iterator[ExportedRecord | Refusal]:
        total = sum(json.loads(one.payload)["n"] for one in self.seen)
        yield self.seen[-1]._replace(payload=b'{"n":%d}\n' % total)

    def note(self, report: ExportReport) -> None:
        report.without_data = len(self.seen)

    def close(self) -> None:
        self.closed += 1


class Negated(Reshaper):
    """Comes behind the other: it sees what that yields, at its end too."""

    def reshape(self, records: Sequence[ExportedRecord]) -> Iterator[ExportedRecord | Refusal]:
        assert records
        assert all(record.source is not None for record in records)
        for record in records:
            yield record._replace(payload=b'{"n":-%d}\n' % json.loads(record.payload)["n"])


@dataclass(frozen=True)
class OddLines(JsonLines):
    steps: ClassVar[list[Odd]] = []

    def reshapers(self) -> Sequence[Reshaper]:
        self.steps.append(Odd())
        return [self.steps[-1], Negated()]


async def test_rows_take_all_steps(storage: Storage, tmp_path: Path) -> None:
    with refused(NotExportableError, "it is 7"):
        await export(storage, tmp_path / "out.jsonl", OddLines(), master_job_ids=RUNS[:1])
    assert OddLines.steps[-1].closed == 1
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]
    report = await export(storage, tmp_path / "out.jsonl", OddLines(), master_job_ids=RUNS[:1], skip_damaged=True)
    found = [-json.loads(line)["n"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    expected = [n for n in range(1, COUNT, 2) if n != 7 for _ in range(2 * (1 + (n == 9)))]
    assert sorted(found[:-1]) == expected
    assert found[-1] == sum(len(answers(n)) * n for n in range(COUNT))
    assert (report.records, report.skipped_records, report.without_data) == (len(found), 2, COUNT * 3 // 2)
    assert OddLines.steps[-1].closed == 1


@pytest.mark.parametrize("storage", ["sqlite", "postgres"], indirect=True)
async def test_equal_inputs_have_one_digest_over_runs(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name in ("account_for_inputs", "find_contents"):
        whole = getattr(storage.ledger, name)

        async def counted(ids: Sequence[str], name: str = name, whole: Any = whole) -> Any:
            asked.append(name)
            return await whole(ids)

        monkeypatch.setattr(storage.ledger, name, counted)
    await export(storage, tmp_path / "out.jsonl", OddLines(), master_job_ids=RUNS, skip_damaged=True)
    sources: dict[int, list[RecordSource]] = {}
    for record in OddLines.steps[-1].seen:
        assert record.source is not None
        assert record.source.input == {"n": json.loads(record.payload)["n"]}
        sources.setdefault(json.loads(record.payload)["n"], []).append(record.source)
    assert {len({one.input_digest for one in each}) for each in sources.values()} == {1}
    assert len({each[0].input_digest for each in sources.values()}) == COUNT
    jobs = {n: {(one.master_job_id, one.job_id) for one in each} for n, each in sources.items()}
    assert {n for n, each in jobs.items() if len(each) == 2} == set(range(AGAIN))
    assert len(asked) == 2 * 3  # two for each batch, of which the first run has two
    await export(storage, tmp_path / "plain.jsonl", master_job_ids=RUNS)
    assert len(asked) == 6  # a form that does not ask for it pays nothing


async def test_a_record_without_an_input_stands_for_itself(storage: Storage, tmp_path: Path) -> None:
    await save_run(storage)
    await storage.log_execution_job_start(no_input := an_execution_job("job-9", run_config=None, run_config_hash=None))
    await storage.save_record(a_record("r1", no_input.job_id, status="completed"), {"n": 1})
    await export(storage, tmp_path / "out.jsonl", OddLines(), master_job_ids=[no_input.master_job_id])
    assert OddLines.steps[-1].seen[0].source == RecordSource("job-9", no_input.master_job_id, None, None)
