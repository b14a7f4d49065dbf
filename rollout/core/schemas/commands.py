"""Validators of the commands and calls of a target."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from rollout.core.schemas import validators
from rollout.core.schemas.validators import PLACEHOLDER, InvalidValue, require, text
from rollout.core.units import shown

_AS_A_LIST = "write it as a list: [make, api-stop]"


def command(value: Any) -> list[str]:
    """Return a command: its program and arguments, one item each, so that no shell ever reads them."""
    if not isinstance(require(value), list):
        # Not repeated: a command line may carry a password.
        raise InvalidValue(f"is not a list of arguments; {_AS_A_LIST}")
    if not value:
        raise InvalidValue(f"is an empty list; {_AS_A_LIST}")
    found = [_argument(item) for item in value]
    program = found[0]
    if any(character.isspace() for character in program):
        raise InvalidValue(
            f"has spaces in its first item, the program's name; one item for each argument: {_AS_A_LIST}"
        )
    if program.startswith("-"):
        raise InvalidValue(f"starts with an option; its first item is the program's name: {_AS_A_LIST}")
    if "/" in program and not program.startswith("/"):
        # The phases of one rollout may start in different directories.
        raise InvalidValue(f"{shown(program)} is a relative path; write it from the root, such as /srv/gateway/stop.sh")
    return found


def template(*allowed: str) -> Callable[[Any], str]:
    """Return a validator of a body's texts, in which each of the `allowed` placeholders may stand."""

    def read(value: Any) -> str:
        if not isinstance(require(value), str):
            raise InvalidValue(f"text is expected here, not {shown(value)}; put it in quotes if it is meant as text")
        _refuse_unknown(value, allowed)
        return str(value)

    return read


def activation_path(value: Any) -> str:
    """Return the path of a call that activates a provider, in which `{provider}` and `{model}` may stand."""
    found = text(value)
    validators.path(PLACEHOLDER.sub("x", found))
    _refuse_unknown(found, ("provider", "model"))
    return found


def destination(value: Any) -> str:
    """Return how a gateway calls provider and model in its weights."""
    found = template("provider", "model")(value)
    if "{provider}" not in found:
        raise InvalidValue(f'{shown(found)} names no provider; write "{{provider}}", or "{{provider}}:{{model}}"')
    return found


def _refuse_unknown(value: str, allowed: Collection[str]) -> None:
    unknown = next((name for name in PLACEHOLDER.findall(value) if name not in allowed), None)
    if unknown is not None:
        known = " and ".join(f"{{{name}}}" for name in allowed)
        raise InvalidValue(f"{shown('{' + unknown + '}')} is no placeholder here; write {known}, or no braces")


def _argument(item: Any) -> str:
    try:
        found = text(item)
    except ValueError as error:
        raise InvalidValue(f"has an argument that cannot be used: {error}") from None
    return item if isinstance(item, str) else found
