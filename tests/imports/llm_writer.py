"""Makes the database of llm with the real tool; run where that is installed: `make .venv/foreign-tools`.

``python llm_writer.py DIRECTORY``: fills ``DIRECTORY/llm`` with a conversation of two turns, one with a picture, and
one that called a tool. Also runs with llm 0.27, which has another schema, without the tool.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from model_server import model_server  # type: ignore[import-not-found]

MODEL = "- model_id: local\n  model_name: gpt-4o-mini\n  api_base: {}\n  can_stream: false\n  vision: true\n"
PICTURE = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000")
QUESTIONS = (
    ("-m", "local", "-s", "Answer.", "capital of France?"),
    ("-c", "and of Japan?"),
    ("-m", "local", "-o", "temperature", "0.5", "-a", "-", "-f", "FRAGMENT", "what is this?"),
    ("-m", "local", "refuse"),
)


def write(root: Path, url: str) -> None:
    directory = root / "llm"
    directory.mkdir()
    (directory / "extra-openai-models.yaml").write_text(MODEL.format(url))
    fragment = root / "fragment.txt"
    fragment.write_text("A fragment that several prompts share.")
    environment = os.environ | {"LLM_USER_PATH": str(directory), "HOME": str(root), "OPENAI_API_KEY": "sk-not-a-key"}
    for words in QUESTIONS:
        command = [sys.executable, "-m", "llm", "--no-stream"]
        command += [str(fragment) if word == "FRAGMENT" else word for word in words]
        ended = subprocess.run(command, env=environment, input=PICTURE if "-a" in words else b"", check=False)
        assert (ended.returncode == 0) == ("refuse" not in words), words


if __name__ == "__main__":
    with model_server() as server:
        write(Path(sys.argv[1]).absolute(), server)
