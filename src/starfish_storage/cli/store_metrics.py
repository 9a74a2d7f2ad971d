"""What a store says of itself in metrics: its runs, their inputs, records, workers and costs, and its limits.

All of it comes from rows that are small or counted already. Two things are bounded: which runs have series of their
own, because each is a series for ever in who stores them, and how often the inputs of a run are counted, because a
million take a tenth of a second: those of a run that has ended are counted once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from starfish_storage import __version__
from starfish_storage.cli.exposition import Metric
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.redaction import redact_error
from starfish_storage.runs import CallLimit, RunProgress, Worker
from starfish_storage.runs.progress import UNFINISHED
from starfish_storage.statuses import MASTER_JOB_STATUSES
from starfish_storage.wording import beginning

MOST_UNFINISHED = 100
"""How many unfinished runs have series of their own, the newest ones."""

_LONGEST_NAME = 100
_ENDED = tuple(status for status in MASTER_JOB_STATUSES if status not in UNFINISHED)


class StoreMetrics:
    """Collects the metrics of a store, again and again.

    Args:
        ended_runs: how many of the runs that have ended have series of their own, the newest ones.
    """

    def __init__(self, ended_runs: int) -> None:
        self._ended_runs = ended_runs
        self._known: dict[tuple[str, datetime], RunProgress] = {}  # runs that have ended, as they were last changed

    async def collect(self, storage: Storage, place: str) -> list[Metric]:
        """Return the metrics of a store as it is now.

        Args:
            storage: the store, set up; to read is enough.
            place: what the store is called; without a password.
        """
        began = time.monotonic()
        ledger = storage.ledger
        runs = await self._runs(storage)
        counts, drains, now = await ledger.count_runs(), await ledger.list_drains(), await ledger.now()
        all_runs = Metric("starfish_storage_runs", "gauge", "Runs of the store by status.")
        for status in MASTER_JOB_STATUSES:
            all_runs.add(counts.get(status, 0), {"status": status})
        metrics = [
            _one("info", "The release that reads the store, and the store; always 1.", 1, _info(place)),
            all_runs,
            _one("runs_shown", "Runs that have series of their own: see --runs.", len(runs)),
            _one(
                "draining", "Whether no input of the whole store is claimed, as before an upgrade.", int(None in drains)
            ),
            *_of_runs(runs),
            *_of_ledgers(runs, now),
            await _workers(storage, runs, now),
            *_of_limits(await ledger.list_limits(), now),
        ]
        took = time.monotonic() - began
        return [*metrics, _one("collect_duration_seconds", "How long it took to read all of this.", took)]

    async def _runs(self, storage: Storage) -> list[RunProgress]:
        ledger = storage.ledger
        unfinished = await ledger.find_runs(status_filter=UNFINISHED, limit=MOST_UNFINISHED)
        ended = await ledger.find_runs(status_filter=_ENDED, limit=self._ended_runs) if self._ended_runs else []
        new = [job for job in ended if _key(job) not in self._known]
        found = await ledger.get_progress([*unfinished, *new])
        known = self._known | {_key(one.job): one for one in found[len(unfinished) :]}
        self._known = {_key(job): known[_key(job)] for job in ended}
        return [*found[: len(unfinished)], *self._known.values()]


def _key(job: GenerationMasterJob) -> tuple[str, datetime]:
    return job.master_job_id, job.last_update_time


def _one(name: str, text: str, value: float, labels: Mapping[str, str] | None = None) -> Metric:
    metric = Metric(f"starfish_storage_{name}", "gauge", text)
    metric.add(value, labels)
    return metric


def _info(place: str) -> dict[str, str]:
    return {"version": __version__, "store": place}


def _labels(job: GenerationMasterJob) -> dict[str, str]:
    return {"project": job.project_id, "run": job.master_job_id}


def _gauge(name: str, text: str) -> Metric:
    return Metric(f"starfish_storage_run_{name}", "gauge", text)


def _counter(name: str, text: str) -> Metric:
    return Metric(f"starfish_storage_run_{name}_total", "counter", text)


def _of_runs(runs: Sequence[RunProgress]) -> Iterable[Metric]:
    """Return what every run has, also one of a pipeline that logs by itself."""
    info = _gauge("info", "The status and the name of a run; always 1.")
    inputs = _gauge("inputs", "Inputs of a run by status.")
    target = _gauge("target_inputs", "How many inputs a run is to have; missing while that is not known.")
    records = _gauge("records", "Records of a run by status.")
    began = _gauge("start_time_seconds", "When a run began, in Unix time.")
    ended = _gauge("end_time_seconds", "When a run ended, in Unix time.")
    for run in runs:
        job, labels = run.job, _labels(run.job)
        name = "" if job.name is None else beginning(redact_error(job.name), _LONGEST_NAME)
        info.add(1, {**labels, "status": job.status, "name": name})
        for metric, counts in ((inputs, run.inputs), (records, run.records)):
            for status, count in sorted(counts.items()):
                metric.add(count, {**labels, "status": status})
        for metric, when in ((began, job.start_time), (ended, job.end_time)):
            if when is not None:
                metric.add(when.timestamp(), labels)
        if run.total is not None:
            target.add(run.total, labels)
    return info, inputs, target, records, began, ended


def _of_ledgers(runs: Sequence[RunProgress], now: datetime) -> Iterable[Metric]:
    """Return what the ledgers of runs say."""
    attempts = _counter("attempts", "Attempts at the inputs of a run, over all workers and resumes.")
    failed = _counter("failed_attempts", "Attempts that failed or were interrupted.")
    tokens = _counter("tokens", "Tokens sent (input) and received (output), failed attempts included.")
    cost = _counter("cost", "What a run has cost, in the currency that its function reports.")
    paused = _gauge("paused_seconds", "For how long no call begins, because a provider refused one.")
    draining = _gauge("draining", "Whether no input of the run is claimed.")
    for run in runs:
        state, labels = run.state, _labels(run.job)
        if state is None:
            continue
        attempts.add(state.attempts, labels)
        failed.add(state.failed_attempts, labels)
        tokens.add(state.input_tokens, {**labels, "direction": "input"})
        tokens.add(state.output_tokens, {**labels, "direction": "output"})
        cost.add(state.cost, labels)
        if not run.is_over:
            until = run.paused_at(now)
            paused.add(0 if until is None else (until - now).total_seconds(), labels)
            draining.add(int(state.drained_since is not None), labels)
    return attempts, failed, tokens, cost, paused, draining


async def _workers(storage: Storage, runs: Sequence[RunProgress], now: datetime) -> Metric:
    from starfish_storage.generation.lease import is_dead

    working = {one.worker.worker_id for one in await storage.ledger.list_working()}

    def state_of(worker: Worker) -> str:
        if is_dead(worker, now):
            return "dead"
        if worker.stop_reason is not None:
            return "stopping"
        return "working" if worker.worker_id in working else "idle"

    metric = _gauge("workers", "Workers of an unfinished run by state.")
    for run in runs:
        if not run.is_over:
            states = Counter(map(state_of, await storage.ledger.list_workers(run.job.master_job_id)))
            for state in ("working", "idle", "stopping", "dead"):
                metric.add(states[state], {**_labels(run.job), "state": state})
    return metric


def _of_limits(limits: Sequence[CallLimit], now: datetime) -> Iterable[Metric]:
    def gauge(name: str, text: str) -> Metric:
        return Metric(f"starfish_storage_limit_{name}", "gauge", text)

    calls = gauge("requests_per_minute", "Requests a minute that a limit lets through.")
    tokens = gauge("tokens_per_minute", "Tokens a minute that a limit lets through.")
    part = gauge("rate_ratio", "The part of a limit that is used now: less after a provider refused calls.")
    paused = gauge("paused_seconds", "For how long a limit lets no call through.")
    shares = gauge("share_ratio", "The part of a limit that a run gets, of those that use it now.")
    for limit in limits:
        labels = {"limit": limit.name}
        for run, share in sorted(limit.parts(now).items()):
            shares.add(share, {**labels, "run": run})
        for metric, rate in ((calls, limit.rpm), (tokens, limit.tpm)):
            if rate is not None:
                metric.add(rate, labels)
        part.add(limit.part_at(now), labels)
        paused.add(limit.pause_left(now), labels)
    return calls, tokens, part, paused, shares
