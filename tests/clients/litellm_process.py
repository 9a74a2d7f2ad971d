"""Runs that call a model by LiteLLM, in a process of their own: it takes seconds to import, and asks for much else.

Usage: ``python -m clients.litellm_process STORE FILE KIND...``. The run ``async`` calls the function of the file, the
run ``blocking`` one that is not asynchronous and keeps the answer as a step; with a question for each kind of fault.
Prints how each ended, as JSON. The environment says where the model is.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from clients import page
from generation.runs import AT_ONCE, open_store
from starfish_storage import generate
from starfish_storage.generation import Context


async def main(store: str, file: str, *kinds: str) -> None:
    module: Any = page.load(file)
    litellm = module.litellm
    litellm.suppress_debug_info = True

    def answer(question: str, context: Context) -> Any:
        def ask() -> Any:
            messages = [{"role": "user", "content": question}]
            reply = litellm.completion(model="openai/gpt-4o-mini", messages=messages, max_retries=0)
            context.log_usage(reply.usage, cost=litellm.completion_cost(reply))
            return reply

        return context.once_blocking("ask", ask)

    async with open_store(store) as storage:
        for name, function in (("async", module.answer), ("blocking", answer)):
            run = await generate(
                storage,
                function,
                [{"question": f"{name} {kind}?"} for kind in kinds],
                project="p",
                master_job_id=name,
                retry=AT_ONCE,
                progress="quiet",
            )
            os.write(1, f"{json.dumps(run.to_json())}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
