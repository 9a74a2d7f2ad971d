"""A store that hangs refuses nothing, until its engine's own patience ends: a kill before that loses nothing either."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from durability import processes
from generation import hanging_process
from generation.runs import RUN, Calls, attempts, data, open_store
from servers.postgres import PostgresServer
from servers.processes import HOST, wait_until
from servers.proxies import TcpProxy
from servers.s3 import S3Server
from starfish_storage.generation import resume, spool
from starfish_storage.generation.held import HeldResults
from starfish_storage.generation.paid import PaidReply
from starfish_storage.runs import Step
from starfish_storage.testing.samples import at

COUNT, SLOTS, FIRST = 12, hanging_process.SLOTS, hanging_process.FIRST
LONG = 60.0
SHORT = 1.0
IDENTITY = spool.RunIdentity(RUN, "now", "postgresql://db/runs")


@pytest.fixture
def spools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STARFISH_STORAGE_SPOOL", str(tmp_path / "spools"))
    return tmp_path / "spools"


@pytest.fixture(params=["postgres", "s3"])
def hanging(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[TcpProxy, str, str, dict[str, str]]]:
    """A network that can be held up; a store behind it, as reached through it and directly; what finds it through."""
    root = (tmp_path / "store").as_uri()
    if request.param == "postgres":
        server: PostgresServer | S3Server = request.getfixturevalue("postgres_server")
        uri = f"{request.getfixturevalue('postgres_uri')} {root}"
    else:
        server = request.getfixturevalue("s3_server")
        uri = f"{root} {request.getfixturevalue('s3_uri')}"
    with TcpProxy(HOST, server.port) as proxy:
        through = {"AWS_ENDPOINT": f"http://{HOST}:{proxy.port}"} if request.param == "s3" else {}
        yield proxy, uri.replace(f":{server.port}/", f":{proxy.port}/"), uri, through


@pytest.mark.parametrize("patience", [LONG, SHORT])
async def test_what_a_store_that_hangs_has_not_answered_is_kept(
    hanging: tuple[TcpProxy, str, str, dict[str, str]], spools: Path, patience: float
) -> None:
    network, through, direct, variables = hanging
    words = ["-m", "generation.hanging_process", through, str(COUNT), str(patience)]
    paid: list[int] = []
    with processes.start(words, **variables) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        while (line := process.stdout.readline()) and line != "all in flight\n":
            paid.append(int(line.split()[1]))
        network.stall()
        began = time.monotonic()
        assert (sorted(paid)[:FIRST], len(paid)) == (list(range(FIRST)), FIRST + SLOTS)
        print(file=process.stdin, flush=True)
        paid += [int(process.stdout.readline().split()[1]) for _ in range(COUNT - len(paid))]  # claimed ahead
        wait_until(lambda: lines_in(spools) > COUNT - FIRST, "what is unanswered in the spool")
        if patience == SHORT:  # generate ends; its storage may take longer to close
            assert process.stderr is not None
            wait_until(lambda: not is_locked(spools), "the end of the run")
            assert time.monotonic() - began < 20
        process.kill()
    network.flow()
    calls = Calls()
    async with open_store(direct) as storage:
        run = await resume(storage, RUN, calls, progress="quiet")
        assert (run.status, run.records) == ("completed", {"completed": COUNT})
        assert sorted(paid + calls.made) == list(range(COUNT)), "nothing is paid for twice"
        assert [one["n"] for one in await data(storage)] == list(range(COUNT))
        kept = [len([one for one in await attempts(storage, n) if one.status == "completed"]) for n in range(COUNT)]
        assert kept == [1] * COUNT
    assert list(spools.iterdir()) == []


def lines_in(directory: Path) -> int:
    return sum(len(file.read_bytes().splitlines()) for file in directory.glob("*"))


def is_locked(directory: Path) -> bool:
    """Return whether the worker that writes the spool is at work."""
    file = spool.SpoolFile.open(str(next(directory.iterdir())))
    if file is not None:
        file.close()
    return file is None


async def test_what_cannot_be_written_down_keeps_nothing_else_from_it(spools: Path) -> None:
    results = HeldResults(spool.ResultSpool(IDENTITY, "w"))
    for result in ({"result": object()}, {"result": "dear"}):
        results.add(PaidReply(Step("job", "call", result, 1, at(1))))
    left = await results.leave()
    assert left is not None
    assert (left.results, left.lost, left.paths) == (1, 1, spool.spools_of(RUN))
    assert str(left).endswith("; 1 result could not be written down anywhere; the log says why")
    assert lines_in(spools) == 2


def test_a_spool_that_is_large_goes_in_parts(spools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_LARGE", 1)
    written = spool.ResultSpool(IDENTITY, "w")
    places = [written.add(b'{"kind":"%d"}\n' % number) for number in range(3)]
    assert len(spool.spools_of(RUN)) == 3
    written.keep_only({places[1].file})
    assert spool.spools_of(RUN) == [places[1].file.path]
    written.add(b"{}\n")
    assert (len(spool.spools_of(RUN)), list(places[1].file.entries())) == (2, [{"kind": "1"}])
    written.close()
