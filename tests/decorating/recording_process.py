"""A program with a recorded function: it pays by writing a line into a file, and waits if that is what it is asked.

Environment: the store, the file, what to do (``call``, ``hang``, ``fork``), the question.
"""

from __future__ import annotations

import os
import sys
import time

from starfish_storage import ForkedProcessError, recorded

TOLD = {name: os.environ[name] for name in ("STORE", "PAID", "WHAT", "QUESTION")}  # no constant, which is code


@recorded(TOLD["STORE"])
def answer(question: str) -> str:
    with open(TOLD["PAID"], "a", encoding="utf-8") as paid:
        paid.write(f"{question}\n")
    if TOLD["WHAT"] == "hang":
        sys.stdout.write("asked\n")
        sys.stdout.flush()
        time.sleep(600)  # until it is killed
    return f"about {question}"


if __name__ == "__main__":
    if TOLD["WHAT"] == "fork":
        if os.fork() == 0:
            answer(TOLD["QUESTION"])
            sys.exit()
        assert os.wait()[1] == 0
        assert answer(TOLD["QUESTION"]) == "about " + TOLD["QUESTION"], "what the child has stored"
        if os.fork() == 0:  # the store is open now
            try:
                answer("after")
            except ForkedProcessError:
                sys.exit()
            sys.exit(1)
        assert os.wait()[1] == 0
    elif TOLD["WHAT"] == "call":
        sys.stdout.write(answer(TOLD["QUESTION"]) + "\n")
    else:
        answer(TOLD["QUESTION"])
