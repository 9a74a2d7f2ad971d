"""Runs: a function over many inputs, every outcome stored, killed and resumed without paying twice.

A call goes down a straight line, one module after the other::

    run          generate, resume, retry, cancel: checks what was given, and what is stored
      lifecycle  makes the run, and leaves its status true, however the call ends
        worker   holds a lease; its slots claim inputs, and store what came of each with the claim of the next
          attempt    calls the function for one input until that is settled
            calling, context    the function, its arguments, and what it may ask for

The worker pulls the inputs that are not stored yet from `inputs.Feed`, an iterator over `sources`, and stores them
ahead of the work. Nothing below calls upwards, but for what is handed down: a wait, and two that are told of costs.
"""

from starfish_storage.generation.context import Context
from starfish_storage.generation.inputs import JsonLinesInputs, read_json_lines
from starfish_storage.generation.lifecycle import Run
from starfish_storage.generation.loading import load_function
from starfish_storage.generation.outcomes import Duplicate, Filtered
from starfish_storage.generation.progress import Progress
from starfish_storage.generation.retrying import Retry
from starfish_storage.generation.run import RunOptions, Where, cancel, generate, resume, retry

__all__ = [
    "Context",
    "Duplicate",
    "Filtered",
    "JsonLinesInputs",
    "Progress",
    "Retry",
    "Run",
    "RunOptions",
    "Where",
    "cancel",
    "generate",
    "load_function",
    "read_json_lines",
    "resume",
    "retry",
]
