"""Making calls again for as long as a server does not answer: how long, how often, and which error it is in the end."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from tenacity import AsyncRetrying, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from starfish_storage.errors import StorageError
from starfish_storage.metadata.postgres.errors import is_hopeless, is_lost, not_opened, translate, unavailable

Result = TypeVar("Result")

pauses = wait_random_exponential(multiplier=0.05, max=2.0)
"""Between two tries, in seconds: by chance, so that many workers do not come back together."""


def insist(work: Callable[[], Result], place: str, patience: float, *, opening: bool = False) -> Result:
    """Do something, again when the connection was lost meanwhile. Blocks.

    Args:
        work: what to do; it connects anew where there is no connection.
        place: where the store lies, for messages.
        patience: how long to go on trying, in seconds.
        opening: this is the first contact: what waiting does not mend fails at once.

    Raises:
        StorageUnavailableError: the server did not answer.
        StorageError: what the driver raised, translated.
    """
    with _translated(place, opening=opening):
        return Retrying(**_policy(patience, opening=opening))(work)


async def insist_in_loop(work: Callable[[], Awaitable[Result]], place: str, patience: float) -> Result:
    """Do what `insist` does, in an event loop."""

    async def attempt() -> Result:  # a coroutine function, which alone is awaited
        return await work()

    with _translated(place, opening=False):
        return await AsyncRetrying(**_policy(patience, opening=False))(attempt)


def _policy(patience: float, *, opening: bool) -> dict[str, Any]:
    return {
        "stop": stop_after_delay(patience),
        "wait": pauses,
        "retry": retry_if_exception(lambda error: _may_pass(error, opening=opening)),
        "reraise": True,
    }


@contextmanager
def _translated(place: str, *, opening: bool) -> Generator[None]:
    started = time.monotonic()
    try:
        yield
    except StorageError:
        raise
    except Exception as error:  # noqa: BLE001 (translated, whatever it is)
        if _may_pass(error, opening=opening):
            raise unavailable(place, time.monotonic() - started, error) from None
        raise (not_opened if opening else translate)(error, place) from None


def _may_pass(error: BaseException, *, opening: bool) -> bool:
    return is_lost(error) and not (opening and is_hopeless(error))
