"""The service's `.env` file: read completely, changed value by value; everything else stays."""

from __future__ import annotations

import io
import re

from dotenv import dotenv_values

TEMPLATE = """\
# Configuration of the gateway. Written by hand; an activation changes two values in place and nothing else.

# --- Which provider answers, and with which model ---
ACTIVE_PROVIDER={provider}
LLM_MODEL_NAME={model}

# --- Local runtimes ---
LLM_LOCAL_ENDPOINT=http://localhost:11434/v1
VLLM_ENDPOINT=http://127.0.0.1:18001
VLLM_GPU_MEMORY_UTILIZATION=0.85

# --- Credentials of cloud providers: made up, nothing is ever called with them ---
OPENAI_API_KEY=sk-demo-made-up-for-the-sandbox-cdef
GOOGLE_API_KEY=AIza-demo-made-up-for-sandbox-cdef
HF_TOKEN=

# --- What an activation has no business with ---
AI_MODE=LOCAL
MAX_CONTEXT_TOKENS=4000
SIMPLE_MODE_SYSTEM_PROMPT="Answer briefly."
UI_THEME_DEFAULT=dark   # operators asked for it
REDIS_PASSWORD='made-up-too'
"""

DEFAULTS = {
    "ACTIVE_PROVIDER": "",
    "LLM_MODEL_NAME": "",
    "LLM_SERVICE_TYPE": "local",
    "EMBEDDING_MODEL": "",
    "ENABLE_MODEL_ROUTING": "true",
    "HEALTH_CHECK_INTERVAL_MINUTES": "5",
    "OPENAI_API_KEY": "",
    "GOOGLE_API_KEY": "",
    "SUMMARY_STRATEGY": "llm_with_fallback",
}
"""The values of keys that the file does not set."""

_SECRET = re.compile(r"_(KEY|TOKEN|PASSWORD|SECRET)$")
_EDGE = 4


def parse(text: str) -> dict[str, str]:
    """Return the keys and values of a `.env` file; a key without a value is empty."""
    return {key: value or "" for key, value in dotenv_values(stream=io.StringIO(text), interpolate=False).items()}


def with_value(text: str, key: str, value: str) -> str:
    """Return the text with the key's value exchanged in place; a missing key is added at the end.

    Quotes, comments, order and line ends stay, so that setting the old value again restores the text byte for byte.
    """
    before = rf"([ \t]*(?:export[ \t]+)?{re.escape(key)}[ \t]*=[ \t]*)"
    after = r"(\2[ \t]*(?:#[^\r\n]*)?\r?)"
    line = re.compile(rf"^{before}(['\"]?)([^'\"#\r\n]*?){after}$", re.MULTILINE)
    changed, count = line.subn(lambda found: f"{found[1]}{found[2]}{value}{found[4]}", text)
    if count:
        return changed
    return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{key}={value}\n"


def masked(key: str, value: str) -> str:
    """Return the value to show: of a secret the first and last four characters (deviation 12)."""
    if not _SECRET.search(key):
        return value
    if len(value) <= 2 * _EDGE:
        return "*" * len(value)
    return f"{value[:_EDGE]}{'*' * (len(value) - 2 * _EDGE)}{value[-_EDGE:]}"
