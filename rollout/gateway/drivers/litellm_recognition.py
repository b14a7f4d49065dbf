"""What shows that a LiteLLM proxy answers, and what its target has to say (`rollout doctor`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from rollout.core.recognition import Get, Recognition
from rollout.gateway.drivers.litellm_in_effect import Deployments, InEffect
from rollout.gateway.drivers.litellm_reads import DEPLOYMENTS, LIFE

_ALIVE = b"I'm alive!"
_OK = 200
_FILE = "`config` is the proxy's configuration file on this host: look at the command that starts the proxy"
_SERVICE = "`service: {stop: […], start: […]}` is how the proxy is restarted, which every activation takes"
_GROUP = "`group` is the name that users ask for, an alias below `router_settings: {model_group_alias: …}` of that file"


def recognise_proxy(get: Get) -> Recognition | None:
    """Return what is recognised; None where the call of life answers otherwise.

    ``GET /health`` costs, and is not sent.
    """
    life = get(LIFE)
    if life is None or life.status != _OK or _ALIVE not in life.body:
        return None
    settings, unread = _read_deployments(get)
    unknown = (_FILE, *(() if "group" in settings else (_GROUP,)), *unread, _SERVICE)
    return Recognition(f"GET {LIFE} answers as LiteLLM does", is_certain=True, settings=settings, unknown=unknown)


def _read_deployments(get: Get) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return the settings that the list of deployments shows, and why it shows none."""
    listed = get(DEPLOYMENTS)
    if listed is None or listed.status != _OK:
        answered = "nothing" if listed is None else listed.status
        return {}, (f"`providers` is not known ({DEPLOYMENTS}: {answered}): name its key's variable, --token-env=NAME",)
    try:
        rows = tuple(Deployments.model_validate_json(listed.body).data)
    except ValidationError:
        return {}, (f"`providers` is not known, because GET {DEPLOYMENTS} is not answered as LiteLLM does",)
    every = InEffect("", rows)
    # An alias has the deployments of another name, and is listed after it.
    aliases = [name for at, name in enumerate(every.names()) if every.ids(name) in map(every.ids, every.names()[:at])]
    providers = {name: ",".join(every.models(name)) for name in every.names() if name not in aliases}
    return {**({"group": aliases[0]} if len(aliases) == 1 else {}), "providers": providers}, ()
