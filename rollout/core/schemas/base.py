"""The base of every schema: a mapping in a YAML file, which `rollout.config.validation` fills.

A schema declares every key as optional: `missing_keys` and the rules of the readers judge what a file must say, so that
all mistakes show at once. Its fields are those of the record that it becomes; the key of a field that ends in a unit
has none: ``window_s`` is `window`. Editors describe a key in the words of the schema's docstring, and where that names
no such attribute, in those of the record's (`rollout.config.json_schema`).
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, model_validator

from rollout.core.schemas import validators

T = TypeVar("T")


class Schema(BaseModel):
    """A mapping in a file.

    Attributes:
        example: an example for messages.
        required_keys: keys that it must have; `missing_keys` names all that are absent at once.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        alias_generator=lambda field: field.removesuffix("_ms").removesuffix("_s"),
    )
    example: ClassVar[str] = "key: value"
    required_keys: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _is_a_mapping(cls, data: Any) -> Any:
        return validators.mapping(cls.example)(data)

    def explicit_values(self) -> dict[str, Any]:
        """Return what the file says, by key."""
        return self.model_dump(exclude_unset=True, by_alias=True)

    def build(self, kind: type[T], **more: Any) -> T:
        """Return the record `kind` of what the file says and of `more`; what it has no field for is left out."""
        return build_record(kind, self.model_dump(exclude_none=True) | more)

    @classmethod
    def missing_keys(cls, keys: Collection[str]) -> str | None:
        """Return a message that names the required keys that are not among `keys`; None if all are."""
        missing = [key for key in cls.required_keys if key not in keys]
        return f"says no {' and no '.join(missing)}; write it all, such as `{cls.example}`" if missing else None


class CompleteSchema(Schema):
    """A mapping that is refused without its required keys; their defaults let one message name all that are absent."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if message := self.missing_keys(self.model_fields_set | self.explicit_values().keys()):
            raise ValueError(message)
        return self


def build_record(kind: type[T], values: dict[str, Any]) -> T:
    """Return the record `kind` with the values of its fields, plain mappings and lists for the records in it."""
    record: T = _adapter(kind).validate_python(values)  # type: ignore[arg-type]
    return record


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
