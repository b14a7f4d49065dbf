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
        example: what one looks like.
        required_keys: keys that it must have; who judges this says so at once for all of them (`lacking`).
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
        """Say which of the keys that are needed are not among `keys`; None if all are."""
        missing = [key for key in cls.required_keys if key not in keys]
        return f"says no {' and no '.join(missing)}; write it all, such as `{cls.example}`" if missing else None


class CompleteSchema(Schema):
    """A mapping that is no use without what is needed; the defaults only let all that is missing be named at once."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if words := self.missing_keys(self.model_fields_set):
            raise ValueError(words)
        return self
