"""Runs: a function over many inputs, every outcome stored, killed and resumed without paying twice."""

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
