"""The commands of the people who run `tests.support.file_service`: what the kind ``command`` is tried with.

python tests/support/service_commands.py FOLDER snapshot
python tests/support/service_commands.py FOLDER activate openai gpt-4o    # also: health, test openai, ask PROMPT
"""

from __future__ import annotations

import http.client
import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2]))

from tests.support.file_service import Folder  # noqa: E402 - found by the line before

MODELS = {"ollama": ["gemma3", "llama3"], "openai": ["gpt-4o"], "vllm": ["qwen3"]}
_COUNTER = re.compile(r'llm_requests_total\{provider="(\w+)",status="(\w+)"\} (\d+)')


class Commands:
    """The commands on one service."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def snapshot(self) -> None:
        """Print the state."""
        active = self._json("GET", "/status")["active"]
        counted: dict[str, dict[str, int]] = {name: {"requests": 0, "failures": 0} for name in MODELS}
        for provider, status, count in _COUNTER.findall(self._read("GET", "/metrics")):
            counted[provider]["requests"] += int(count)
            counted[provider]["failures"] += int(count) if status == "error" else 0
        listed = [{"name": name, "models": models, "status": self._status(name)} for name, models in MODELS.items()]
        config = {"file": self.folder.plan.file, "API_KEY": "hunter2-planted-9f3c2b7a"}
        sys.stdout.write(
            json.dumps({"active": active, "providers": listed, "config": config, "counters": counted, "alerts": []})
        )

    def activate(self, provider: str, model: str) -> None:
        """Edit the file, and have it read."""
        if model not in MODELS.get(provider, []):
            sys.exit(f"there is no {provider} with {model}")
        path, now = Path(self.folder.plan.file), self._json("GET", "/status")["active"]
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(now["provider"], provider).replace(now["model"], model), encoding="utf-8")
        self.folder.reload()

    def health(self) -> None:
        """Exit with 0 where it is up."""
        self._json("GET", "/healthz")

    def test(self, provider: str) -> None:
        """Exit with 0 where the provider can be reached."""
        self._json("GET", f"/reach/{provider}")

    def ask(self, prompt: str) -> None:
        """Print a completion."""
        found = self._json("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}]})
        named = {name: found[name] for name in ("provider", "model")}
        sys.stdout.write(json.dumps({"content": found["choices"][0]["message"]["content"], "total_tokens": 3, **named}))

    def _status(self, provider: str) -> str:
        return "connected" if self._call("GET", f"/reach/{provider}")[0] == 200 else "offline"

    def _json(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._read(method, path, body))
        return found

    def _read(self, method: str, path: str, body: Any = None) -> str:
        status, text = self._call(method, path, body)
        if status != 200:
            sys.exit(f"{method} {path}: {status} {text}")
        return text

    def _call(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.folder.plan.port)
        connection.request(method, path, json.dumps(body))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def command(folder: Folder, name: str, *args: str) -> list[str]:
    """Return one of the commands."""
    return [sys.executable, str(HERE), str(folder.path), name, *args]


def settings(folder: Folder) -> dict[str, Any]:
    """Return the settings of a target that has these commands."""
    return {
        "snapshot": command(folder, "snapshot"),
        "offers": ["status", "counters", "alerts"],
        "activate": command(folder, "activate", "{provider}", "{model}"),
        "health": command(folder, "health"),
        "test": command(folder, "test", "{provider}"),
        "ask": command(folder, "ask", "{prompt}"),
    }


if __name__ == "__main__":
    getattr(Commands(Folder(Path(sys.argv[1]))), sys.argv[2])(*sys.argv[3:])
