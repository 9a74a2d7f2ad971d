"""A server that speaks like OpenAI's and answers at once: what the tools of other people are run against.

Standard library only: it is also used where nothing of this project is installed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        messages = asked["messages"] or [{"content": ""}]  # Curator asks for the limits with none
        question = str(messages[-1]["content"])
        if "refuse" in question:
            self._answer(400, {"error": {"message": "refused by the model server", "type": "invalid_request_error"}})
            return
        text = f"answer to: {question}"
        if asked.get("response_format"):
            fields = asked["response_format"]["json_schema"]["schema"]["properties"]
            text = json.dumps({name: 7 if field.get("type") == "integer" else text for name, field in fields.items()})
        message = {"role": "assistant", "content": text}
        answer = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_769_860_800,
            "model": asked["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }
        self._answer(200, answer)

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def model_server() -> Iterator[str]:
    """Run the server, and hand out the URL of its API."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
