"""Makes checkpoints of a flow with the real sdg_hub; run where that is installed: `make .venv/foreign-tools`.

``python sdg_hub_writer.py DIRECTORY``: fills ``DIRECTORY/sdg-hub``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from model_server import model_server  # type: ignore[import-not-found]

PROMPT = '- role: user\n  content: "capital of {{country}}?"\n'
FLOW = """
metadata: {name: Capitals, version: 1.0.0, author: somebody, description: asks for capitals}
blocks:
  - block_type: PromptBuilderBlock
    block_config: {block_name: build, input_cols: [country], output_cols: messages, prompt_config_path: prompt.yaml}
  - block_type: LLMChatBlock
    block_config: {block_name: ask, input_cols: messages, output_cols: answer, async_mode: false}
"""


def write(root: Path, url: str) -> None:
    os.environ |= {"HOME": str(root), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    import pandas as pd  # type: ignore[import-not-found]
    from sdg_hub import Flow  # type: ignore[import-not-found]

    (root / "prompt.yaml").write_text(PROMPT)
    (root / "flow.yaml").write_text(FLOW)
    flow = Flow.from_yaml(str(root / "flow.yaml"))
    flow.set_model_config(model="openai/gpt-4o-mini", api_base=url, api_key="sk-not-a-key")
    countries = pd.DataFrame({"country": ["France", "Japan", "Peru"]})
    flow.generate(countries, checkpoint_dir=str(root / "sdg-hub"), save_freq=2)


if __name__ == "__main__":
    with model_server() as server:
        write(Path(sys.argv[1]).absolute(), server)
