"""Secrets that errors carry: planted wherever one can stand, and looked for in all that a run and its readers leave."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import asyncpg
import httpx
import obstore.store
import pytest

from cli.calling import call
from generation.runs import NEVER, RUN, numbers, start
from servers.postgres import PostgresServer
from starfish_storage import open_storage
from starfish_storage.generation import Context
from starfish_storage.interface import Storage
from starfish_storage.testing.samples import JOB, a_record, at, save_run
from starfish_storage.times import utc_now

HUSH = "hushhush"
KEY = f"sk-proj-{HUSH}0123456789"
URI = f"postgresql://me:{HUSH}-1@127.0.0.1:1/runs"


class EchoingKey(BaseHTTPRequestHandler):
    """A provider that quotes in its refusal what it was asked with, as some proxies do."""

    def do_POST(self) -> None:
        said = {"error": {"message": f"Incorrect API key provided: {KEY}", "headers": dict(self.headers)}}
        body = json.dumps(said).encode()
        self.send_response(418)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on stderr."""


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), EchoingKey) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Client:
    """An object whose `repr` shows what it was made with."""

    def __repr__(self) -> str:
        return f"Client(api_key='{HUSH}-2', headers={{'Authorization': 'Bearer {HUSH}-3'}})"


async def ask_openai(provider: str) -> None:
    import openai  # which takes a second, of each worker if it stood above

    async with openai.AsyncOpenAI(api_key=KEY, base_url=provider, max_retries=0) as client:
        await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])


async def ask_by_hand(provider: str) -> None:
    with httpx.Client() as client:
        answer = client.post(f"{provider}/v1?api_key={HUSH}-4", headers={"x-api-key": KEY})
        raise RuntimeError(f"{answer.request.headers.raw} {answer.request.url}: {answer.text}")


async def ask_database(_provider: str) -> None:
    try:
        await asyncpg.connect(URI)
    except OSError as error:
        raise RuntimeError(f"{URI} is not there") from error


async def ask_bucket(_provider: str) -> None:
    given: Any = {"aws_access_key_id": f"AKIA{HUSH.upper()}1234", "aws_secret_access_key": KEY, "bucket": "b"}
    raise RuntimeError(f"no bucket: {given!r}") from obstore_error(given)


def obstore_error(config: Any) -> BaseException:
    whole: Any = {**config, "endpoint": f"http://u:{HUSH}-5@127.0.0.1:1"}
    store = obstore.store.S3Store("b", config=whole, retry_config={"max_retries": 0})
    try:
        store.list().collect()
    except Exception as error:
        return error
    raise AssertionError("there is no such server")


async def raise_with_notes(_provider: str) -> None:
    error = ValueError(Client(), {"password": f"{HUSH}-6"})
    error.add_note(f"Authorization: Bearer {HUSH}-7")
    raise error from KeyError(f"OPENAI_API_KEY={HUSH}-8")


async def raise_group(_provider: str) -> None:
    inner = ExceptionGroup("inner", [OSError(5, f"read {URI}"), ValueError(f"token={HUSH}-9&n=1")])
    raise ExceptionGroup(f"of {Client()}", [inner, RuntimeError(f'body "{{\\"api_key\\": \\"{HUSH}-10\\"}}"')])


async def raise_in_frame(_provider: str) -> None:
    raise_of(api_key="hushhush-11", password="hushhush-12")


def raise_of(**given: str) -> None:
    raise ConnectionError(f"{'x' * 12_000} {given}")  # which is cut


ASKS = [ask_openai, ask_by_hand, ask_database, ask_bucket, raise_with_notes, raise_group, raise_in_frame]


async def fail_everywhere(storage: Storage, provider: str) -> dict[str, str]:
    """Carry out a run in which everything fails, and return the texts that its readers get."""

    async def answer(n: int, context: Context) -> dict[str, Any]:
        if n == len(ASKS):  # the reply is rejected for a reason, and the reply's error too
            await context.once("step", lambda: {"a": 1}, check=lambda _: f"refused by {Client()!r}", most_replies=1)
        if n > len(ASKS):
            return {"n": n}
        await ASKS[n](provider)
        raise AssertionError("every one of them raises")

    def accept(data: dict[str, Any]) -> object:
        if data["n"] == len(ASKS) + 1:
            raise RuntimeError(f"the judge at {URI}: {KEY}")
        return f"the judge said: key {KEY}"

    shown: list[str] = []

    def progress(seen: object) -> None:
        shown.append(str(seen))
        raise RuntimeError(f"no bar for {Client()!r}")

    count = len(ASKS) + 3
    run = await start(
        storage, answer, numbers(count), retry=NEVER, accept=accept, progress=progress, max_failures=count
    )
    assert run.inputs == {"failed": count - 1, "filtered": 1}
    jobs = await storage.list_execution_jobs(RUN)
    attempts = [await storage.ledger.list_attempts(one.job_id) for one in jobs]
    texts = [text for (one,) in attempts for text in (one.error_message, one.error_traceback) if text]
    assert len(texts) == 2 * (len(ASKS) + 1)
    assert sum("[redacted]" in text for text in texts) >= len(texts) - 4, "what stood there was planted"
    steps = [await storage.ledger.list_steps(one.job_id) for one in jobs]
    found = {"attempts": attempts, "errors": await storage.ledger.list_errors(RUN), "steps": steps, "run": run}
    return {name: repr(value) for name, value in [*found.items(), ("progress", shown)]}


async def log_errors(storage: Storage) -> None:
    """Log errors through the published calls."""
    now = utc_now()
    (job, *_) = await storage.list_execution_jobs(RUN)
    await storage.log_execution_job_end(job.job_id, "failed", {}, now, now, f"{URI} refused {KEY}")
    given = a_record(job_id=job.job_id, master_job_id=RUN, record_uid="own", error_message=f"{KEY} of {Client()!r}")
    await storage.save_record(given, {"kept as it is": KEY})
    assert given.error_message is not None
    assert HUSH in given.error_message, "the caller's own object stays"


async def test_no_error_leaves_a_secret(
    storage: Storage,
    store: str,
    tmp_path: Path,
    provider: str,
    engine: str,
    request: pytest.FixtureRequest,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "starfish_storage")
    places = await fail_everywhere(storage, provider)
    await log_errors(storage)
    await storage.close()
    place = store.split(" ")
    options = ["--store", place[0], *(["--data", place[1]] if place[1:] else [])]
    for command in (["errors", RUN], ["show", RUN], ["records", RUN, "--json"], ["runs"]):
        places[" ".join(command)] = repr(await asyncio.to_thread(call, *command, *options))
    if engine == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        places["tables"] = server.dump(place[0].rpartition("schema=")[2].partition("&")[0])
    places["stdout and stderr"] = "".join(capfd.readouterr())
    places["log"] = caplog.text
    of_files = {str(file): file.read_bytes().decode(errors="replace") for file in tmp_path.rglob("*") if file.is_file()}
    kept = f'{{"kept as it is":"{KEY}"}}'
    for name, text in [*places.items(), *of_files.items()]:
        found = text.replace(kept, "").lower()
        assert HUSH not in found, f"{name}: {found[max(0, found.find(HUSH) - 200) : found.find(HUSH) + 40]}"
    assert any(kept in text for text in of_files.values()), "record data is stored verbatim"


async def test_what_people_ask_to_keep_stays(tmp_path: Path) -> None:
    async with open_storage(tmp_path, redact_secrets=False) as storage:
        await save_run(storage)
        await storage.log_execution_job_end(JOB, "failed", {}, at(1), at(1), f"refused {KEY}")
        job = await storage.get_execution_job(JOB)
    assert job is not None
    assert job.error_message == f"refused {KEY}"
