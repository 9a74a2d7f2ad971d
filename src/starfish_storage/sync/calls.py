# Made by scripts/make_sync.py from starfish_storage.interface.calls: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.calls`."""

from __future__ import annotations

from starfish_storage import portal
from starfish_storage.interface import calls as asynchronous
from starfish_storage.interface.calls import FindScope
from starfish_storage.runs import CallCounts, Step
from starfish_storage.sync.face import Face


class CallLedger(Face):
    """Requests that were made through a recording client: each is a paid step with a ``request_key``."""

    @property
    def _called(self) -> asynchronous.CallLedger:
        return self._asynchronous

    def list_calls(self, job_id: str) -> list[Step]:
        """Return all stored replies of an input in the order in which they were asked for: its history.

        Raises nothing of its own.

        By attempt, and those of one attempt by `Step.asked_when`, or by `Step.saved_when` where that is not known.
        """
        return portal.call(self._called.list_calls(job_id))

    def find_reply(
        self, request_key: str, call: int, *, scope: FindScope, project_id: str | None = None
    ) -> Step | None:
        """Return the newest ``kept`` reply to a request, of whatever input; None if there is none.

        Over an index: in the whole store, one look-up; in a project, one for each reply to an equal request that is
        newer than the one of the project.

        Args:
            request_key: identity of the request; an empty one finds nothing.
            call: its number among equal requests of an attempt.
            scope: where it is looked for.
            project_id: the project, if the scope is one.

        Raises:
            InvalidInputError: the scope is unknown, or it is ``"project"`` and none is given.
        """
        return portal.call(self._called.find_reply(request_key, call, scope=scope, project_id=project_id))

    def count_calls(self, master_job_id: str) -> CallCounts:
        """Return what the requests of all attempts of a run add up to. Raises nothing of its own.

        Notes of the same name, kind and message are counted together; those that are counted most often come first.
        """
        return portal.call(self._called.count_calls(master_job_id))

    def list_requests(self, master_job_id: str, after: Step | None = None, limit: int = 1000) -> list[Step]:
        """Return stored replies to the requests of a run's inputs in pages, by input and then by request.

        Args:
            master_job_id: the run.
            after: the last one of the page before.
            limit: the most in a page.

        Raises:
            InvalidInputError: the limit is negative.
        """
        return portal.call(self._called.list_requests(master_job_id, after, limit))
