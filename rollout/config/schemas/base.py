"""The base of every schema: a mapping in a YAML file, which `rollout.config.validation` fills.

A schema declares every key as optional: `missing_keys` and the rules of the readers judge what a file must say, so that
all mistakes show at once.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator

from rollout.config import validators


class Schema(BaseModel):
    """A mapping in a file.

    Attributes:
        example: an example for messages.
        required_keys: keys that it must have; `missing_keys` names all that are absent at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    example: ClassVar[str] = "key: value"
    required_keys: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _is_a_mapping(cls, data: Any) -> Any:
        return validators.mapping(cls.example)(data)

    def explicit_values(self) -> dict[str, Any]:
        """Return what the file says, by key."""
        return {key: getattr(self, key) for key in self.model_fields_set}

    @classmethod
    def missing_keys(cls, keys: Collection[str]) -> str | None:
        """Return a message that names the required keys that are not among `keys`; None if all are."""
        missing = [key for key in cls.required_keys if key not in keys]
        return f"says no {' and no '.join(missing)}; write it all, such as `{cls.example}`" if missing else None


class CompleteSchema(Schema):
    """A mapping that is refused without its required keys; their defaults let one message name all that are absent."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if message := self.missing_keys(self.model_fields_set):
            raise ValueError(message)
        return self
