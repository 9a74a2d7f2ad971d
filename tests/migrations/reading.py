"""Reading a whole store, in a form that does not depend on where it lies."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel

from starfish_storage import Storage


async def everything(storage: Storage) -> dict[str, Any]:
    """Return all that a store holds, by the public interface, as JSON without its own place in it."""
    masters = await storage.list_master_jobs()
    jobs = [job for master in masters for job in await storage.list_execution_jobs(master.master_job_id)]
    records = [one for master in masters for one in await storage.get_records_for_master_job(master.master_job_id)]
    return {
        "projects": [_plain(one, storage) for one in await storage.list_projects()],
        "master_jobs": [_plain(one, storage) for one in masters],
        "execution_jobs": [_plain(one, storage) for one in jobs],
        "records": [_plain(one, storage) for one in records],
        "counts": {one.master_job_id: await storage.count_records_for_master_job(one.master_job_id) for one in masters},
        "data": {
            one.record_uid: await storage.get_record_data(one.output_ref)
            for one in records
            if one.output_ref is not None
        },
        "configs": {
            one.master_job_id: await storage.get_request_config(one.request_config_ref)
            for one in masters
            if one.master_job_id.startswith("Master-")
        },
    }


async def runs_of(storage: Storage) -> dict[str, Any]:
    """Return what the ledger holds of runs, in words that every format since the third has."""
    ledger, told = storage.ledger, dict[str, Any]()
    for master in await storage.list_master_jobs():
        state = await ledger.get_run(master.master_job_id)
        if state is None:
            continue
        jobs = await storage.list_execution_jobs(master.master_job_id)
        told[master.master_job_id] = {
            "state": [state.registered, state.inputs_complete, state.stop_reason, state.attempts, state.cost],
            "inputs": await ledger.count_inputs(master.master_job_id),
            "workers": [one.worker_id for one in await ledger.list_workers(master.master_job_id)],
            "attempts": {
                job.job_id: [
                    [one.number, one.status, one.error_type, one.input_tokens, str(one.start_time)]
                    for one in await ledger.list_attempts(job.job_id)
                ]
                for job in jobs
            },
            "steps": {
                job.job_id: [
                    [one.name, one.result, one.attempt, one.usage[0].cost]
                    for one in await ledger.list_steps(job.job_id)
                ]
                for job in jobs
            },
            "errors": [[one.kind, one.inputs] for one in await ledger.list_errors(master.master_job_id)],
        }
    return told


async def kept_of(storage: Storage) -> dict[str, Any]:
    """Return what else the ledger holds of runs, in words that every format since the fourth has."""
    ledger, told = storage.ledger, dict[str, Any]()
    for master in await storage.list_master_jobs():
        state = await ledger.get_run(master.master_job_id)
        if state is None:
            continue
        jobs = await storage.list_execution_jobs(master.master_job_id)
        records = await storage.get_records_for_master_job(master.master_job_id)
        told[master.master_job_id] = {
            "pause": state.pause_reason,
            "conversions": await ledger.count_conversions(master.master_job_id),
            "replies": [
                [one.name, one.call, one.reply, one.status, one.reason, one.rejected_by, str(one.saved_when)]
                for job in jobs
                for one in await ledger.list_steps(job.job_id)
            ],
            "versions": [
                [one.record_uid, one.number, one.is_current, one.status, one.data_sha256]
                for record in records
                for one in await ledger.list_versions(record.record_uid)
            ],
        }
    return told


async def asked_of(storage: Storage) -> dict[str, Any]:
    """Return what else the ledger holds of runs, in words that every format since the fifth has."""
    ledger, told = storage.ledger, dict[str, Any]()
    for master in await storage.list_master_jobs():
        if await ledger.get_run(master.master_job_id) is None:
            continue
        jobs = await storage.list_execution_jobs(master.master_job_id)
        told[master.master_job_id] = {
            "segments": [[one.number, one.identity] for one in await ledger.list_segments(master.master_job_id)],
            "attempts": [
                [one.number, one.segment, None if one.calls is None else [one.calls.asked, one.calls.notes[0].message]]
                for job in jobs
                for one in await ledger.list_attempts(job.job_id)
            ],
            "requests": [
                [one.request_key, one.call, one.reply, one.result, one.request, str(one.asked_when)]
                + ([] if one.reused_from is None else [one.reused_from.job_id, one.reused_from.cost])
                for one in await ledger.list_requests(master.master_job_id)
            ],
        }
    return told


async def judged_of(storage: Storage) -> dict[str, Any]:
    """Return what people say of records, in words that every format since the sixth has."""
    told = dict[str, Any]()
    for master in await storage.list_master_jobs():
        records = await storage.get_records_for_master_job(master.master_job_id)
        said = await storage.annotations.list_for_run(master.master_job_id)
        if not said:
            continue
        told[master.master_job_id] = {
            "annotations": [
                [one.record_uid, one.kind, one.value, one.author, one.withdrawn is not None] for one in said
            ],
            "versions": [
                [one.record_uid, one.number, one.is_current, one.data_sha256]
                for record in records
                for one in await storage.ledger.list_versions(record.record_uid)
            ],
            "counts": asdict(await storage.annotations.count(master.master_job_id)),
        }
    found = await storage.ledger.last_verification()
    told["verification"] = None if found is None else [str(found.end_time), found.findings, found.report]
    return told


def without_moments(said: dict[str, Any]) -> dict[str, Any]:
    """Return what a store holds without the times, in the rows of runs, at which they were written."""
    moments = ("creation_time", "end_time", "last_update_time")
    return said | {
        kind: [
            {name: value for name, value in one.items() if name not in moments or one["master_job_id"] != "Run-1"}
            for one in said[kind]
        ]
        for kind in ("master_jobs", "execution_jobs", "records")
    }


def _plain(model: BaseModel, storage: Storage) -> dict[str, Any]:
    values = model.model_dump(mode="json")
    place = storage.generate_request_config_path("any").removesuffix("configs/any.request.json")
    for name in ("request_config_ref", "output_ref"):
        if values.get(name):
            values[name] = values[name].removeprefix(place)
    if values.get("storage_uri") == storage.storage_uri:
        values["storage_uri"] = "its own"
    return values
