"""Input validation: scenario, targets and policy are read, judged together, and refused all at once or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rollout.config import scenarios
from rollout.config.config_files import ConfigFiles, display_path, is_there, read_config_files, read_policy_file
from rollout.config.former_keys import describe_former_keys
from rollout.config.lacking import refuse_lacking_required
from rollout.config.policies import read_policies
from rollout.config.policy_rules import refuse_missing_sources
from rollout.config.project import DEFAULT_SCENARIO
from rollout.config.scenarios import CheckSandbox, CheckWindows, ScenarioRequest
from rollout.config.source import Place, Source
from rollout.config.target_selection import (
    TargetRequest,
    choose_target,
    is_listed,
    must_prove,
    refuse_or_rule_strictly,
)
from rollout.config.targets import ListedTarget
from rollout.config.yaml_source import read_yaml
from rollout.core.canonical_json import to_json
from rollout.core.errors import InvalidInput, Problem
from rollout.core.policy import Policy
from rollout.core.redaction import Redactor
from rollout.core.request import Origin, Request
from rollout.core.schemas.validators import text
from rollout.core.target import AlertmanagerSource, PrometheusSource, Target
from rollout.core.units import shown

Doubt = Callable[[Request], str]
"""Returns why the gateway of a request is not the embedded one; empty where it is."""


def load(
    *,
    scenario: Path | None,
    activate: str | None,
    ticket: str | None,
    target: str | None,
    gateway: str | None,
    directory: Path,
    env: Mapping[str, str],
    check_sandbox: CheckSandbox | None = None,
    check_windows: CheckWindows | None = None,
    targets: Path | None = None,
    policy: Path | None = None,
    sends: bool = True,
    doubt: Doubt,
) -> Request:
    """Return what this run is asked to do.

    Nothing is sent but the request of `doubt`: to a gateway that is ruled by another policy than production's
    only if it proves to be the embedded one, and not before everything else is known to be right.

    Args:
        scenario: the scenario's file.
        activate: ``PROVIDER:MODEL``, a scenario from the command line, in place of a file.
        ticket: ``--ticket``, which overrides the file's.
        target: ``--target``, which overrides the file's.
        gateway: ``--gateway``, a base URL; one that no target lists has the production policy, unless it is loopback
            and the embedded gateway answers there.
        directory: the folder with ``targets.yaml`` and ``policy.yaml``; those beside the scenario are preferred.
        env: environment variables: tokens must be set in it, and it names the author where the file does not.
        check_sandbox: judges the scenario's ``sandbox:``.
        check_windows: judges whether the windows can tell what they have to.
        targets: the file in the place of ``targets.yaml`` in `directory`.
        policy: ``--policy``, the file in the place of ``policy.yaml``: out of the author's reach.
        sends: whether the run sends anything later; one that only reads the request needs no tokens and certificates,
            and accepts a target that is listed as the embedded gateway's without a proof.
        doubt: returns why the gateway of the request is not the embedded one; empty where it is.

    Raises:
        InvalidInput: anything is wrong with any of them; it lists everything.
    """
    beside = directory if scenario is None else scenario.parent
    _refuse_missing_default(scenario, directory)
    files = read_config_files(policy, (beside, directory), targets)
    options = {name: Source(name) for name in ("--activate", "--ticket", "--target", "--gateway")}
    ticket_given = None if ticket is None else options["--ticket"].accept((), text, ticket)
    requested = _requested(scenario, activate, options["--activate"], ticket_given, env)
    inputs = _Inputs(requested, files, options, check_sandbox, check_windows)
    by_scenario = TargetRequest(requested.parsed.target, requested.source, ("target",))
    by_option = TargetRequest(target, options["--target"])
    chosen = choose_target(files, by_scenario, by_option, gateway, options["--gateway"])
    if chosen and sends:
        _refuse_missing_secrets(chosen, files.targets, env)
    given = {"activate": activate, "ticket": ticket, "target": target, "gateway": gateway, "policy": policy}
    origin = Origin(
        scenario,
        files.targets_path,
        files.policy_path,
        beside / "approvals",
        anonymous=requested.parsed.author is None,
        options=tuple(f"--{name}={value}" for name, value in given.items() if value is not None),
        # A target that is listed, reached at another URL than the list says.
        moved=chosen is not None and chosen.target.name in files.listed and not is_listed(chosen.target, files.listed),
        notice=describe_former_keys(files.targets),
    )
    request = inputs.request(chosen, origin)
    if chosen is None or not must_prove(chosen, files.listed) or (not sends and is_listed(chosen.target, files.listed)):
        return request
    why = doubt(request)
    return inputs.request_without_proof(chosen, origin, why) if why else request


def load_policy(environment: str, policy: Path | None, directory: Path) -> tuple[Policy, Origin]:
    """Return the policy of an environment, and where it was read; an unknown environment has the strict defaults.

    Args:
        environment: its name.
        policy: ``--policy``.
        directory: the folder with ``policy.yaml``.

    Raises:
        InvalidInput: the file is wrong.
    """
    path, source = read_policy_file(policy, (directory,))
    policies = read_policies(source)
    _raise_if_any(source)
    return policies.get(environment, Policy(environment)), Origin(policy=path)


def load_target(
    *,
    target: str | None,
    gateway: str | None,
    directory: Path,
    env: Mapping[str, str],
    doubt: Callable[[str], str],
    targets: Path | None = None,
    policy: Path | None = None,
) -> tuple[Target, Policy, Origin]:
    """Return a target, the policy that rules there, and where both were read.

    For a run without a scenario. Nothing is sent but the request of `doubt`, as in `load`.

    Args:
        target: ``--target``.
        gateway: ``--gateway``, a base URL.
        directory: the folder with ``targets.yaml`` and ``policy.yaml``.
        env: environment variables: tokens must be set in it.
        doubt: returns why the gateway at a URL is not the embedded one; empty where it is.
        targets: the file in the place of ``targets.yaml``.
        policy: ``--policy``.

    Raises:
        InvalidInput: anything is wrong with any of them; it lists everything.
    """
    files = read_config_files(policy, (directory,), targets)
    options = {name: Source(name) for name in ("--target", "--gateway")}
    chosen = _choose_without_scenario(files, target, gateway, options, env)
    ruled = ""
    if must_prove(chosen, files.listed) and (why := doubt(str(chosen.target.url))):
        chosen, ruled = refuse_or_rule_strictly(chosen, files.listed, why, files.targets)
        _raise_if_any(files.targets)
    notice = describe_former_keys(files.targets)
    origin = Origin(targets=files.targets_path, policy=files.policy_path, ruled=ruled, notice=notice)
    return chosen.target, files.policies[chosen.target.environment], origin


def _choose_without_scenario(
    files: ConfigFiles, target: str | None, gateway: str | None, options: Mapping[str, Source], env: Mapping[str, str]
) -> ListedTarget:
    if target is None and gateway is None:
        options["--target"].refuse((), "is missing; name the target, or give --gateway=URL")
    by_option, by_scenario = (TargetRequest(name, options["--target"]) for name in (target, None))
    chosen = choose_target(files, by_scenario, by_option, gateway, options["--gateway"])
    if chosen:
        _refuse_missing_secrets(chosen, files.targets, env)
    _raise_if_any(*options.values(), files.targets, files.policy)
    if chosen is None:  # pragma: no cover - a missing target was refused, and that was raised
        raise AssertionError("a target is missing and was not refused")
    return chosen


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Everything that was read, to be judged together.

    Attributes:
        requested: the scenario, before its target is known.
        files: the targets' and the policy's file.
        options: the options that are sources, by name.
        check_sandbox: judges the scenario's ``sandbox:``.
        check_windows: judges whether the windows can tell what they have to.
    """

    requested: ScenarioRequest
    files: ConfigFiles
    options: Mapping[str, Source]
    check_sandbox: CheckSandbox | None
    check_windows: CheckWindows | None

    def request(self, chosen: ListedTarget | None, origin: Origin) -> Request:
        """Return the request for the chosen target. Raises InvalidInput with every mistake."""
        rule = self.files.policies.get(chosen.target.environment) if chosen else None
        # What fits is judged with what the driver says; of a target whose settings are refused, it says nothing.
        if chosen and rule and chosen.has_valid_settings:
            scenarios.refuse_misfits(self.requested, chosen, rule, self.check_sandbox)
            refuse_missing_sources(chosen.target, chosen.place, rule, self.files.targets)
            waived = [waiver.clause for waiver in self.requested.parsed.waivers or ()]
            refuse_lacking_required(waived, rule, chosen.target, chosen.place, self.files.targets)
        self._raise_if_any(origin)
        if chosen is None or rule is None:  # pragma: no cover - what is missing was refused, and that was raised
            raise AssertionError("a target or policy is missing and was not refused")
        scenario = scenarios.build_scenario(self.requested, chosen, rule)
        request = Request(scenario, chosen.target, rule, origin)
        _refuse_greedy_patterns(request, self.files.policy)
        if self.check_windows:
            problems = self.check_windows(scenario, chosen.target, rule)
            scenarios.refuse_unjudgeable(self.requested, chosen, problems)
        self._raise_if_any(origin)
        return request

    def request_without_proof(self, chosen: ListedTarget, origin: Origin, why: str) -> Request:
        """Return the request as it is ruled where no embedded gateway answers, and `why` that is. Raises likewise."""
        chosen, ruled = refuse_or_rule_strictly(chosen, self.files.listed, why, self.files.targets)
        return self.request(chosen, replace(origin, ruled=ruled))

    def _raise_if_any(self, origin: Origin) -> None:
        sources = (self.requested.source, self.files.targets, self.files.policy)
        if origin.ruled and any(source.problems for source in sources):
            # Explains why the rest is judged by a policy that no file names.
            self.options["--gateway"].refuse((), origin.ruled)
        _raise_if_any(*self.options.values(), *sources)


def _requested(
    scenario: Path | None, activate: str | None, option: Source, ticket: str | None, env: Mapping[str, str]
) -> ScenarioRequest:
    if scenario is None:
        return scenarios.read_option(activate or "", option, ticket, env)
    if activate is not None:
        option.refuse((), "makes a scenario of its own; leave out --activate or --scenario")
    return scenarios.read_file(scenario, read_yaml(scenario, display_path(scenario)), ticket, env)


def _refuse_missing_default(scenario: Path | None, directory: Path) -> None:
    """Refuse a run that names no scenario where the one that is meant then is not there."""
    default = directory / DEFAULT_SCENARIO
    if scenario == default and not is_there(default):
        raise InvalidInput(
            [
                Problem(
                    display_path(default),
                    None,
                    "",
                    "no such file, and it is what is done where nothing else is asked for; give --scenario=FILE or "
                    f"--activate=PROVIDER:MODEL, or start in the folder that holds {directory.name}/",
                )
            ]
        )


def _refuse_missing_secrets(chosen: ListedTarget, source: Source, env: Mapping[str, str]) -> None:
    """Refuse a token that is not there or cannot be sent, and a certificate that cannot be read."""
    target = chosen.target
    connections: dict[Place, Target | PrometheusSource | AlertmanagerSource | None] = {
        (): target,
        ("sources", "prometheus"): target.sources.prometheus,
        ("sources", "alertmanager"): target.sources.alertmanager,
    }
    tokens: dict[Place, str | None] = {
        ("token_env",): target.token_env,
        ("staging_token_env",): target.staging_token_env,
    }
    tokens |= {(*place, "token_env"): beside.token_env for place, beside in connections.items() if beside}
    for place, variable in tokens.items():
        if variable and (reason := explain_unusable_token(env.get(variable, ""))):
            source.refuse((*chosen.place, *place), f"the environment variable {variable} {reason}")
    for place, beside in connections.items():
        for name, file in asdict(beside.tls).items() if beside else ():
            if file and not file.is_file():
                source.refuse((*chosen.place, *place, "tls", name), f"there is no file {file}; check the path")


def _refuse_greedy_patterns(request: Request, source: Source) -> None:
    """Refuse a pattern that hides a part of the request: later phases and rollbacks know it from the journal alone."""
    content = to_json(request)
    for number, found in enumerate(request.policy.redact):
        if Redactor(patterns=[found]).value(content) != Redactor().value(content):
            place = (request.policy.name, "redact", number)
            source.refuse(place, f"{shown(found)} finds a part of this scenario, target or policy; describe less")


def explain_unusable_token(token: str) -> str | None:
    """Return why a bearer token is missing or cannot be sent; None where it can."""
    if not token:
        return "is not set; export it with the gateway's token before the run"
    if not (token.isascii() and token.isprintable()) or " " in token:
        return "holds a space, a line break or a character that no HTTP header can carry; set it to the token alone"
    return None


def _raise_if_any(*sources: Source) -> None:
    if found := [problem for source in sources for problem in source.in_order()]:
        # Once each: the source of a scenario from the command line is an option's.
        raise InvalidInput(dict.fromkeys(found))
