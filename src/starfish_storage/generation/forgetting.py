"""Forgetting the stored replies of steps before inputs run again."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.generation.loading import listed
from starfish_storage.interface import Storage

_BATCH = 1000


async def check_step_names(storage: Storage, master_job_id: str, names: Sequence[str]) -> None:
    """Refuse the names of steps that a run does not have: a misspelt one would pay nothing, and change nothing.

    Raises:
        InvalidInputError: it has no step of that name, or a text in place of a list.
    """
    if isinstance(names, str):
        raise InvalidInputError(f"forget must be a list, such as [{shorten(names)}].")
    if not names:
        return
    known = {total.name for total in await storage.ledger.count_steps(master_job_id)}
    for name in names:
        if name not in known:
            has = f"its steps are: {listed(sorted(known))}" if known else "it has no steps"
            raise InvalidInputError(f"run {shorten(master_job_id)} has no step {shorten(name)}; {has}.")


async def forget_of_pending(storage: Storage, master_job_id: str, names: Sequence[str]) -> None:
    """Forget the replies to the steps of some names, of all inputs that are about to run.

    Called after the inputs were put back. If the process is killed in between, the same call forgets them.
    """
    job_ids: list[str] = []
    while jobs := await storage.list_execution_jobs(master_job_id, ["pending"], limit=_BATCH, offset=len(job_ids)):
        job_ids += [job.job_id for job in jobs]
    await storage.ledger.forget_steps(master_job_id, names, job_ids=job_ids)
