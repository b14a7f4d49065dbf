"""A LiteLLM proxy on loopback, in front of two upstreams of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import yaml

from rollout.core.scenario import ProviderChange
from rollout.core.target import Service, Target, Timeouts
from tests.litellm import control
from tests.litellm.environment import litellm_python
from tests.litellm.upstream import Upstream, free_port
from tests.support.runs import eventually

MASTER_KEY = "sk-loopback-master-key-of-the-tests"
TOKEN_ENV = "LITELLM_MASTER_KEY"
GROUP, SHARED = "chat", "shared"
"""What users ask for: an alias; and a model_name whose two deployments share the requests by weights."""

FIRST, SECOND = ProviderChange("prod-a", "openai/gpt-4o"), ProviderChange("prod-b", "openai/gpt-4o-mini")
FIRST_SHARE, SECOND_SHARE = ProviderChange("shared-a", FIRST.model), ProviderChange("shared-b", SECOND.model)
STARTS_WITHIN_S = 150
"""LiteLLM starts in 6 s on a quiet machine, and in a minute on one that is busy with other tests."""

_CONTROL = Path(control.__file__)
_COMMENT = "# The operators' own comment, which no edit may lose.\n"


class Proxy:
    """A proxy, its file, and the two providers behind it.

    Attributes:
        folder: where its files are.
        config: its configuration.
        url: its base URL.
        upstreams: ``model_name`` -> the provider behind it.
    """

    def __init__(self, folder: Path, *options: str, has_key: bool = True) -> None:
        python = litellm_python()
        self.folder, self.config, self._has_key = folder, folder / "config.yaml", has_key
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.upstreams = {each.provider: Upstream(each.provider) for each in (FIRST, SECOND)}
        self.configure()
        serve = "from litellm import run_server; run_server()"
        options = ("--config", str(self.config), "--host", "127.0.0.1", "--port", str(self.port), *options)
        env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        env |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
        # Without a key LiteLLM does not start, unless it is told that nobody else can reach it.
        env |= {TOKEN_ENV: MASTER_KEY} if has_key else {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
        env |= {"UPSTREAM_KEY": "sk-upstream-key-of-the-tests"}
        command = [str(python), "-c", serve, *options]
        (folder / "proxy.json").write_text(json.dumps({"command": command, "env": env}), encoding="utf-8")

    def configure(self, alias: str = FIRST.provider, **router: Any) -> None:
        """Write the configuration anew, the weights as they are; the running proxy does not read it."""
        deployments = [
            {
                "model_name": each.provider,
                "litellm_params": {
                    "model": each.model,
                    "api_base": self.upstreams[each.provider].url,
                    "api_key": "os.environ/UPSTREAM_KEY",
                },
                "model_info": {"id": f"{each.provider}-1"},
            }
            for each in (FIRST, SECOND)
        ]
        active = self.weighted
        for each, shared in zip(deployments[:2], (FIRST_SHARE, SECOND_SHARE), strict=True):
            is_active = shared.provider == active
            about = {"id": shared.provider, "active": is_active}
            params = {**each["litellm_params"], "weight": int(is_active)}
            deployments.append({"model_name": SHARED, "litellm_params": params, "model_info": about})
        document = {
            "model_list": deployments,
            "router_settings": {"model_group_alias": {GROUP: alias}, "num_retries": 0, **router},
            "litellm_settings": {"callbacks": ["prometheus"]},
            "general_settings": {"master_key": f"os.environ/{TOKEN_ENV}"} if self._has_key else {},
        }
        self.config.write_text(_COMMENT + yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def lead_elsewhere(self, name: str, model: str) -> None:
        """Edit the file as an operator does: a further deployment, and the alias leads there."""
        document = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        [first, *_] = document["model_list"]
        params = {**first["litellm_params"], "model": model}
        document["model_list"].append({"model_name": name, "litellm_params": params, "model_info": {"id": f"{name}-1"}})
        document["router_settings"]["model_group_alias"][GROUP] = name
        self.config.write_text(_COMMENT + yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    @property
    def alias(self) -> str:
        """Where the alias leads in the file."""
        router = yaml.safe_load(self.config.read_text(encoding="utf-8"))["router_settings"]
        return str(router["model_group_alias"][GROUP])

    @property
    def weights(self) -> dict[str, float]:
        """The weights in the file, by deployment; those of deployments that share no requests are left out."""
        listed = yaml.safe_load(self.config.read_text(encoding="utf-8"))["model_list"]
        own = [each for each in listed if each["model_name"] == SHARED]
        return {each["model_info"]["id"]: each["litellm_params"]["weight"] for each in own}

    @property
    def weighted(self) -> str:
        """The deployment that has the most weight in the file."""
        return max(self.weights, key=lambda name: self.weights[name]) if self.config.exists() else FIRST_SHARE.provider

    def upstream_of(self, provider: str) -> Upstream:
        """Return what is behind a provider, by either of its names."""
        return self.upstreams[{FIRST_SHARE.provider: FIRST, SECOND_SHARE.provider: SECOND}[provider].provider]

    def command(self, action: str) -> tuple[str, ...]:
        """Return the command that starts or stops the proxy."""
        return (sys.executable, str(_CONTROL), action, str(self.folder))

    def start(self) -> None:
        """Start the proxy, and wait until it answers."""
        subprocess.run(self.command("start"), check=True)
        eventually(self._has_started, f"the proxy is alive ({self.folder / 'proxy.log'})", STARTS_WITHIN_S)

    def stop(self) -> None:
        """End the proxy."""
        subprocess.run(self.command("stop"), check=True)

    def close(self) -> None:
        """End the proxy and the upstreams."""
        self.stop()
        for each in self.upstreams.values():
            each.off()

    def _has_started(self) -> bool:
        """Return whether it answers the call for its life; a proxy that has ended is a failure."""
        log = self.folder / "proxy.log"
        assert control.running(self.folder) is not None, log.read_text(encoding="utf-8")[-2000:]
        try:
            return httpx.get(f"{self.url}/health/liveliness", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def answered_by(self) -> str:
        """Ask the group for a completion, and return the ``model_name`` whose upstream has seen it."""
        before = {name: each.requests for name, each in self.upstreams.items()}
        self.ask().raise_for_status()
        [seen] = [name for name, each in self.upstreams.items() if each.requests > before[name]]
        return seen

    def ask(self, model: str = GROUP) -> httpx.Response:
        """Ask for a completion, as a user does."""
        body = {"model": model, "messages": [{"role": "user", "content": "ping"}]}
        headers = {"Authorization": f"Bearer {MASTER_KEY}"}
        return httpx.post(f"{self.url}/v1/chat/completions", json=body, headers=headers, timeout=60)

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return the settings of a target of it."""
        providers = {each.provider: each.model for each in (FIRST, SECOND)}
        return {"config": str(self.config), "group": GROUP, "providers": providers, **more}

    def shared_settings(self, **more: Any) -> dict[str, Any]:
        """Return the settings of a target whose requests are split by weights."""
        providers = {each.provider: each.model for each in (FIRST_SHARE, SECOND_SHARE)}
        return {"config": str(self.config), "model_name": SHARED, "providers": providers, **more}

    def target(self, **more: Any) -> Target:
        """Return a target of it, with further settings."""
        return Target(
            "proxy",
            "lab",
            url=self.url,
            kind="litellm",
            settings=self.settings(**more),
            token_env=TOKEN_ENV,
            timeouts=Timeouts(10.0, 30.0, 30.0),
            service=Service(self.command("stop"), self.command("start")),
        )
