"""What the exit status of a command says to scripts."""

from __future__ import annotations

import signal

DONE = 0
FAILURES = 1
"""The run ended with failures, or damage was found."""
NOT_DONE = 2
"""The command could not be carried out."""
STOPPED = 3
"""The run stopped before its end."""
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
NOBODY_READS = 128 + 13  # SIGPIPE, which some systems do not have
"""What reads the output has ended, as ``head`` does: the status of a program that the system ends for it."""

_OF_STATUS = {"completed": DONE, "completed_with_errors": FAILURES, "failed": FAILURES}


def of_run(status: str) -> int:
    """Return the exit status for how a run has ended; one that has not ended was left before its end.

    >>> of_run("completed"), of_run("failed"), of_run("cancelled")
    (0, 1, 3)
    """
    return _OF_STATUS.get(status, STOPPED)
