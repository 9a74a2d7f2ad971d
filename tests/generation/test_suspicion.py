"""Which reply an error of the function makes suspect."""

from __future__ import annotations

from typing import Any

import pytest

from starfish_storage.generation.suspicion import Course
from starfish_storage.runs import Step
from starfish_storage.times import utc_now


def reply(name: str, number: int = 1) -> Step:
    return Step("job", name, {"result": 1}, 1, utc_now(), reply=number)


class RateLimitError(Exception):
    pass


class StatusError(Exception):
    status_code = 503


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


FAILED_CALL = ValueError("raised by a call")

ERRORS: dict[str, tuple[BaseException, str | None]] = {
    "of the function": (ValueError("no score"), "judge"),
    "a defect": (KeyError("score"), "judge"),
    "of the call": (FAILED_CALL, None),
    "of the call, in other words": (chained(RuntimeError("the model failed"), FAILED_CALL), None),
    "of a connection, outside of a step": (ConnectionResetError(), None),
    "of a client, by its name": (RateLimitError(), None),
    "of a client, by its status": (StatusError(), None),
    "of the function, in a task group": (ExceptionGroup("", [FAILED_CALL, ValueError("no score")]), "judge"),
    "of calls, in a task group": (ExceptionGroup("", [FAILED_CALL, StatusError()]), None),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_what_an_error_says_of_the_last_reply(kind: str) -> None:
    course = Course()
    assert course.suspect(ValueError(), timed_out=False) is None, "there is none"
    for name in ("answer", "judge"):
        called = course.now()
        course.reply(reply(name), called)
    course.failure(FAILED_CALL)
    error, expected = ERRORS[kind]
    found = course.suspect(error, timed_out=False)
    assert (None if found is None else found.name) == expected


def test_a_failure_that_was_got_over_excuses_nothing() -> None:
    course = Course()
    course.failure(FAILED_CALL)
    course.reply(reply("another"), course.now())
    found = course.suspect(chained(ValueError("no score"), FAILED_CALL), timed_out=False)
    assert found is not None


def test_running_out_of_time() -> None:
    course = Course()
    course.reply(reply("judge"), course.now())
    timed_out: Any = {"error": TimeoutError(), "timed_out": True}
    assert course.suspect(**timed_out) is not None, "what came after the reply took too long"
    course.calling = 1
    assert course.suspect(**timed_out) is None
    course.calling = 0
    course.failure(TimeoutError())
    assert course.suspect(**timed_out) is None


def test_of_those_that_came_together_the_one_asked_for_least_often() -> None:
    course = Course()
    course.reply(reply("question"), course.now())
    called = [course.now() for _ in range(3)]
    for name, number, when in zip("abc", (1, 1, 2), called, strict=True):
        course.reply(reply(name, number), when)
    found = course.suspect(ValueError(), timed_out=False)
    assert found is not None
    assert found.name == "b"
