"""How idle workers hear of inputs, whatever the engine."""

from __future__ import annotations

from typing import Protocol, Self


class Signals(Protocol):
    """What an idle worker hears of the inputs of a run, from when the context is entered until it is left."""

    @property
    def is_hearing(self) -> bool:
        """Whether `wait` returns when an input may be there; else only looking helps."""
        ...

    async def __aenter__(self) -> Self:
        """Begin to hear. Raises nothing: what cannot be heard has to be looked for. Once it hears, `wait` returns."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Hear nothing more."""
        ...

    async def wait(self, seconds: float) -> bool:
        """Wait for so long, or until something was heard since the last call; return whether it was."""
        ...
