"""Filtering the records of a run, on both engines: the right ones, the whole run, and samples."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from generation.runs import NEVER, open_store
from starfish_storage import Storage
from starfish_storage.errors import InvalidInputError, InvalidStatusError
from starfish_storage.filtering import Sample, conditions_of, filter_records, fitting
from starfish_storage.generation import Context, generate

RUN = "run-1"
COUNT = 130


async def answer(n: int, context: Context) -> dict[str, object]:
    context.log_usage(input_tokens=n, output_tokens=1, cost=n / 100, model="small")
    if n % 10 == 3:
        raise ValueError(f"No Answer to {n}")
    data: dict[str, object] = {"n": n, "text": "x" * n, "kind": {"of": "odd" if n % 2 else "even"}}
    return data | {"rare": None} if n == 50 else data


@pytest.fixture
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """A store with a run: local, or as a test wants it."""
    place = tmp_path.as_uri()
    if getattr(request, "param", "sqlite") == "postgres":
        place = f"{request.getfixturevalue('postgres_uri')} {place}"
    async with open_store(place) as storage:
        inputs = [{"n": n} for n in range(COUNT)]
        await generate(storage, answer, inputs, project="p", master_job_id=RUN, progress="quiet", retry=NEVER)
        yield storage


async def numbers(
    storage: Storage,
    *where: str,
    statuses: list[str] | None = None,
    sample: Sample | None = None,
    search: str | None = None,
) -> list[int]:
    """Return the inputs of the records that fit; failed ones have no data, and are known by their error."""
    found: list[int] = []
    async for batch in filter_records(storage, RUN, where, statuses, search=search, sample=sample):
        accounts = await storage.ledger.account_for_inputs([record.job_id for record in batch])
        found += [(accounts[record.job_id].run_config or {})["n"] for record in batch]
    return found


on_both_engines = pytest.mark.parametrize("storage", ["sqlite", "postgres"], indirect=True)


@on_both_engines
async def test_what_fits_is_found_in_the_whole_run(storage: Storage) -> None:
    everything = range(COUNT)
    failed = [n for n in everything if n % 10 == 3]
    for where, expected in {
        (): list(everything),
        ("@error",): failed,
        ("!@error",): [n for n in everything if n % 10 != 3],
        ("@failure=ValueError",): failed,
        ("@failure!=ValueError",): [n for n in everything if n % 10 != 3],
        ("@error~no answer to 1",): [n for n in failed if str(n).startswith("1")],
        ("@cost>1.2", "n"): [n for n in range(121, COUNT) if n % 10 != 3],
        ("@cost>=1.2", "@cost<1.25"): [120, 121, 122, 123, 124],
        ("@tokens<=4",): [0, 1, 2, 3],
        ("@attempts>1",): [],
        ("@attempts=1", "kind.of=even", "n>=120"): [120, 122, 124, 126, 128],
        ("@length:text<3",): [0, 1, 2],
        ("@length>=180",): [],
        ("@length<48",): [n for n in range(10) if n % 10 != 3],
        ("!rare", "n", "n<52", "n>48"): [49, 50, 51],
        ("!n",): failed,
    }.items():
        assert sorted(await numbers(storage, *where)) == expected, where
    assert sorted(await numbers(storage, "n<5", statuses=["failed"])) == []
    with pytest.raises(InvalidStatusError):
        await numbers(storage, statuses=["strange"])
    with pytest.raises(InvalidInputError):
        await numbers(storage, "@costs>1")


async def test_what_people_said_is_known(storage: Storage) -> None:
    uids = dict(enumerate(sorted([one.record_uid async for one in storage.iter_records(RUN)])))
    for n, kind, value, author in (
        (0, "verdict", "rejected", "a"), (0, "verdict", "accepted", "a"), (1, "verdict", "rejected", "a"),
        (2, "verdict", "accepted", "a"), (2, "verdict", "rejected", "b"), (0, "label", "good", "a"),
        (0, "label", "short", "b"), (1, "rating", 2, "a"), (1, "rating", 5, "b"), (4, "comment", "Why not?", "a"),
    ):  # fmt: skip
        await storage.annotations.add(uids[n], kind, value, author=author)  # type: ignore[arg-type]
    for where, expected in {
        ("@verdict=accepted",): [0],
        ("@verdict=rejected",): [1],
        ("@verdict=conflicting",): [2],
        ("@verdict=unreviewed", "n<7", "n"): [4, 5, 6],
        ("@label=good",): [0],
        ("@label~SHO",): [0],
        ("!@label", "@verdict!=unreviewed"): [1, 2],
        ("@rating>=3.5",): [1],
        ("@rating>3.5",): [],
        ("@comment~why",): [4],
    }.items():
        assert sorted(await numbers(storage, *where)) == expected, where


@on_both_engines
async def test_a_sample_is_of_what_fits_and_the_same_every_time(storage: Storage) -> None:
    first = await numbers(storage, "kind.of=odd", sample=Sample(10, 7))
    assert first == await numbers(storage, "kind.of=odd", sample=Sample(10, 7))
    assert len(set(first)) == 10
    assert all(n % 2 == 1 and n % 10 != 3 for n in first)
    assert first != await numbers(storage, "kind.of=odd", sample=Sample(10, 8))
    assert await numbers(storage, "kind.of=odd", sample=Sample(3, 7)) == first[:3]
    assert len(await numbers(storage, "kind.of=odd", sample=Sample(1000, 7))) == 52
    assert await numbers(storage, sample=Sample(0)) == []
    for size in (-1, "5", 0.5, True, None):
        with pytest.raises(InvalidInputError):
            await numbers(storage, sample=Sample(size))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="Sample"):
        await numbers(storage, sample=10)  # type: ignore[arg-type]


@on_both_engines
async def test_a_search_goes_with_conditions_and_samples(storage: Storage) -> None:
    odd = await numbers(storage, "kind.of=odd")
    assert await numbers(storage, search="odd") == odd
    assert sorted(await numbers(storage, "n<10", search="kind.of:ODD -even")) == [1, 5, 7, 9]
    assert await numbers(storage, "@cost>=1.2", search="odd OR nothing") == [n for n in odd if n >= 120]
    drawn = await numbers(storage, search="odd", sample=Sample(10, 7))
    assert drawn == await numbers(storage, "kind.of=odd", sample=Sample(10, 7))
    assert await numbers(storage, search="nothing") == []
    with pytest.raises(InvalidInputError):
        await numbers(storage, search="-odd")


async def test_large_data_is_not_read_and_its_length_is_known(storage: Storage) -> None:
    (batch,) = [one async for one in storage.scan_records(RUN, with_data=False)]
    for where, expected in {("@length>=100",): True, ("n>=0",): False, ("n!=0",): False}.items():
        chosen = [one async for some in fitting(storage, batch, conditions_of(where), largest=100) for one in some.fits]
        assert any(one.record.payload is None and one.problem is not None for one in chosen) == expected, where
