"""A model that is paid for, in a process of its own, and a plain client of it.

def answer(n: int, context: Context):
    reply = context.once_blocking("call", lambda: paying_server.ask(f"question {n}"))

paying_server.tell("truncated", match="question 3")
assert paying_server.payments["question 3"] == 2
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from servers import paying_model
from servers.processes import HOST, ServerProcess, wait_until

SECONDS = 30.0


class ModelError(Exception):
    """The model refused a request: has what clients of models give their errors."""

    def __init__(self, status: int, headers: dict[str, str], body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status_code = status
        self.code = json.loads(body)["error"]["code"]
        self.response = SimpleNamespace(status_code=status, headers=headers)


class PayingServer(ServerProcess):
    name = "paying-model"

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def command(self) -> list[str]:
        return [sys.executable, "-s", "-m", "servers.paying_model", str(self.port)]

    def environment_of_process(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(Path(paying_model.__file__).parents[1])}

    def ready(self) -> bool:
        try:
            return self._speak("GET", "/", None)[0] == 200
        except OSError:
            return False

    def tell(
        self,
        kind: str = "answer",
        *,
        match: str = "",
        times: int | None = 1,
        text: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Say how the next requests are answered. What was told first applies first.

        Args:
            kind: one of `paying_model.PAID` or `paying_model.FREE`, or ``hang_up``.
            match: only those whose prompt holds this text.
            times: so many of them; None for all.
            text: the text of the answer. Otherwise it is JSON of the prompt, and of which reply to it this is.
            retry_after: seconds, in the header of a refusal.
        """
        assert kind in {*paying_model.PAID, *paying_model.FREE, "hang_up"}, kind
        self._control(rule={"kind": kind, "match": match, "times": times, "text": text, "retry_after": retry_after})

    def reset(self) -> None:
        """Forget what was told and counted, and release what is held."""
        self._control(reset=True)

    def release(self) -> None:
        """Let the requests that are held be answered."""
        self._control(release=True)

    def wait_held(self, count: int = 1) -> None:
        """Wait until so many requests are held."""
        wait_until(lambda: self._control()["held"] >= count, f"{count} requests that are held")

    @property
    def payments(self) -> Counter[str]:
        """How often each prompt was paid for."""
        return Counter(self._control()["payments"])

    @property
    def requests(self) -> Counter[str]:
        """How often each prompt was asked, refusals included."""
        return Counter(self._control()["requests"])

    def ask(self, prompt: str) -> dict[str, Any]:
        """Ask the model, and return ``{"text": ..., "usage": {"input_tokens": ..., "output_tokens": ...}}``."""
        return ask(self.port, prompt)

    async def ask_async(self, prompt: str) -> dict[str, Any]:
        """Do the same; when this is cancelled, the request is abandoned."""
        return await asyncio.to_thread(ask, self.port, prompt)

    def _control(self, **words: Any) -> dict[str, Any]:
        return json.loads(self._speak("POST", "/control", words)[2])

    def _speak(self, method: str, path: str, body: object) -> tuple[int, dict[str, str], bytes]:
        return _speak(self.port, method, path, body)


def ask(port: int, prompt: str) -> dict[str, Any]:
    """Ask the model that listens on a port of this machine.

    Raises:
        ModelError: it refused.
        OSError: the connection ended.
        http.client.HTTPException: it ended in the middle of the answer.
    """
    status, headers, content = _speak(port, "POST", "/ask", {"prompt": prompt})
    if status != 200:
        raise ModelError(status, headers, content.decode())
    return json.loads(content)


def _speak(port: int, method: str, path: str, body: object) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=SECONDS)
    try:
        connection.request(method, path, None if body is None else json.dumps(body).encode())
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()
