# Made by scripts/make_sync.py from starfish_storage.interface.comparing: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.comparing`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starfish_storage import portal
from starfish_storage.interface import comparing as asynchronous
from starfish_storage.runs import InputOfContent
from starfish_storage.sync.face import Face

if TYPE_CHECKING:
    from starfish_storage.models import Record


class ComparisonLedger(Face):
    """The inputs of several runs side by side, without holding those of any in memory."""

    @property
    def _called(self) -> asynchronous.ComparisonLedger:
        return self._asynchronous

    def list_inputs_by_content(
        self, master_job_id: str, *, after: InputOfContent | None = None, limit: int
    ) -> list[InputOfContent]:
        """Return execution jobs of a master job by what their input is; equal inputs of all runs have one place.

        By their digests, which have no meaning for people, and equal ones newest first. Over an index: a page at the
        end costs what the first one does. Also of a master job that is not a run. Jobs without an input are left out.

        Args:
            master_job_id: the master job.
            after: the last one of the page before.
            limit: the most in a page.

        Raises nothing of its own.
        """
        return portal.call(self._called.list_inputs_by_content(master_job_id, after=after, limit=limit))

    def list_outputs(self, job_ids: Sequence[str]) -> dict[str, list[Record]]:
        """Return the records of these execution jobs by the id of the job, in the order of the outputs.

        Those that are ``cancelled``, because a later attempt has no output in their place, are included. Jobs without
        records are left out. Raises nothing of its own.
        """
        return portal.call(self._called.list_outputs(job_ids))

    def find_contents(self, record_uids: Sequence[str]) -> dict[str, str]:
        """Return the digest of the input that each of these records came of, by their uids.

        Raises nothing of its own.

        As `InputOfContent.digest`. Records that do not exist, or whose job has no input, are left out.
        """
        return portal.call(self._called.find_contents(record_uids))
