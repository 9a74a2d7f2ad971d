"""A contestant's side of the conversation: tasks come in as JSON lines, results go out as JSON lines.

Standard library only: the peer imports it in an environment that knows nothing of this project.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

Task = Callable[..., Any]


def serve(tasks: Mapping[str, Task]) -> None:
    """Carry out tasks until the driver closes the line."""
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": tasks[request["task"]](**request["arguments"])}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)
