"""Where exported records come from: what the store knows of their runs, without secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypedDict, cast

from starfish_storage.codec import canonical_hash, json_text
from starfish_storage.errors import DataNotFoundError, NotFoundError, StoreDamagedError
from starfish_storage.export.records import Paired
from starfish_storage.export.splitting import Division
from starfish_storage.export.tokens import cleaned, without_tokens
from starfish_storage.export.unfinished import UnfinishedRun, told_of_unfinished, unfinished
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob, Project
from starfish_storage.redaction import redact_secrets
from starfish_storage.runs import AnnotationCounts, RunState, Segment
from starfish_storage.runs.segment_history import Stretch, stretches

_NONE = AnnotationCounts()
_LOOKED_AT = 20  # execution jobs whose attempts tell which models were called: all of them would take minutes
_MODEL_KEYS = frozenset({"model", "model_name", "model_id", "models", "llm", "engine"})
_PROMPT = re.compile(r"prompt|template|instruction|system_message", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RunProvenance:
    """What the store knows of one master job.

    Attributes:
        job: the master job.
        project: its project.
        config: its request configuration, without secrets; None if it is lost or damaged.
        config_sha256: the hash of its canonical JSON.
        models: names of models, from the configuration and from what the first attempts reported.
        prompts: the texts in the configuration that are prompts, by their paths.
        records: how many records are in each status.
        inputs: how many execution jobs are in each status.
        failures: kinds of failures, and how many inputs or outputs failed so; the most frequent first.
        state: attempts, tokens and cost; None of a master job that is no run.
        segments: what the run was made of, without the places and people it ran for.
        annotations: how its records were judged.
    """

    job: GenerationMasterJob
    project: Project | None
    config: dict[str, Any] | None
    config_sha256: str | None
    models: tuple[str, ...]
    prompts: dict[str, str]
    records: dict[str, int]
    inputs: dict[str, int]
    failures: tuple[tuple[str, int], ...]
    state: RunState | None
    segments: tuple[Stretch, ...] = ()
    annotations: AnnotationCounts = field(default_factory=AnnotationCounts)

    @property
    def unfinished(self) -> UnfinishedRun | None:
        """What is left of it; None if it has ended."""
        return unfinished(self.job, self.inputs)


class Chosen(TypedDict, total=False):
    """How the records of an export were chosen: only what was asked for is there.

    Attributes:
        where: the conditions that they fit, as they are typed.
        accepted_only: True: somebody has accepted each of them, and nobody rejected it.
        search: the words that they were found by.
        sample: how many of each run were drawn, at most, of those that fit.
        sample_seed: the seed of the draw.
        limit: how many were written, at most: the first ones.
        fields: the fields that were kept of their data.
        paired: how pairs of them were made.
    """

    where: list[str]
    accepted_only: bool
    search: str
    sample: int
    sample_seed: int
    limit: int
    fields: list[str]
    paired: Paired


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the store knows of the runs that an export comes from.

    Attributes:
        runs: in the order in which they were asked for.
        chosen: how the records were chosen among those of the runs; empty: all of them.
        division: how they were divided into splits, and what stands twice; None if they were not.
        shape: the name of the shape of conversations that each row has; None: rows are the data of records.
    """

    runs: tuple[RunProvenance, ...]
    chosen: Chosen = field(default_factory=Chosen)
    division: Division | None = None
    shape: str | None = None


async def collect_provenance(storage: Storage, master_job_ids: Sequence[str]) -> Provenance:
    """Read what a store knows of some master jobs. Changes nothing.

    A configuration that is lost or damaged is left out: the records are there all the same.

    Args:
        storage: where they are.
        master_job_ids: which ones.

    Raises:
        NotFoundError: the master job does not exist.
    """
    return Provenance(tuple([await _run(storage, each) for each in master_job_ids]))


def identity_of(provenance: Provenance) -> dict[str, str]:
    """Return what a file says about the runs that its records come from, for its key-value metadata."""
    runs = provenance.runs
    values: dict[str, object] = {
        "master_job_ids": [run.job.master_job_id for run in runs],
        "project_ids": list(dict.fromkeys(run.job.project_id for run in runs)),
        "request_config_sha256": {run.job.master_job_id: run.config_sha256 for run in runs},
        "records": {run.job.master_job_id: run.records for run in runs},
        "segments": {run.job.master_job_id: [_made_of(one) for one in run.segments] for run in runs if run.segments},
        "annotations": {run.job.master_job_id: _judged(run.annotations) for run in runs if run.annotations != _NONE},
        "models": list(dict.fromkeys(without_tokens(model) for run in runs for model in run.models)),
    }
    if provenance.shape is not None:
        values["shape"] = provenance.shape
    # Ids stay as they are, whatever they look like: without them, nobody finds the runs.
    told = {f"starfish_storage.{name}": json_text(value) for name, value in values.items()}
    return told | choice_of(provenance, [run.unfinished for run in runs if run.unfinished])


def choice_of(provenance: Provenance, unfinished_runs: Sequence[UnfinishedRun]) -> dict[str, str]:
    """Return what a file says about how its records were chosen and divided; nothing if all are in it as they come."""
    told: dict[str, str] = {}
    if provenance.chosen:
        told["starfish_storage.chosen"] = json_text(cleaned(dict(provenance.chosen)))
    if provenance.division is not None and (divided := provenance.division.told()):
        told["starfish_storage.division"] = json_text(divided)
    return told | told_of_unfinished(unfinished_runs)


def words_of(chosen: Chosen) -> list[str]:
    """Return the same for people.

    >>> words_of({"where": ["score>=0.5"], "sample": 10, "sample_seed": 3})
    ['score>=0.5', 'a random sample of 10 of each run, with the seed 3']
    """
    words = list(chosen.get("where", ()))
    if chosen.get("accepted_only"):
        words.append("somebody has accepted it, and nobody rejected it")
    if "search" in chosen:
        words.append(f"found by the search for {chosen['search']}")
    if "sample" in chosen:
        words.append(f"a random sample of {chosen['sample']:,} of each run, with the seed {chosen.get('sample_seed')}")
    if "limit" in chosen:
        words.append(f"the first {chosen['limit']:,}")
    if "fields" in chosen:
        words.append(f"of each only {', '.join(chosen['fields'])}")
    if "paired" in chosen:
        paired = chosen["paired"]
        which = "the best with the worst output" if paired["pairs"] == "best" else "each output with each worse one"
        whole = f"value of {paired['pair_by']}" if "pair_by" in paired else "input"
        words.append(f"of each {whole} {which}: more of {paired['prefer']} is better")
    return words


def _judged(counts: AnnotationCounts) -> dict[str, Any]:
    return asdict(counts) | {"labels": {without_tokens(label): number for label, number in counts.labels.items()}}


def _made_of(one: Stretch) -> dict[str, Any]:
    """Return the code, commit and versions of segments, without the directories of somebody's machine."""
    function: Any = one.identity.get("function")
    named = cast("dict[str, Any]", function) if isinstance(function, dict) else {}
    return {
        "segments": one.numbers,
        "function": named.get("name"),
        "code": named.get("code"),
        "git": one.identity.get("git"),
        "versions": one.identity.get("versions"),
        "config_sha256": canonical_hash(cleaned(one.identity.get("config"))),
    }


async def _run(storage: Storage, master_job_id: str) -> RunProvenance:
    job = await storage.get_master_job(master_job_id)
    if job is None:
        raise NotFoundError("master job", master_job_id, "list_master_jobs lists all master jobs")
    stored = await _config(storage, job)
    config = None if stored is None else cleaned(_without_place(stored))
    called = await _models_called(storage, job)
    return RunProvenance(
        job,
        await storage.get_project(job.project_id),
        config,
        None if stored is None else canonical_hash(stored),
        tuple(dict.fromkeys([*_models_named(config), *called])),
        {path: text for path, key, text in _texts(config, "$", "") if _PROMPT.search(key)},
        dict(sorted((await storage.count_records_for_master_job(master_job_id)).items())),
        dict(sorted((await storage.ledger.count_inputs(master_job_id)).items())),
        tuple((group.kind, group.inputs) for group in await storage.ledger.list_errors(master_job_id)),
        await storage.ledger.get_run(master_job_id),
        tuple(stretches(map(_without_people, await storage.ledger.list_segments(master_job_id)))),
        await storage.annotations.count(master_job_id),
    )


async def _config(storage: Storage, job: GenerationMasterJob) -> dict[str, Any] | None:
    try:
        config, _ = redact_secrets(await storage.get_request_config(job.request_config_ref))
    except (DataNotFoundError, StoreDamagedError):
        return None
    return config


def _without_place(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration that names the files of inputs and code, but not where they lay on somebody's machine."""
    named = {name: _last_part(config[name]) for name in ("inputs", "function") if isinstance(config.get(name), str)}
    options = config.get("options")
    if isinstance(options, dict):
        given = cast("dict[str, Any]", options)
        checks = {name: _last_part(given[name]) for name in ("accept", "worth_retrying", "unique_by") if name in given}
        named["options"] = given | checks
    return config | named


def _without_people(segment: Segment) -> Segment:
    """Return a segment without the host, the user and the command, and files without their directories."""
    identity = {name: value for name, value in segment.identity.items() if name not in ("host", "user", "command")}
    function = identity.get("function")
    if isinstance(function, dict):
        about = cast("dict[str, Any]", function)
        files: Any = about.get("files")
        named = cast("dict[str, Any]", files) if isinstance(files, dict) else {}
        short = {"file": _last_part(about.get("file")), "files": {_last_part(one): named[one] for one in named}}
        identity["function"] = about | short
    return replace(segment, identity=_without_place(identity))


def _last_part(place: Any) -> Any:
    """Return the name of a file, or of a function in it, without directories; anything else as it is."""
    if isinstance(place, dict):
        return {name: _last_part(value) for name, value in cast("dict[str, Any]", place).items()}
    return os.path.basename(place) if isinstance(place, str) and os.path.isabs(place) else place


async def _models_called(storage: Storage, job: GenerationMasterJob) -> list[str]:
    found: dict[str, None] = {}
    for one in await storage.list_execution_jobs(job.master_job_id, ["completed"], limit=_LOOKED_AT):
        for attempt in await storage.ledger.list_attempts(one.job_id):
            found |= dict.fromkeys(usage.model for usage in attempt.usage if usage.model)
    return sorted(found)


def _models_named(config: dict[str, Any] | None) -> Iterator[str]:
    for _, key, text in _texts(config, "$", ""):
        if key.lower() in _MODEL_KEYS and text:
            yield text


def _texts(value: Any, path: str, key: str) -> Iterator[tuple[str, str, str]]:
    """Yield the texts in a JSON value: the path, the nearest key above, and the text."""
    if isinstance(value, str):
        yield path, key, value
    elif isinstance(value, dict):
        for name, child in cast("dict[str, Any]", value).items():
            yield from _texts(child, f"{path}.{name}", name)
    elif isinstance(value, list):
        for index, child in enumerate(cast("list[Any]", value)):
            yield from _texts(child, f"{path}[{index}]", key)
