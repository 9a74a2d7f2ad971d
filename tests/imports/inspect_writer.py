"""Makes logs of Inspect with the real tool; run where that is installed: `make .venv/foreign-tools`.

``python inspect_writer.py DIRECTORY``: fills ``DIRECTORY/inspect`` with one eval, as ``.eval`` and as ``.json``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from model_server import model_server  # type: ignore[import-not-found]

CAPITALS = {"France": "Paris", "Japan": "answer to: capital of Japan?", "Peru": "Lima"}


def write(root: Path, url: str) -> None:
    os.environ |= {"HOME": str(root), "OPENAI_API_KEY": "sk-not-a-key", "OPENAI_BASE_URL": url}
    import inspect_ai  # type: ignore[import-not-found]
    from inspect_ai.dataset import Sample  # type: ignore[import-not-found]
    from inspect_ai.scorer import (  # type: ignore[import-not-found]
        Score,  # type: ignore[import-not-found]
        match,
        mean,
        scorer,
    )
    from inspect_ai.solver import generate, solver, system_message  # type: ignore[import-not-found]

    @solver
    def refuse():
        async def solve(state, generate):
            if "Peru" in state.input_text:
                raise ValueError("Peru is not answered")
            return state

        return solve

    @scorer(metrics=[mean()])
    def unscored():
        async def score(state, target):
            return Score(value=float("nan"))

        return score

    samples = [
        Sample(id=f"s-{country}", input=f"capital of {country}?", target=capital, metadata={"country": country})
        for country, capital in CAPITALS.items()
    ]
    task = inspect_ai.Task(
        name="capitals",
        dataset=samples,
        solver=[system_message("Answer."), refuse(), generate()],
        scorer=[match("exact"), unscored()],
    )
    for form in ("eval", "json"):
        inspect_ai.eval(
            task,
            model="openai/gpt-4o-mini",
            model_args={"responses_api": False},
            log_dir=str(root / "inspect"),
            log_format=form,
            display="none",
            fail_on_error=False,
            epochs=2,
        )


if __name__ == "__main__":
    with model_server() as server:
        write(Path(sys.argv[1]).absolute(), server)
