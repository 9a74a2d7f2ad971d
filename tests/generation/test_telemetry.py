"""What runs tell OpenTelemetry: spans and metrics with ids and figures, no data; and nobody notices where it fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from generation.recorded_model import COST, Model
from generation.runs import AT_ONCE, RUN, numbers, start
from servers.paying import PayingServer
from starfish_storage import open_storage, telemetry
from starfish_storage.generation import Context
from starfish_storage.interface import Storage
from starfish_storage.telemetry import recording

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH"


class Told:
    """What was told since the providers were set."""

    def __init__(self) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers, self.meters = (
            TracerProvider(shutdown_on_exit=False),
            MeterProvider([self._reader], shutdown_on_exit=False),
        )
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def everything(self) -> str:
        return "".join(span.to_json() for span in self._exporter.get_finished_spans()) + str(
            self._reader.get_metrics_data()
        )

    def metrics(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Return counts by metric and the values of its labels: of a histogram, how often something was recorded."""
        data, found = self._reader.get_metrics_data(), dict[str, dict[tuple[str, ...], float]]()
        for metric in data.resource_metrics[0].scope_metrics[0].metrics if data else ():
            for point in metric.data.data_points:
                labels = tuple(str(value) for _, value in sorted((point.attributes or {}).items()))
                counted = isinstance(point, HistogramDataPoint)
                value: Any = point.count if counted else getattr(point, "value", None)
                found.setdefault(metric.name, {})[labels] = value
        return found


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any, Any], None]]:
    """Sets providers for the test; a process has only one of each, for good."""

    def set_providers(tracers: Any, meters: Any) -> None:
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: tracers)
        monkeypatch.setattr(metrics, "get_meter_provider", lambda: meters)
        telemetry.look()

    yield set_providers
    monkeypatch.undo()
    assert not telemetry.look().is_on


@pytest.fixture
def told(listen: Callable[[Any, Any], None]) -> Iterator[Told]:
    told = Told()
    listen(told.tracers, told.meters)
    yield told
    told.tracers.shutdown()
    told.meters.shutdown()


def id_of(span: ReadableSpan | trace.SpanContext | None) -> int:
    context = span.get_span_context() if isinstance(span, ReadableSpan) else span
    assert context is not None
    return context.span_id


def of(span: ReadableSpan) -> dict[str, Any]:
    return {name.removeprefix("starfish_storage."): value for name, value in (span.attributes or {}).items()}


async def test_a_run_its_inputs_and_their_attempts(told: Told, storage: Storage) -> None:
    tries = iter([ValueError(f"no {SECRET}")])

    def answer(n: int, context: Context) -> dict[str, Any]:  # in a thread, which is still in the attempt
        context.log_usage(model="small", input_tokens=3, output_tokens=2, cost=0.25)
        theirs = told.tracers.get_tracer("theirs").start_span("theirs")
        with trace.use_span(theirs, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            if n == 1:
                for error in tries:
                    raise error
                raise KeyError(SECRET)
        return {"n": n, "text": f"stored {SECRET}"}

    ended = await start(storage, answer, numbers(2))
    assert ended.status == "completed_with_errors"
    (run,) = told.spans("starfish_storage.run")
    assert of(run).keys() == {"run.id", "worker.id"}
    assert of(run)["run.id"] == RUN
    inputs = {of(span)["status"]: span for span in told.spans("starfish_storage.input")}
    attempts = told.spans("starfish_storage.attempt")
    for status, count in (("completed", 1), ("failed", 2)):
        # Each input is a trace of its own, linked to the run.
        assert inputs[status].parent is None
        assert [id_of(link.context) for link in inputs[status].links] == [id_of(run)]
        own = [one for one in attempts if id_of(one.parent) == id_of(inputs[status])]
        assert [of(one)["attempt.number"] for one in own] == list(range(1, count + 1))
        assert {of(one)["status"] for one in own} == {status}
        assert {of(one)["gen_ai.request.model"] for one in own} == {"small"}
        assert sum(of(one)["cost"] for one in own) == count / 4
    assert {of(one).get("error.type") for one in attempts} == {None, "ValueError", "KeyError"}
    parents = {id_of(span.parent) for span in told.spans("theirs")}
    assert parents == {id_of(span) for span in attempts}
    found = told.metrics()
    assert found["starfish_storage.inputs"] == {("completed",): 1, ("failed",): 1}
    assert found["starfish_storage.records"] == {("completed",): 1, ("failed",): 1}
    assert found["starfish_storage.attempt.duration"] == {
        ("completed",): 1,
        ("ValueError", "failed"): 1,
        ("KeyError", "failed"): 1,
    }
    assert found["starfish_storage.cost"] == {("small",): 0.75}
    assert found["gen_ai.client.token.usage"][("_OTHER", "_OTHER", "small", "input")] == 3
    groups = told.spans("starfish_storage.commit")
    assert sum(found["db.client.operation.duration"].values()) == len(groups) > 0
    assert {of(group)["db.system.name"] for group in groups} == {"sqlite"}
    # Neither what was stored, nor what errors say, nor ids in metrics.
    assert SECRET not in told.everything()
    assert not any(RUN in label for labels in found.values() for label in labels)


async def test_a_recorded_request_is_a_call_of_a_model(told: Told, storage: Storage) -> None:
    model = Model()
    assert (await start(storage, model, numbers(2))).status == "completed"
    calls = told.spans("chat small")
    assert len(calls) == 2
    for call in calls:
        assert call.kind is trace.SpanKind.CLIENT
        assert of(call) == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "_OTHER",
            "gen_ai.request.model": "small",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "server.address": "api.example.com",
            "cost": COST,
        }
    attempts = {id_of(span) for span in told.spans("starfish_storage.attempt")}
    assert {id_of(call.parent) for call in calls} == attempts
    found = told.metrics()
    assert sum(found["gen_ai.client.operation.duration"].values()) == 2
    assert found["gen_ai.client.token.usage"] == {
        ("chat", "_OTHER", "small", "input"): 2,
        ("chat", "_OTHER", "small", "output"): 2,
    }
    assert found["starfish_storage.cost"] == {("small",): pytest.approx(2 * COST)}


async def test_a_call_that_fails_says_how(told: Told, storage: Storage) -> None:
    def refuse(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError(f"no way to {SECRET}")

    assert (await start(storage, Model(refuse), numbers(1))).status == "failed"
    calls = told.spans("chat small")
    assert len(calls) == AT_ONCE.attempts
    assert all(call.status.status_code is trace.StatusCode.ERROR for call in calls)
    assert SECRET not in told.everything()


async def test_pauses_and_waits(told: Told, storage: Storage, paying_server: PayingServer, waits: list[float]) -> None:
    paying_server.tell("limited", times=1, retry_after=7)
    run = await start(
        storage, lambda n: {"n": n, "text": paying_server.ask(f"{n}")["text"]}, numbers(2), max_concurrency=1
    )
    assert (run.status, [round(one) for one in waits]) == ("completed", [7])
    found = told.metrics()
    assert found["starfish_storage.pause.duration"] == {(): 1}
    assert found["starfish_storage.wait.duration"][("gate",)] >= 1


async def test_servers_are_asked_in_round_trips(told: Told, postgres_uri: str, s3_uri: str) -> None:
    def asked() -> dict[tuple[str, ...], float]:
        return told.metrics()["starfish_storage.round_trips"]

    async with open_storage(postgres_uri, s3_uri) as storage:
        await storage.list_projects()
        before = asked()
        await storage.list_projects()
        assert asked() == before | {("postgresql",): before["postgresql",] + 1}
        await start(storage, lambda n: {"n": n}, numbers(1))
        assert asked()["object_store",] > before["object_store",]
    assert told.metrics()["db.client.operation.duration"].keys() == {("commit", "postgresql")}


class Broken:
    """Raises at whatever is asked of it; ``works`` are the names of what gives another one of these instead."""

    def __init__(self, *works: str) -> None:
        self._works = works

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any, **__: Any) -> Broken:
            if name in self._works:
                return Broken(*self._works)
            raise RuntimeError(f"the exporter's key is {SECRET}")

        return call


@pytest.mark.parametrize(
    "works",
    [
        (),
        ("get_tracer", "get_meter", "create_counter", "create_histogram"),
        ("get_tracer", "get_meter", "create_counter", "create_histogram", "start_span", "get_span_context"),
    ],
)
async def test_a_broken_provider_disturbs_nothing(
    listen: Callable[[Any, Any], None],
    storage: Storage,
    works: tuple[str, ...],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recording, "_has_failed", False)
    with caplog.at_level(logging.WARNING, "starfish_storage"):
        listen(Broken(*works), Broken(*works))
        run = await start(storage, Model(), numbers(3))
    assert (run.status, run.records) == ("completed", {"completed": 3})
    (said,) = [record.getMessage() for record in caplog.records if "OpenTelemetry" in record.getMessage()]
    assert "RuntimeError" in said
    assert SECRET not in said


async def test_without_a_provider_nobody_is_told(storage: Storage) -> None:
    assert not telemetry.look().is_on, "the API's own providers do nothing"
    with telemetry.current().input("run", "job") as observed:
        await asyncio.sleep(0)
    assert type(observed) is telemetry.Observed
    assert (await start(storage, lambda n: {"n": n})).status == "completed"
    assert not telemetry.current().is_on
