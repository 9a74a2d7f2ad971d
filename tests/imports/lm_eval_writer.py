"""Makes samples of lm-evaluation-harness with the real tool; run where that is: `make .venv/foreign-tools`.

``python lm_eval_writer.py DIRECTORY``: fills ``DIRECTORY/lm-eval`` with the samples and results of one task.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from model_server import model_server  # type: ignore[import-not-found]

CAPITALS = {"France": "Paris", "Japan": "Tokyo", "Peru": "Lima"}
TASK = """
task: capitals
dataset_path: json
dataset_kwargs: {data_files: {test: PATH}}
test_split: test
output_type: generate_until
doc_to_text: "capital of {{country}}?"
doc_to_target: "{{capital}}"
generation_kwargs: {until: ["\\n"]}
filter_list:
  - {name: none, filter: [{function: take_first}]}
  - {name: words, filter: [{function: regex, regex_pattern: "of (\\\\w+)"}, {function: take_first}]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""


def write(root: Path, url: str) -> None:
    tasks = root / "tasks"
    tasks.mkdir()
    rows = tasks / "capitals.jsonl"
    rows.write_text("".join(json.dumps({"country": one, "capital": of}) + "\n" for one, of in CAPITALS.items()))
    (tasks / "capitals.yaml").write_text(TASK.replace("PATH", str(rows)))
    environment = os.environ | {"HOME": str(root), "HF_HOME": str(root / "hf"), "OPENAI_API_KEY": "sk-not-a-key"}
    environment |= {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    model = f"model=gpt-4o-mini,base_url={url}/chat/completions,num_concurrent=1,max_retries=1"
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "local-chat-completions", "--model_args", model]
    command += ["--tasks", "capitals", "--include_path", str(tasks), "--output_path", str(root / "lm-eval")]
    subprocess.run([*command, "--log_samples", "--apply_chat_template"], env=environment, check=True)


if __name__ == "__main__":
    with model_server() as server:
        write(Path(sys.argv[1]).absolute(), server)
