"""Runs: call a function for many inputs, store every outcome, and resume after a kill without paying twice.

A call goes down a straight line, one module after the other::

    run          generate, resume, retry, cancel: checks the arguments
      beginning, going_on    make the run, or find and check the stored one (`starting`)
      lifecycle  leaves the status of the run true, however the call ends
        worker   holds a lease; each slot takes an input, stores its outcome, and claims the next in the same step
          attempt    calls the function for one input until the input is settled
            calling, context    the function, its arguments, and the services it may use

`intake` pulls the inputs that are not stored yet from `inputs.Feed`, an iterator over `sources`, and stores them ahead
of the work; `claiming` gives them to the slots; every attempt goes to the ledger through `storing`, which
keeps what the store does not take (`waiting`, `spool`). `draining` brings workers to rest. A module calls
upwards only through two callbacks that `worker` passes down in `Settings`: one waits between attempts, one adds up
costs.
"""

from starfish_storage.generation.context import Context
from starfish_storage.generation.draining import Drained, drain, end_drain, set_priority, stop_worker
from starfish_storage.generation.explaining import AskedReason, CallsExplained, explain_calls
from starfish_storage.generation.input_files import FileInputs, read_inputs, read_json_lines
from starfish_storage.generation.lifecycle import Run
from starfish_storage.generation.loading import load_function
from starfish_storage.generation.outcomes import Duplicate, Filtered
from starfish_storage.generation.progress import Progress
from starfish_storage.generation.retrying import Retry
from starfish_storage.generation.run import cancel, generate, resume, retry
from starfish_storage.generation.run_options import RunOptions, Where
from starfish_storage.generation.viewing import RunViewer

__all__ = [
    "AskedReason",
    "CallsExplained",
    "Context",
    "Drained",
    "Duplicate",
    "FileInputs",
    "Filtered",
    "Progress",
    "Retry",
    "Run",
    "RunOptions",
    "RunViewer",
    "Where",
    "cancel",
    "drain",
    "end_drain",
    "explain_calls",
    "generate",
    "load_function",
    "read_inputs",
    "read_json_lines",
    "resume",
    "retry",
    "set_priority",
    "stop_worker",
]
