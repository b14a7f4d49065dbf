"""The types of single values: each a Python type with the validator that reads it from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from rollout.config import quantities, urls
from rollout.core.policy import KINDS
from rollout.core.schemas import commands, validators

Prose = Annotated[str | None, BeforeValidator(validators.prose)]
Seconds = Annotated[float | None, BeforeValidator(quantities.seconds)]
Startup = Annotated[float | None, BeforeValidator(quantities.startup)]
Pace = Annotated[float | None, BeforeValidator(quantities.pace)]
Milliseconds = Annotated[float | None, BeforeValidator(quantities.milliseconds)]
Share = Annotated[float | None, BeforeValidator(quantities.share)]
JudgedShare = Annotated[float | None, BeforeValidator(quantities.judged_share)]
Count = Annotated[int | None, BeforeValidator(quantities.whole_number(1))]
Flag = Annotated[bool | None, BeforeValidator(validators.flag)]
Regex = Annotated[str | None, BeforeValidator(validators.pattern)]
File = Annotated[Path | None, BeforeValidator(validators.file)]
Url = Annotated[str | None, BeforeValidator(urls.base_url)]
Texts = Annotated[list[Annotated[str, BeforeValidator(validators.text)]] | None, BeforeValidator(validators.items)]
Channels = Annotated[
    list[Annotated[str, BeforeValidator(validators.channel)]] | None, BeforeValidator(validators.items)
]
Command = Annotated[list[str] | None, BeforeValidator(commands.command)]
Kind = Annotated[str, BeforeValidator(validators.choice(*KINDS))]
Counter = Annotated[str | None, BeforeValidator(validators.counter)]
OnNoData = Annotated[str | None, BeforeValidator(validators.choice("extend", "roll_back"))]
