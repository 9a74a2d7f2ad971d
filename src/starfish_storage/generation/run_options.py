"""What `generate`, `resume` and `retry` can be asked for: the options of a run, and which inputs run again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypedDict

from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.generation.changes import OnChange
from starfish_storage.generation.options import Accept, OutputSchema, UniqueBy
from starfish_storage.generation.outcomes import OnEmpty
from starfish_storage.generation.progress import Progress
from starfish_storage.generation.replies import Reask
from starfish_storage.generation.retrying import Retry
from starfish_storage.generation.reuse import Replay, Reuse
from starfish_storage.generation.sources import OnBadInput
from starfish_storage.user_modules import refuse_in_import

ProgressKind = str | Callable[[Progress], object]


class RunOptions(TypedDict, total=False):
    """Options of a run: arguments of `generate`, and of `resume` and `retry`, which may change them.

    An option that is missing or None has its default, or, when a run is resumed, the value that it was started with.

    Attributes:
        output_schema: a pydantic model or a JSON Schema; an output that does not fit is kept as ``failed``.
        max_concurrency: calls at a time, of all processes that work on the run [10]. As many results may be on their
            way to the store, so a killed run repeats twice as many calls at most.
        retry: how many attempts an input gets [3], or a `Retry`.
        timeout: seconds that one attempt may take [no limit]. Nothing can stop a thread: the run abandons the call of a
            plain function.
        on_empty: an attempt that returns None or an empty list has failed, ``"fail"`` [default]; or has no output,
            ``"skip"``.
        retry_on_misfit: an attempt with an output that does not fit ``output_schema`` is retried as one that failed
            [False]. What it returned is kept.
        accept: a plain or async function of an output's data; if it returns False or a text (the reason), the record
            becomes ``filtered``. If it raises or returns None, the record is ``failed``, with its data.
        unique_by: a field, several, or a function of an output's data: a second output of the run with the same value
            becomes a ``duplicate``, also after a resume and in another process.
        max_cost: the run stops when ``context.log_usage`` has reported this cost, over all resumes; calls in flight
            end [no limit]. All workers together begin no more inputs than fit below it by what attempts have cost.
        max_failures: the run stops when so many inputs of this call have failed, or, if less than 1, when this share of
            them has, after 20. By default it stops when its first 20 inputs, or 50 in a row, fail with the same error.
            Either way it stops at once when the provider refuses the key or the account has no quota left, unless this
            is `math.inf`.
        limit: the name of a limit that all runs of the store with this name share, such as ``"openai"``: ``rpm`` and
            ``tpm`` are its rates, and what is given last holds for all of them [None: they are the run's own].
        rpm: requests a minute, evenly, so 600 are 10 a second, of all processes that work on the run; an attempt makes
            as many as it reports with ``context.log_usage``, and at least one [no limit].
        tpm: tokens a minute, likewise, sent and received [no limit].
        priority: while several runs use one ``limit``, the weight of this run's share, from 1 to 1000 [1, or what it
            was]: one of 3 makes three calls where one of 1 makes one. What a run does not use goes to the others.
        longest_limit_wait: seconds that an input waits, in all, because the provider limits calls (429, or 503 with
            ``Retry-After``), without using up its attempts [3600]. Such an answer pauses all calls of the run.
        on_bad_input: ``"stop"`` [default]: an input that cannot be run stops the run, before it starts if the inputs
            can be read twice. ``"skip"``: the run leaves it out and logs a warning.
        allow_secrets: whether an input may hold a field such as ``token`` whose value looks like a key, which is stored
            then [False].
        grace: seconds that calls in flight get to end after an interruption [30].
        lease: seconds of silence after which another process may take over the inputs of this one [60].
        reask: after an attempt that failed, which stored replies of paid steps are asked for again. ``"auto"``
            [default]: the last one before an error of the function, as long as the function's code is the same.
            ``"last"``: that one, whatever the code. ``"all"``: every one of the failed attempts. ``"never"``: none.
        patience: seconds for which the run waits for a store that takes nothing, with everything that was paid for
            [``STARFISH_STORAGE_RETRY_SECONDS``, or 3600].
        reuse: where the answer to a recorded request is looked for before a model is asked. ``"run"`` [default]: among
            those of the same input. ``"project"``, ``"store"``: among those of every input of the project, or of the
            store; a reused answer costs nothing.
        replay: ``"only"``: a recorded request whose answer is not stored, where ``reuse`` looks, is a
            `RequestNotStoredError`, and nothing is sent. ``"off"`` [default]: it is sent.
        on_change: what to do if the run has another configuration, or other inputs, than this call: ``"refuse"``
            [default]; ``"continue"``: all inputs stay, new ones are done too, and what is not done yet is done with the
            configuration given now; ``"fork"``, of `generate`: a new run, which takes over what is done for the same
            input and configuration; ``"match"``: inputs that are gone are cancelled, and new ones done.
        strict_code: refuse code that has changed [False]: else a warning says what did.
        spool: the file in which results of this run wait, if it does not lie where this process would write one.
        progress: ``"auto"`` [default]: a live line in a notebook, a bar in a terminal, else lines; ``"bar"``,
            ``"lines"``, ``"log"``: through `logging`, ``"quiet"``, or a function of a `Progress`.
        handle_signals: whether Ctrl-C and SIGTERM stop the run in an orderly way, in the main thread [True].
    """

    output_schema: OutputSchema | None
    max_concurrency: int | None
    retry: Retry | int | None
    timeout: float | None
    on_empty: OnEmpty | None
    retry_on_misfit: bool | None
    accept: Accept | None
    unique_by: UniqueBy | None
    max_cost: float | None
    max_failures: float | None
    limit: str | None
    rpm: float | None
    tpm: float | None
    priority: int | None
    longest_limit_wait: float | None
    on_bad_input: OnBadInput | None
    allow_secrets: bool | None
    grace: float | None
    lease: float | None
    reask: Reask | None
    patience: float | None
    reuse: Reuse | None
    replay: Replay | None
    on_change: OnChange | None
    strict_code: bool | None
    spool: str | os.PathLike[str] | None
    progress: ProgressKind
    handle_signals: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which inputs `retry` runs again: those that meet every condition given.

    Attributes:
        statuses: their execution job has one of these statuses. With ``"failed"``, also those of which an output failed
            or was lost.
        error_text: their error contains this text, in upper or lower case.
        error_type: their last attempt raised this class, such as ``"RateLimitError"``.
        job_ids: their execution job is one of these.

    Raises:
        InvalidInputError: no status is given, or a text in place of a list.
    """

    statuses: Sequence[str] = ("failed",)
    error_text: str | None = None
    error_type: str | None = None
    job_ids: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name, value in (("statuses", self.statuses), ("job_ids", self.job_ids)):
            if isinstance(value, str):
                raise InvalidInputError(f"{name} must be a list, such as [{shorten(value)}].")
        if not self.statuses:
            raise InvalidInputError("statuses must name at least one status, such as 'failed'.")


def check_call(function: str, options: RunOptions) -> None:
    """Refuse a call by a file that is only imported for a function, and misspelt options, as Python does for others."""
    refuse_in_import(f"calls {function}()")
    for name in options:
        if name not in RunOptions.__annotations__:
            like = get_close_matches(name, RunOptions.__annotations__, 1)
            meant = f"did you mean {like[0]!r}? " if like else ""
            raise TypeError(f"{name!r} is not an option of a run; {meant}RunOptions lists them.")
