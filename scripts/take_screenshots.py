"""Take the pictures of the viewer that the README and the documentation show, of a store with real answers in it.

With ``--all DIR``, every page is taken at two widths and in both themes, to be looked at before a change lands.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from starfish_storage import open_storage
from starfish_storage.generation import Context, Filtered, generate

ROOT = Path(__file__).parents[1]
ANSWERS = ROOT / "examples" / "gsm8k" / "model_solutions.jsonl"
MODELS = ("175b_finetuning", "175b_verification", "6b_finetuning", "6b_verification")
LARGEST = 150_000  # bytes of a picture
_SLOW = 0.02  # of the calls
_FAILS = 60  # one of so many
# A group of its own, `browser`: without it, types are checked all the same.
playwright: Any = import_module("playwright.async_api") if find_spec("playwright") else None
WIDTHS = {"wide": (1280, 800), "phone": (390, 844)}

_chance = random.Random(7)  # the same pictures each time
_solved: dict[str, dict[str, Any]] = {}


async def solve(model: str, question: str, context: Context) -> dict[str, Any] | Filtered:
    """Answer a question with what a model has once answered."""
    await asyncio.sleep(_chance.expovariate(20))
    if context.attempt == 1 and _chance.random() < _SLOW:
        raise TimeoutError("the model did not answer within 30 s")
    if zlib.crc32(f"{model} {question}".encode()) % _FAILS == 0:
        raise ValueError("the answer has no final line")
    solution = _solved[question][model]["solution"]
    tokens = len(solution) // 4
    context.log_usage(model=model, input_tokens=len(question) // 4, output_tokens=tokens, cost=tokens * 4e-5)
    data = {
        "model": model,
        "question": question,
        "steps": solution.count("\n"),
        "answer": solution.rsplit(":", 1)[-1].strip(),
        "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": solution}],
    }
    return data if _solved[question][model]["is_correct"] else Filtered(data, "the answer is wrong")


@asynccontextmanager
async def store() -> AsyncGenerator[str]:
    """Give a store with a run that has ended and one that goes on."""
    for line in ANSWERS.read_text("utf-8").splitlines():
        found = json.loads(line)
        _solved[found["question"]] = found
    inputs = [{"model": model, "question": question} for question in _solved for model in MODELS]
    directory = Path(tempfile.gettempdir()) / "gsm8k"  # a name to be seen
    directory.mkdir()
    try:
        uri = f"file://{directory}/store"
        async with open_storage(uri) as storage:
            config = {"prompt": "Solve the problem step by step.", "temperature": 0.7, "models": list(MODELS)}
            named: dict[str, Any] = {"project": "gsm8k", "config": config, "progress": "quiet", "handle_signals": False}
            for name, models in (("large models", MODELS[:2]), ("all models", MODELS)):
                await generate(
                    storage,
                    solve,
                    [one for one in inputs if one["model"] in models],
                    name=name,
                    master_job_id=name.replace(" ", "-"),
                    max_concurrency=30,
                    **named,
                )
            going_on = asyncio.create_task(
                generate(storage, solve, inputs, name="again", master_job_id="again", max_concurrency=4, **named)
            )
            await asyncio.sleep(12)  # for plots that show something
            try:
                yield uri
            finally:
                going_on.cancel()
                await asyncio.gather(going_on, return_exceptions=True)
    finally:
        shutil.rmtree(directory)


@asynccontextmanager
async def viewer(uri: str) -> AsyncGenerator[str]:
    """Give the address of a viewer."""
    command = [
        sys.executable,
        "-m",
        "starfish_storage",
        "view",
        "--no-open",
        "--review",
        "--author",
        "Ada",
        "--store",
        uri,
    ]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


async def addresses(page: Any) -> dict[str, str]:
    """Return the pages of the store, by name."""
    run = "all-models"
    await page.goto(f"/records?run={run}&status=completed")
    record = await page.locator("tbody a[href^='/record?']").first.get_attribute("href")
    await page.goto(f"/records?run={run}&status=failed")
    failed = await page.locator("tbody a[href^='/record?']").first.get_attribute("href")
    return {
        "runs": "/",
        "run": "/run?id=again",
        "run-ended": f"/run?id={run}",
        "records": f"/records?run={run}",
        "records-filtered": f"/records?run={run}&field=steps&compare=min&value=6",
        "records-none": f"/records?run={run}&field=steps&compare=is&value=77",
        "record": str(record),
        "record-failed": str(failed),
        "records-sample": f"/records?run={run}&sample=20&seed=1",
        "search": "/search?q=dozen",
        "search-none": "/search?q=zzzz",
        "compare": f"/compare?run={run}&run=large-models",
        "review": f"/review?run={run}",
        "keys": "/keys",
        "missing": "/run?id=missing",
    }


async def take(page: Any, address: str, path: Path, *, whole: bool = False) -> None:
    """Take a picture of a page."""
    await page.goto(address)
    await page.wait_for_timeout(400)  # what is drawn by scripts
    await page.screenshot(path=path, full_page=whole and "compare" not in path.name)


async def opened(browser: Any, address: str, width: tuple[int, int], theme: str) -> Any:
    """Return a page of a window."""
    size: Any = {"width": width[0], "height": width[1]}
    context = await browser.new_context(base_url=address, viewport=size, color_scheme=theme, reduced_motion="reduce")
    return await context.new_page()


async def take_all(browser: Any, address: str, directory: Path, only: str) -> None:
    """Take every page whose name matches, at both widths and in both themes."""
    page = await opened(browser, address, WIDTHS["wide"], "light")
    pages = {name: place for name, place in (await addresses(page)).items() if re.search(only, name)}
    for theme in ("light", "dark"):
        for width, size in WIDTHS.items():
            page = await opened(browser, address, size, theme)
            for name, place in pages.items():
                await take(page, place, directory / f"{name}-{width}-{theme}.png", whole=True)


async def take_some(browser: Any, address: str, directory: Path) -> None:
    """Take the four pictures of the documentation."""
    size = (1200, 700)
    light, dark = [await opened(browser, address, size, theme) for theme in ("light", "dark")]
    pages = await addresses(light)
    for name, page in {"runs": light, "run": dark, "records": light, "review": dark}.items():
        path = directory / f"viewer-{name}.png"
        await take(page, pages[name], path)
        if path.stat().st_size > LARGEST:
            raise SystemExit(f"{path} has {path.stat().st_size:,} bytes, and may have {LARGEST:,}")


async def main() -> None:
    """Make a store, show it, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="DIR", help="take every page, into this directory")
    parser.add_argument("--only", default="", metavar="REGEX", help="only pages whose names match")
    given = parser.parse_args()
    if playwright is None:
        parser.error("playwright is not installed: make .venv/browser")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    async with store() as uri, viewer(uri) as address, playwright.async_playwright() as driver:
        directory: Path = given.all or ROOT / "docs" / "images"
        directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 (nothing else goes on here)
        browser = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        if given.all:
            await take_all(browser, address, directory, given.only)
        else:
            await take_some(browser, address, directory)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
