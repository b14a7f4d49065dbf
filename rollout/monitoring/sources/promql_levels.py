"""One number from Prometheus: the result of a signal's expression (MON-5, PRE-2.5, PRE-5.4)."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from rollout.core.promql import fill_expression
from rollout.core.scenario import ProviderChange
from rollout.core.signals import PromqlSignal
from rollout.monitoring.sources.http_endpoint import Endpoint

_QUERY = "/api/v1/query"


class _Data(BaseModel):
    resultType: Literal["scalar", "vector", "matrix", "string"]  # noqa: N815 - the API's own spelling
    result: list[Any]


class _Answer(BaseModel):
    status: Literal["success"]
    data: _Data
    warnings: list[str] = []


_ANSWER = TypeAdapter(_Answer)


def read_level(endpoint: Endpoint, signal: PromqlSignal, of: ProviderChange) -> float:
    """Return the number that the expression of `signal` gives now, for the provider and model `of`.

    Raises:
        SourceError: Prometheus refuses the expression, or its result is a string, a range, several series, none, or no
            finite number.
    """
    query = fill_expression(signal.query, {"provider": of.provider, "model": of.model})
    answer = endpoint.get(_QUERY, [("query", query)], answer=_ANSWER)

    def refuse(what: str, mend: str) -> Exception:
        return endpoint.error(f"the signal {signal.title!r} {what}: {query}; {mend}")

    kind, result = answer.data.resultType, answer.data.result
    if answer.warnings:
        raise endpoint.error(f"its answer may be partial; it warns: {'; '.join(answer.warnings)}")
    if kind in {"string", "matrix"}:
        what = "answers a string" if kind == "string" else "answers a range of samples"
        raise refuse(what, "write an expression whose result is one number, such as `sum(…)`")
    if kind == "vector" and len(result) != 1:
        what = f"answers {len(result)} series" if result else "answers no series"
        mend = "aggregate them, as with `sum(…)` or `max(…)`" if result else "correct it, or add `or vector(0)`"
        raise refuse(what, mend)
    text = (result if kind == "scalar" else result[0].get("value") or [0, "a native histogram"])[1]
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise refuse(f"answers {text}", "let it be a number without traffic too, as with `or vector(0)`")
    return number
