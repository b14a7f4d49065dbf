"""Change windows and freezes of a target (PRE-4.1)."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from rollout.config import quantities
from rollout.core.schemas.base import CompleteSchema, Schema
from rollout.core.schemas.values import Text

LONGEST_FREEZE = timedelta(days=366)


class ChangeWindowSchema(Schema):
    """A weekly change window (PRE-4.1).

    Attributes:
        days: weekdays: `mon-fri`, or a list such as `[sat, sun]`; every day where it is left out.
        closes: first moment outside, `"24:00"` at the end of the day; earlier than `from` means on the next day.
    """

    example = '{days: mon-fri, from: "22:00", to: "06:00"}'
    required_keys = ("from", "to")

    days: Annotated[frozenset[int], BeforeValidator(quantities.days)] = frozenset(range(7))
    opens: Annotated[time, BeforeValidator(quantities.time_of_day), Field(alias="from")] = time.min
    closes: Annotated[time, BeforeValidator(quantities.time_of_day), Field(alias="to")] = time.min

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if not {"opens", "closes"} <= self.model_fields_set:
            raise ValueError(f"from and to are both needed; write `{self.example}`")
        if self.opens == self.closes:
            raise ValueError('never opens, because from and to are the same; for a whole day write to: "24:00"')
        return self


class FreezeSchema(CompleteSchema):
    """A stretch of time without changes (PRE-4.1)."""

    example = "{from: 2026-12-18, to: 2027-01-04, reason: year end}"
    required_keys = ("begins", "ends", "reason")

    begins: Annotated[datetime, BeforeValidator(quantities.moment), Field(alias="from")] = datetime.min  # noqa: DTZ901 - wall clock
    ends: Annotated[datetime, BeforeValidator(quantities.moment), Field(alias="to")] = datetime.max  # noqa: DTZ901 - wall clock
    reason: Text = None

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.begins >= self.ends:
            raise ValueError(f"ends before it begins; write `{self.example}`")
        # What was refused has no beginning, or no end, of its own.
        if {"begins", "ends"} <= self.model_fields_set and self.ends - self.begins > LONGEST_FREEZE:
            raise ValueError(
                "lasts for more than a year, so no window would ever open; name its end, and renew it then"
            )
        return self
