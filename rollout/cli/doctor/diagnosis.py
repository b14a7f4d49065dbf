"""Which kind of gateway answers, and the target to start from: what `rollout doctor` says and `rollout init` writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rollout.cli.doctor.examination import examine
from rollout.cli.doctor.findings import Findings, describe_findings
from rollout.cli.doctor.recognition import Recognised, describe_recognised, propose_target, recognise
from rollout.cli.doctor.target_file import describe_missing_keys, render_target
from rollout.config.policies import SANDBOX
from rollout.core.kinds import DEFAULT_KIND

_HOW = "ask who runs it what it is; `rollout doctor --kinds` lists the installed kinds and what each is for"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known of a gateway, by reads that cost nothing.

    Attributes:
        url: the base URL.
        name: what the target is called.
        token_env: the variable with the token; None where none is sent.
        kinds: the kinds that recognise the gateway, the certain ones first.
        paths: the paths that were read to recognise it, in order.
        found: the examination by the calls of the default kind; None where another kind is certain.
    """

    url: str
    name: str
    token_env: str | None
    kinds: tuple[Recognised, ...]
    paths: tuple[str, ...]
    found: Findings | None

    @property
    def other_kind(self) -> Recognised | None:
        """The kind to start from, where it is not the default one; it may be uncertain."""
        is_default = self.found is not None and self.found.answers
        return None if is_default or not self.kinds else self.kinds[0]

    @property
    def is_certain(self) -> bool:
        """Whether the kind is known."""
        return self.found is None or self.found.answers

    @property
    def target(self) -> Mapping[str, Any]:
        """The target to start from, as ``targets.yaml`` has it."""
        if self.other_kind is None:
            return {} if self.found is None else self.found.target
        return propose_target(self.url, self.token_env, self.other_kind)

    @property
    def comments(self) -> tuple[str, ...]:
        """The comment lines above the target: what reading does not show, and how to find it out."""
        if self.other_kind is None:
            return () if self.found is None else tuple(describe_missing_keys(self.found))
        doubt = () if self.is_certain else (f"`kind` is not certain: {self.other_kind.seen.shown_by}",)
        return tuple(f"# {each}" for each in (*doubt, *self.other_kind.seen.unknown))


def diagnose(
    url: str, name: str, token_env: str | None, token: str | None, announce: Callable[[str], None] = lambda _: None
) -> Diagnosis:
    """Recognise the kind of a gateway, and examine it by the default kind's calls unless another kind is certain.

    Args:
        url: the base URL.
        name: what the target is called.
        token_env: the variable with the token.
        token: the token.
        announce: receives what is read before it is sent.
    """
    kinds, paths = recognise(url, token, announce)
    is_other = bool(kinds) and kinds[0].seen.is_certain
    found = None if is_other else examine(url, name, token_env, token, announce=announce)
    return Diagnosis(url, name, token_env, kinds, paths, found)


def describe_diagnosis(seen: Diagnosis) -> str:
    """Return the kind, what was sent, and what cannot be found out, as text."""
    head = f"{seen.url}, read only; nothing was spent\n\nkind: {_describe_kind(seen)}\n"
    if seen.other_kind is not None:
        tried = "" if seen.found is None else f"no kind {DEFAULT_KIND}: {_describe_providers(seen.found)}\n"
        return head + tried + describe_recognised(seen.other_kind, seen.paths)
    return head if seen.found is None else f"{head}\n{describe_findings(seen.found)}"


def _describe_kind(seen: Diagnosis) -> str:
    """Return the kind with the reason, or that it is not known and how it is found out."""
    named = "; ".join(f"{each.kind}, because {each.seen.shown_by}" for each in seen.kinds)
    if seen.found is None:
        return named
    if seen.found.answers:
        embedded = ", the embedded gateway" if seen.target["environment"] == SANDBOX else ""
        return f"{DEFAULT_KIND}{embedded}, because {_describe_providers(seen.found)}"
    if named:
        return f"not certain; it may be {named}"
    return f"not known, for no installed kind recognises it ({_describe_providers(seen.found)}); {_HOW}"


def _describe_providers(found: Findings) -> str:
    call = next(call for call in found.calls if call.name == "providers")
    return f"GET {call.path}: {call.result}"


def render_diagnosed_target(seen: Diagnosis) -> str:
    """Return a ``targets.yaml`` to start from, with what is not known as comments above it."""
    doubt = () if seen.is_certain or seen.other_kind else (f"# `kind` is not known: {_HOW}",)
    return "".join(f"{line}\n" for line in (*doubt, *seen.comments)) + render_target(seen.name, seen.target)
