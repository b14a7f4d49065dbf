"""Which target a run goes to: the scenario's, unless ``--target`` or, before both, ``--gateway`` names another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rollout.config import urls
from rollout.config.config_files import ConfigFiles
from rollout.config.monitoring import Layer
from rollout.config.policies import PRODUCTION, SANDBOX
from rollout.config.source import Place, Source
from rollout.config.targets import ListedTarget
from rollout.core.request import ABOUT, EMBEDDED
from rollout.core.schemas.validators import suggest
from rollout.core.target import Target
from rollout.core.units import shown

_NO_FILE = (
    "there is no targets.yaml beside the scenario or in scenarios/, and without one only 'embedded' is known; start in "
    "the folder that holds scenarios/, or give --scenario=FILE with a targets.yaml beside it"
)


@dataclass(frozen=True, slots=True)
class TargetRequest:
    """A target that the scenario or an option names.

    Attributes:
        name: its name; None where none is given.
        source: the scenario or ``--target``.
        place: its place in the scenario.
    """

    name: str | None
    source: Source
    place: Place = ()


def choose_target(
    files: ConfigFiles, scenario: TargetRequest, option: TargetRequest, gateway: str | None, at: Source
) -> ListedTarget | None:
    """Return the target; None where it was refused.

    Args:
        files: the known targets.
        scenario: the scenario's.
        option: ``--target``.
        gateway: what ``--gateway`` says.
        at: the source that ``--gateway`` is.
    """
    named = _named(files, scenario if option.name is None else option)
    if gateway is None:
        return named
    url = at.accept((), urls.base_url, gateway)
    if named is None or url is None:
        return None
    owner = next((one for one in files.listed.values() if one.target.url == url), None)
    if owner is not None:
        return _owner(owner, option, at)
    if option.name == EMBEDDED:
        at.refuse((), f"{EMBEDDED!r} is started on demand and has a URL of its own; leave out --target or --gateway")
        return None
    # A scenario that is meant for a real target keeps that target's policy behind any URL: a tunnel is loopback too.
    if option.name is not None or named.target.environment != SANDBOX:
        environment = named.target.environment if urls.is_loopback(url) else PRODUCTION
        return replace(named, target=replace(named.target, url=url, environment=environment))
    environment = SANDBOX if urls.is_loopback(url) else PRODUCTION
    return replace(
        files.listed[EMBEDDED], target=Target(name=urls.host_and_port(url), environment=environment, url=url)
    )


def must_prove(chosen: ListedTarget, listed: Mapping[str, ListedTarget]) -> bool:
    """Return whether the chosen target has the sandbox policy, or a policy that depends on its URL.

    A URL that no target lists keeps a looser policy than production's only where an embedded gateway answers; one that
    is started on demand is the embedded one.
    """
    target = chosen.target
    if target.url is None or target.environment == PRODUCTION:
        return False
    return target.environment == SANDBOX or not is_listed(target, listed)


def refuse_or_rule_strictly(
    chosen: ListedTarget, listed: Mapping[str, ListedTarget], why: str, files: Source
) -> tuple[ListedTarget, str]:
    """Return the chosen target under the policy without an embedded gateway, and how it comes under that policy.

    A target that is listed as embedded is refused.

    Args:
        chosen: the target that `must_prove`.
        listed: the known targets.
        why: why its gateway is not the embedded one.
        files: the targets' file.
    """
    target = chosen.target
    failure = f"{target.url} does not answer as the embedded gateway (GET {ABOUT}: {why})"
    if is_listed(target, listed):
        files.refuse(
            (*chosen.place, "environment"),
            f"is {SANDBOX}, which is the embedded gateway's alone, and {failure}; write "
            f"another environment, such as {PRODUCTION}, or start the embedded gateway there (rollout sandbox)",
        )
        return chosen, ""
    layer = chosen.layer if target.name in listed else Layer(files, (), None)
    ruled = replace(chosen, target=replace(target, environment=PRODUCTION), layer=layer)
    return ruled, f"{failure}, so {PRODUCTION}'s policy holds"


def is_listed(target: Target, listed: Mapping[str, ListedTarget]) -> bool:
    """Return whether the list has this target at this URL."""
    return target.name in listed and listed[target.name].target.url == target.url


def _named(files: ConfigFiles, request: TargetRequest) -> ListedTarget | None:
    name = EMBEDDED if request.name is None else request.name
    if name not in files.listed:
        known = f"{suggest(name, files.listed)}targets.yaml knows {', '.join(sorted(files.listed))}"
        request.source.refuse(request.place, f"{shown(name)} is no target; {known if files.targets_path else _NO_FILE}")
    return files.listed.get(name)


def _owner(owner: ListedTarget, option: TargetRequest, at: Source) -> ListedTarget | None:
    if option.name in {None, owner.target.name}:
        return owner
    at.refuse((), f"is the url of target {owner.target.name!r}, not of {option.name!r}; leave out one of the options")
    return None
