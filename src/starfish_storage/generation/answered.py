"""The answer of an attempt that was stopped while its checks ran: it was paid for, and only the checks are left."""

from __future__ import annotations

from itertools import count
from typing import Any

from starfish_storage.interface import RunLedger
from starfish_storage.runs import ClaimedInput, output_record_uid

UNCHECKED = "the attempt was stopped before its checks had ended"
"""Why an output has failed that is the whole answer of its attempt, as far as it goes; see `unchecked_answer`."""


async def unchecked_answer(ledger: RunLedger, claimed: ClaimedInput) -> list[dict[str, Any]]:
    """Return the outputs of the last attempt at an input, if it was stopped while they were checked; else none."""
    last = (await ledger.list_attempts(claimed.job_id))[-1:]
    if not last or last[0].status != "cancelled":
        return []
    outputs: list[dict[str, Any]] = []
    for number in count():
        uid = output_record_uid(claimed.job_id, number)
        found = await ledger.list_versions(uid)
        kept = (one for one in found if one.attempt == last[0].number and one.error_message == UNCHECKED)
        version = next(kept, None)
        if version is None:
            break
        data = await ledger.get_version_data(uid, version.number)
        if data is None:
            return []
        outputs.append(data)
    return outputs
