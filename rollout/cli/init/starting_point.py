"""What a new project starts from: the embedded gateway, an examined one, or a target that is listed already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout.cli.init.answers import Answers
from rollout.config.config_files import display_path, is_there
from rollout.config.policies import SANDBOX, read_policies
from rollout.config.project import Project
from rollout.config.source import Source
from rollout.config.targets import read_targets
from rollout.config.yaml_source import read_yaml
from rollout.core.errors import InvalidInput, Problem
from rollout.core.request import EMBEDDED
from rollout.core.scenario import ProviderChange
from rollout.core.schemas import validators
from rollout.core.schemas.validators import suggest
from rollout.core.target import Target
from rollout.sandbox.providers import PROVIDERS

if TYPE_CHECKING:
    from rollout.cli.doctor.diagnosis import Diagnosis
    from rollout.gateway.responses import Providers

EMBEDDED_SETTINGS: Mapping[str, Any] = {
    "safe": {"activate": "vllm", "model": "gemma-3-4b-it"},
    "monitor": {
        "window": "20s",
        "metrics_every": "1s",
        "alerts_every": "2s",
        "log_every": "1s",
        "synthetic_every": "500ms",
        "way_back_every": "5s",
        "min_requests": 20,
        "min_samples": 15,
    },
}
"""The emergencies and the bake time of a target that is an embedded gateway: short enough to watch."""

_FIRST = ProviderChange("openai", "gpt-4o")
"""The change of the README, from the embedded gateway's own ollama."""

_NEEDED = ("staging", "safe")
"""What a target of an environment with users says: where its changes are tried (PRE-3), and where an emergency goes."""

_CONNECTED = "connected"
_MOST_NAMES = 12


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """What the files are made from.

    Attributes:
        environment: the environment of the target, which names its policy.
        settings: the target as ``targets.yaml`` has it; empty where it is listed there already.
        comments: the lines above it in ``targets.yaml``.
        token_env: the variable with the gateway's bearer token; None where it asks for none.
        lacks: the keys of the target that a production gateway needs and that it does not have.
        unknown: what the target has to say besides, and no read shows, in sentences.
        is_on_demand: whether the gateway is the embedded one that is started on demand.
        listed: every provider that the gateway lists, with its models; empty where it was not read.
        active: the provider that is active now; empty where it was not read.
        suggestion: the first change where no answer names one: another provider than the active one, with a model that
            is listed; None where no such pair can be read.
    """

    environment: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    comments: tuple[str, ...] = ()
    token_env: str | None = None
    lacks: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    is_on_demand: bool = False
    listed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    active: str = ""
    suggestion: ProviderChange | None = None

    def explain_unlisted(self, change: ProviderChange) -> str:
        """Return why the gateway cannot make this change; empty where it lists the change, or lists nothing."""
        if not self.listed:
            return ""
        known = {name.casefold(): models for name, models in self.listed.items()}
        models = known.get(change.provider.casefold())
        if models is None:
            return f"the gateway lists no provider {change.provider!r}; {_describe_known(change.provider, self.listed)}"
        if models and change.model not in models:
            known_models = _describe_known(change.model, models)
            return f"the gateway lists no model {change.model!r} for {change.provider!r}; {known_models}"
        return ""


def find_starting_point(answers: Answers, project: Project, env: Mapping[str, str], *, examines: bool) -> StartingPoint:
    """Return what the project starts from.

    Args:
        answers: the gateway and the target's name.
        project: where the files are; a targets' file that is there already decides about the target.
        env: environment variables: the token must be set in it.
        examines: whether a gateway is examined; one whose files are all there is not.

    Raises:
        InvalidInput: the gateway does not answer, or the targets' file has other targets or mistakes.
    """
    listed = _listed_target(answers, project)
    if answers.gateway is not None and examines:
        found = _examined(answers.gateway, answers, env)
    elif listed is not None and listed.url is not None:
        found = StartingPoint(listed.environment)
    else:
        found = _embedded(answers.target_name)
    if listed is None:
        lacks = tuple(key for key in _NEEDED if key not in found.settings)
        return replace(found, token_env=answers.token_env, lacks=lacks)
    return replace(
        found,
        environment=listed.environment,
        settings={},
        comments=(),
        unknown=(),
        token_env=listed.token_env,
        lacks=tuple(key for key in _NEEDED if getattr(listed, key) is None),
    )


def _describe_known(word: str, known: Iterable[str]) -> str:
    names = list(known)
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{suggest(word, names)}it lists {', '.join(names[:_MOST_NAMES])}{more}"


def _embedded(name: str) -> StartingPoint:
    kind = {"environment": SANDBOX} if name == EMBEDDED else {"embedded": True, "environment": SANDBOX}
    return StartingPoint(
        SANDBOX,
        {**kind, **EMBEDDED_SETTINGS},
        comments=(
            "# Starts on demand, on loopback, with its own state and traffic. It needs no url, and it brings its .env",
            "# file, its log and its staging gateway along. `rollout doctor --gateway=URL` writes a real target.",
        ),
        is_on_demand=True,
        listed={name: tuple(each.models) for name, each in PROVIDERS.items()},
        suggestion=_FIRST,
    )


def _examined(gateway: str, answers: Answers, env: Mapping[str, str]) -> StartingPoint:
    """Return what `rollout doctor` sees, which only reads. Raises InvalidInput where that is no gateway it knows."""
    # Loading the client takes longer than writing the files of a project without a gateway.
    from rollout.cli.doctor.diagnosis import diagnose  # noqa: PLC0415
    from rollout.cli.doctor.examination import DENIED, read_address  # noqa: PLC0415

    url, token = read_address(gateway, answers.token_env, env)
    seen = diagnose(url, answers.target_name, answers.token_env, token)
    found = seen.found
    if found is None:
        return _of_other_kind(seen)
    call = next(call for call in found.calls if call.name == "providers")
    if not found.answers:
        if seen.other_kind is not None and call.status not in DENIED:
            return _of_other_kind(seen)
        raise InvalidInput([Problem("--gateway", None, "", _describe_silence(f"{found.url}{call.path}", call.result))])
    return _of_default_kind(seen, call.document)


def _of_other_kind(seen: Diagnosis) -> StartingPoint:
    """Return what a driver recognises; which providers there are is not read."""
    return StartingPoint(
        str(seen.target["environment"]),
        seen.target,
        seen.comments,
        unknown=() if seen.other_kind is None else seen.other_kind.seen.unknown,
    )


def _of_default_kind(seen: Diagnosis, listed: Mapping[str, Any]) -> StartingPoint:
    from rollout.gateway import responses  # noqa: PLC0415 - as in `_examined`
    from rollout.gateway.documents import adapter_of  # noqa: PLC0415

    providers: Providers = adapter_of(responses.Providers).validate_python(listed)
    environment = str(seen.target["environment"])
    return StartingPoint(
        environment,
        {**seen.target, **(EMBEDDED_SETTINGS if environment == SANDBOX else {})},
        seen.comments,
        listed={each.name: each.models for each in providers.providers},
        active=providers.active_provider or "",
        suggestion=next(_possible_changes(providers, seen.target.get("reported_as", {})), None),
    )


def _describe_silence(call: str, why: str) -> str:
    return (
        f"GET {call} gives no answer to work with ({why}), and no other installed kind of gateway is recognised; check "
        "the address, the network and the token (--token-env=NAME), or leave out --gateway to start from the embedded "
        "gateway; `rollout doctor --kinds` lists the kinds"
    )


def _possible_changes(providers: Providers, reported_as: Mapping[str, str]) -> Iterator[ProviderChange]:
    """Yield the first model of each connected provider that can be activated and is not the active one."""
    active = (providers.active_provider or "").casefold()
    for each in providers.providers:
        names = {each.name.casefold(), reported_as.get(each.name, each.name).casefold()}
        is_possible = each.capabilities.get("activate") and each.connection.status == _CONNECTED
        if each.is_active or active in names or not is_possible:
            continue
        for model in each.models[:1]:
            # Names of the gateway's own; one that no scenario can hold is no suggestion.
            source = Source("")
            read = source.accept((), validators.provider, each.name), source.accept((), validators.text, model)
            if None not in read:
                yield ProviderChange(str(read[0]), str(read[1]))


def _listed_target(answers: Answers, project: Project) -> Target | None:
    """Return the target as a targets' file that is there already has it; None where there is no such file.

    Raises:
        InvalidInput: the file is wrong, or has the gateway under another name or not at all.
    """
    if not is_there(project.targets_file):
        return None
    policy, targets = _read(project.policy or project.scenarios / "policy.yaml"), _read(project.targets_file)
    listed = {name: one.target for name, one in read_targets(targets, read_policies(policy)).items()}
    problems = [*policy.in_order(), *targets.in_order()]
    if not problems:
        problems = list(_find_other_names(answers, listed, targets.name))
    if problems:
        raise InvalidInput(problems)
    return listed[answers.target_name]


def _read(path: Path) -> Source:
    name = display_path(path)
    return read_yaml(path, name) if is_there(path) else Source(name)


def _find_other_names(answers: Answers, listed: Mapping[str, Target], file: str) -> Iterator[Problem]:
    """Yield why the target of the answers is not the one that the file lists."""
    name, url = answers.target_name, answers.gateway
    owner = next((each.name for each in listed.values() if url and each.url == url), None)
    if owner is not None and owner != name:
        yield Problem("--gateway", None, "", f"{url} is target {owner!r} in {file} already; add --target={owner}")
    elif name not in listed:
        known = ", ".join(sorted(listed))
        mend = f"add it there (rollout doctor --gateway={url or 'URL'} --target={name} prints it), or name one of them"
        yield Problem("--target", None, "", f"{name!r} is not in {file}, which lists {known}; {mend}")
    elif url and listed[name].url != url:
        at = listed[name].url or "the embedded gateway"
        yield Problem(
            "--target", None, "", f"{name!r} is {at} in {file}, not {url}; write another name with --target=NAME"
        )
