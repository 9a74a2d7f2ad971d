"""Makes a cached pipeline of distilabel with the real tool; run where that is installed: `make .venv/foreign`.

``python distilabel_writer.py DIRECTORY``: fills ``DIRECTORY/pipelines`` with one that has two last steps.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from model_server import model_server  # type: ignore[import-not-found]

INSTRUCTIONS = [{"instruction": f"capital of {name}?"} for name in ("France", "Japan", "Peru")]


def write(root: Path, url: str) -> None:
    os.environ |= {"HOME": str(root), "HF_HOME": str(root / "hf"), "HF_HUB_OFFLINE": "1"}
    from distilabel.models import OpenAILLM  # type: ignore[import-not-found]
    from distilabel.pipeline import Pipeline  # type: ignore[import-not-found]
    from distilabel.steps import KeepColumns, LoadDataFromDicts  # type: ignore[import-not-found]
    from distilabel.steps.tasks import TextGeneration  # type: ignore[import-not-found]

    with Pipeline(name="capitals", cache_dir=root / "pipelines") as pipeline:
        load = LoadDataFromDicts(name="load", data=INSTRUCTIONS, batch_size=2)
        model = OpenAILLM(model="gpt-4o-mini", base_url=url, api_key="sk-not-a-key")
        text = TextGeneration(name="text", llm=model, input_batch_size=2)
        keep = KeepColumns(name="keep", columns=["instruction"], input_batch_size=2)
        load.connect(text, keep)
    pipeline.run()


if __name__ == "__main__":
    with model_server() as server:
        write(Path(sys.argv[1]).absolute(), server)
