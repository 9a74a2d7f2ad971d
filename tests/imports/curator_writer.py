"""Makes working directories of Curator with the real tool; run where that is installed: `make .venv/foreign`.

``python curator_writer.py DIRECTORY``: fills ``DIRECTORY/curator`` with two runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from model_server import model_server  # type: ignore[import-not-found]

COUNTRIES = [{"country": name} for name in ("France", "Japan", "refuse", "Peru")]


def prepare(root: Path) -> None:
    """Let nothing be sent or downloaded, and nothing be read from this user's own caches."""
    os.environ |= {
        "CURATOR_CACHE_DIR": str(root / "curator"),
        "HOME": str(root),
        "HF_HOME": str(root / "hf"),
        "HF_HUB_OFFLINE": "1",
        "TELEMETRY_ENABLED": "false",
        "CURATOR_DISABLE_RICH_DISPLAY": "1",
        "OPENAI_API_KEY": "sk-not-a-key",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    import litellm  # type: ignore[import-not-found]

    # It brings the file of a tokenizer that Curator would download.
    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(str(litellm.__file__)).parent / "litellm_core_utils" / "tokenizers")


def write(url: str) -> None:
    from bespokelabs import curator  # type: ignore[import-not-found]
    from pydantic import BaseModel

    class Capital(BaseModel):
        capital: str

    class Plain(curator.LLM):
        def prompt(self, input):
            return f"capital of {input['country']}?"

        def parse(self, input, response):
            return {"country": input["country"], "capital": response}

    class Structured(curator.LLM):
        response_format = Capital

        def prompt(self, input):
            return f"two capitals of {input['country']}?"

        def parse(self, input, response):
            return [{"country": input["country"], "capital": response.capital, "number": n} for n in range(2)]

    options = {
        "model_name": "gpt-4o-mini",
        "backend": "openai",
        "backend_params": {
            "base_url": url,
            "max_retries": 1,
            "require_all_responses": False,
            "max_requests_per_minute": 10_000,
            "max_tokens_per_minute": 10_000_000,
        },
        "generation_params": {"temperature": 0.5},
    }
    Plain(**options)(COUNTRIES)
    Structured(**options)([one for one in COUNTRIES if one["country"] != "refuse"])


if __name__ == "__main__":
    prepare(Path(sys.argv[1]).absolute())
    with model_server() as server:
        write(server)
