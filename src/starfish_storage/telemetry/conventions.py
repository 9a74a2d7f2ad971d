"""Names of OpenTelemetry's semantic conventions, for what this library knows of a call, and names of its own."""

from __future__ import annotations

from functools import lru_cache

from starfish_storage.redaction import redact_text

PROVIDER, OPERATION, MODEL = "gen_ai.provider.name", "gen_ai.operation.name", "gen_ai.request.model"
TOKEN_TYPE, ERROR, SERVER = "gen_ai.token.type", "error.type", "server.address"
INPUT_TOKENS, OUTPUT_TOKENS = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
RUN, JOB = "starfish_storage.run.id", "starfish_storage.job.id"
WORKER, ATTEMPT, STATUS = "starfish_storage.worker.id", "starfish_storage.attempt.number", "starfish_storage.status"
COST, REASON = "starfish_storage.cost", "starfish_storage.wait.reason"

OTHER = "_OTHER"
"""What the conventions call a value that is not known."""

_LONGEST = 100
_PROVIDERS = {
    "anthropic.com": "anthropic",
    "amazonaws.com": "aws.bedrock",
    "openai.azure.com": "azure.ai.openai",
    "cohere.ai": "cohere",
    "cohere.com": "cohere",
    "deepseek.com": "deepseek",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "groq.com": "groq",
    "mistral.ai": "mistral_ai",
    "openai.com": "openai",
    "perplexity.ai": "perplexity",
    "x.ai": "x_ai",
}
_OPERATIONS = {
    "/chat/completions": "chat",
    "/completions": "text_completion",
    "/embeddings": "embeddings",
    "/messages": "chat",
    "/responses": "chat",
    ":generateContent": "generate_content",
    ":streamGenerateContent": "generate_content",
}


@lru_cache(maxsize=256)
def call_attributes(name: str, model: str | None) -> dict[str, str]:
    """Return what is told of a request.

    >>> call_attributes("POST api.openai.com/v1/chat/completions", "gpt-5")[PROVIDER]
    'openai'
    >>> call_attributes("POST localhost:8000/v1/embeddings", None)
    {'gen_ai.operation.name': 'embeddings', 'gen_ai.provider.name': '_OTHER', 'server.address': 'localhost'}
    """
    where = name.rpartition(" ")[2]
    host, slash, path = where.partition("/")
    host = host.rpartition("@")[2].partition(":")[0]
    operation = next((one for end, one in _OPERATIONS.items() if f"{slash}{path}".endswith(end)), OTHER)
    provider = next((one for end, one in _PROVIDERS.items() if f".{host}".endswith(f".{end}")), OTHER)
    return {OPERATION: operation, PROVIDER: provider, **model_attribute(model), SERVER: host[:_LONGEST]}


@lru_cache(maxsize=256)
def model_attribute(model: str | None) -> dict[str, str]:
    """Return what is told of a model, if anything: its name, which somebody may have mistaken for a place for a key."""
    return {} if not model else {MODEL: redact_text(model)[:_LONGEST]}
