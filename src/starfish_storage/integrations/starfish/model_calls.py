"""The calls of models that the framework makes through LiteLLM: their clients record, so that runs have costs."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from starfish_storage.errors import install_command
from starfish_storage.http.clients import record
from starfish_storage.integrations.starfish.patches import Patches, defined
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_MAKERS = (
    ("litellm.llms.custom_httpx.http_handler", "AsyncHTTPHandler", "create_client"),
    ("litellm.llms.openai.common_utils", "BaseOpenAILLM", "_get_async_http_client"),
)
"""What makes the asynchronous clients of LiteLLM, for most providers and for OpenAI. Others block the event loop."""


def record_calls(patches: Patches) -> None:
    """Let the clients record that LiteLLM makes from now on; nothing, where what knows the prices is not installed."""
    if importlib.util.find_spec("genai_prices") is None or importlib.util.find_spec("litellm") is None:
        logger.info("calls of models are not recorded: %s", install_command("starfish"))
        return
    for module, owner_name, name in _MAKERS:
        owner = getattr(importlib.import_module(module), owner_name, None)
        original = getattr(owner, name, None)
        if original is None:
            logger.warning("calls of models are not recorded: this version of LiteLLM has no %s.%s", owner_name, name)
            continue
        made = _recording(original)
        patches.set(owner, name, staticmethod(made) if isinstance(defined(owner, name), staticmethod) else made)


def _recording(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def made(*arguments: Any, **keywords: Any) -> Any:
        client = original(*arguments, **keywords)
        return client if client is None else record(client)

    return made
