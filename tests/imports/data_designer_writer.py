"""Makes a dataset with the real DataDesigner; run where that is installed: `make .venv/foreign-tools`.

``python data_designer_writer.py DIRECTORY``: fills ``DIRECTORY/data-designer``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from model_server import model_server  # type: ignore[import-not-found]


def write(root: Path, url: str) -> None:
    os.environ |= {"HOME": str(root), "DATA_DESIGNER_HOME": str(root / "home"), "NEMO_TELEMETRY_ENABLED": "false"}
    os.environ["MODEL_KEY"] = "sk-not-a-key"
    import data_designer.config as dd  # type: ignore[import-not-found]
    from data_designer.interface import DataDesigner  # type: ignore[import-not-found]

    provider = dd.ModelProvider(name="local", endpoint=url, provider_type="openai", api_key="MODEL_KEY")
    parameters = dd.ChatCompletionInferenceParams(temperature=0.5, max_tokens=50)
    model = dd.ModelConfig(
        alias="m", model="gpt-4o-mini", provider="local", inference_parameters=parameters, skip_health_check=True
    )
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    countries = dd.CategorySamplerParams(values=["France", "Japan", "Peru"])
    builder.add_column(dd.SamplerColumnConfig(name="country", sampler_type=dd.SamplerType.CATEGORY, params=countries))
    builder.add_column(dd.LLMTextColumnConfig(name="capital", prompt="capital of {{ country }}?", model_alias="m"))
    designer = DataDesigner(artifact_path=root / "data-designer", model_providers=[provider])
    designer.create(builder, num_records=4, dataset_name="capitals")


if __name__ == "__main__":
    with model_server() as server:
        write(Path(sys.argv[1]).absolute(), server)
