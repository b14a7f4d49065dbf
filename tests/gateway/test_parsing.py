"""What a parser accepts, and what it refuses with a message of one line."""

import json

import pytest

from rollout.gateway import documents, parsing
from rollout.gateway.responses import Connection, Latency
from rollout.gateway.transport import Answer
from tests.gateway.conftest import ALERT, ANSWERS, API, CHECK, CONNECTED, METRICS, provider

PARSERS = {
    ("GET", f"{API}/providers"): parsing.providers,
    ("GET", f"{API}/providers/openai/status"): parsing.status,
    ("POST", f"{API}/providers/openai/test-connection"): parsing.connection_test,
    ("POST", f"{API}/providers/openai/preflight"): parsing.preflight,
    ("GET", f"{API}/providers/openai/metrics"): parsing.metrics,
    ("GET", f"{API}/providers/openai/health"): parsing.provider_health,
    ("GET", f"{API}/alerts"): parsing.alerts,
    ("GET", f"{API}/governance/status"): parsing.governance,
    ("POST", f"{API}/governance/limits"): parsing.limit_set,
    ("POST", f"{API}/chat/completions"): parsing.completion,
    ("GET", f"{API}/admin/audit"): parsing.audit,
    ("GET", f"{API}/config/runtime"): parsing.runtime_config,
}
ACTIVATED = {"status": "success", "message": "ok", "provider": "openai", "model": "gpt-4o"}


def answer(body, content_type="application/json"):
    return Answer(
        200, {"content-type": content_type}, body if isinstance(body, bytes) else json.dumps(body).encode(), 3
    )


def refusal(parse, body, content_type="application/json"):
    with pytest.raises(documents.InvalidResponse) as caught:
        parse(answer(body, content_type))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def metrics(**changes):
    return {"metrics": {**METRICS, **changes}}


@pytest.mark.parametrize("parse", PARSERS.values(), ids=lambda parse: parse.__name__)
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_an_answer_that_is_nested_without_end_is_unreadable(parse, opening):
    """A hundred thousand levels, closed or cut off, and where only an unknown field holds them."""
    closing = (b"]" if opening == b"[" else b"}") * 100_000
    deep = opening * 100_000 + b"1" + closing
    for body in (deep, opening * 100_000, b'{"unknown": ' + deep + b"}"):
        assert "the answer" in refusal(parse, body)


def paths_to_leaves(value, path=()):
    """Yield the path to every field of a document, containers included."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value[:1]):
        yield (*path, key)
        if isinstance(part, (dict, list)):
            yield from paths_to_leaves(part, (*path, key))


def at(document, path):
    """Return the field at `path`."""
    for key in path:
        document = document[key]
    return document


def changed(document, path, value):
    """Return a deep copy of `document` with the field at `path` replaced."""
    copy = json.loads(json.dumps(document))
    part = copy
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return copy


# Fields that no verdict depends on: informative, taken as they are, or not part of the answer's type.
UNREAD = {
    "count", "status", "slo_target", "fallback_policy", "current_usage_usd", "current_requests", "window", "role",
    "details", "model_usage", "from",
}  # fmt: skip
EVERY_FIELD = [
    pytest.param(call, path, id=f"{call[1].removeprefix(API)}:{'.'.join(map(str, path))}")
    for call in PARSERS
    for path in paths_to_leaves(ANSWERS[call])
    if path[0] not in {"status", "count"}
    and (call[1][-7:], path) != ("/status", ("provider",))
    and UNREAD.isdisjoint(set(path) - {"status"})
]


@pytest.mark.parametrize(("call", "path"), EVERY_FIELD)
def test_no_field_may_have_another_type(call, path):
    another = "text" if isinstance(at(ANSWERS[call], path), dict) else {"of": ["another", "type"]}
    message = refusal(PARSERS[call], changed(ANSWERS[call], path, another))
    assert "not of the documented shape" in message
    assert ".".join(str(part) for part in path) in message


@pytest.mark.parametrize("call", PARSERS)
def test_what_is_documented_is_read(call):
    read = PARSERS[call](answer(ANSWERS[call]))
    assert (read is None) == (PARSERS[call] is parsing.limit_set), "only what a write claims is not returned"


@pytest.mark.parametrize("parse", [*PARSERS.values(), parsing.activated, parsing.boot_id])
@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (b"", "application/json", "the answer is empty (200, application/json, 0 bytes)"),
        (b" \r\n", "text/plain", "the answer is empty"),
        (b"<html><body>It works!</body></html>", "text/html", 'is not JSON (text/html, 35 bytes, begins "<html>'),
        (b"Welcome", "text/plain; charset=utf-8", 'not JSON (text/plain, 7 bytes, begins "Welcome"); is this the gate'),
        (b'{"status": "succ', "application/json", "JSON is cut off (application/json, 16 bytes)"),
        (b'{"status": NaN}', "application/json", "not valid JSON"),
        (b'{"a": 1} {"b": 2}', "application/json", "not valid JSON"),
        (b"[" * 100_000, "application/json", "not valid JSON"),
        (b'{"status": "\xff"}', "application/json", "not UTF-8 (application/json, 15 bytes, from byte 12 on)"),
        (b"[]", "application/json", "a JSON list, not an object"),
        (b"null", "application/json", "a JSON NoneType, not an object"),
        (b"data: {}\n\n", "text/event-stream; charset=utf-8", "a stream of events"),
    ],
)
def test_what_is_no_json_object_is_named_for_what_it_is(parse, body, content_type, says):
    assert says in refusal(parse, body, content_type)


@pytest.mark.parametrize("parse", [*PARSERS.values(), parsing.activated, parsing.boot_id, parsing.health])
def test_a_200_with_status_error_is_an_error(parse):
    message = refusal(parse, {"status": "error", "message": "disk\n full"})
    assert message == 'answered 200, but with status "error": disk full'


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"total_requests": -1}, "metrics.total_requests: input should be greater than or equal to 0, not -1"),
        ({"total_requests": "100"}, "metrics.total_requests: input should be a valid integer, not '100'"),
        ({"total_requests": True}, "metrics.total_requests: input should be a valid integer, not True"),
        ({"failed_requests": 7.5}, "metrics.failed_requests: "),
        ({"error_rate": 100.1}, "metrics.error_rate: input should be less than or equal to 100, not 100.1"),
        ({"error_rate": -0.1}, "metrics.error_rate: input should be greater than or equal to 0, not -0.1"),
        ({"error_rate": None}, "metrics.error_rate: input should be a valid number, not None"),
        ({"success_rate": 101}, "metrics.success_rate: "),
        ({"latency": {**METRICS["latency"], "p95_ms": -1}}, "metrics.latency.p95_ms: "),
        ({"latency": {**METRICS["latency"], "samples": None}}, "metrics.latency.samples: "),
        ({"errors": {"by_code": {"http_500": -1}}}, "metrics.errors.by_code.http_500: "),
        ({"cost": {"total_usd": -1, "total_tokens": 0}}, "metrics.cost.total_usd: "),
        ({"error_rate": 10**400}, "metrics.error_rate: "),
    ],
)
def test_numbers_that_cannot_be_are_refused(change, says):
    assert says in refusal(parsing.metrics, metrics(**change))


def test_an_infinity_written_as_a_number_is_refused():
    body = json.dumps(metrics()).replace("95.0", "1e999").encode()
    assert "metrics.latency.p95_ms: input should be a finite number" in refusal(parsing.metrics, body)


def test_a_missing_field_is_named_and_the_rest_is_counted():
    message = refusal(parsing.metrics, {"metrics": {}})
    assert "metrics.total_requests is missing; metrics.successful_requests is missing" in message
    assert "; and 5 more" in message


def test_percent_becomes_a_fraction_and_absent_percentiles_stay_absent():
    nothing = {"p50_ms": None, "p95_ms": None, "p99_ms": None, "samples": 0}
    read = parsing.metrics(answer(metrics(latency=nothing)))
    assert read.error_rate == pytest.approx(0.07)
    assert read.latency == Latency(None, None, None, 0)


def test_the_providers_health_has_fractions_already():
    body = {"health": {**ANSWERS["GET", f"{API}/providers/openai/health"]["health"], "error_rate": 7.0}}
    assert "health.error_rate: input should be less than or equal to 1, not 7.0" in refusal(
        parsing.provider_health, body
    )


@pytest.mark.parametrize(
    ("change", "succeeded"),
    [
        ({}, True),
        ({"status": "failure"}, False),
        ({"status": "SUCCESS"}, False),
        ({"status": "not a success"}, False),
        ({"connection_status": "degraded"}, False),
        ({"connection_status": "disconnected"}, False),
        ({"connection_status": ""}, False),
    ],
)
def test_a_connection_test_succeeds_only_if_both_fields_do(change, succeeded):
    body = {**ANSWERS["POST", f"{API}/providers/openai/test-connection"], **change}
    assert parsing.connection_test(answer(body)).succeeded is succeeded


def test_a_connection_test_without_its_verdict_is_unreadable():
    assert "connection_status is missing" in refusal(parsing.connection_test, {"status": "success"})


@pytest.mark.parametrize(
    ("change", "ready"),
    [
        ({}, True),
        ({"ready_for_activation": False}, False),
        ({"overall_status": "not_ready"}, False),
        ({"checks": {"connection": CHECK, "credentials": {**CHECK, "passed": False}}}, False),
        ({"checks": {}}, False),
    ],
)
def test_a_preflight_is_ready_only_if_every_field_is(change, ready):
    body = {**ANSWERS["POST", f"{API}/providers/openai/preflight"], **change}
    assert parsing.preflight(answer(body)).ready is ready


@pytest.mark.parametrize("status", ["pending", "ok", "failure", "error", "Success", ""])
def test_an_activation_without_status_success_is_refused(status):
    assert f"'{status}'" in refusal(parsing.activated, {**ACTIVATED, "status": status}).replace('"', "'")


def listing(*providers, active="openai"):
    return {"providers": list(providers), "active_provider": active}


def test_two_active_providers_are_a_contradiction():
    message = refusal(parsing.providers, listing(provider("openai", active=True), provider("vllm", active=True)))
    assert message == "the list marks openai and vllm active at once; exactly one can be"


def test_the_list_and_the_name_of_the_active_provider_must_agree():
    message = refusal(parsing.providers, listing(provider("openai"), provider("vllm", active=True)))
    assert message == "active_provider says openai, but the list marks vllm active"


def test_a_provider_listed_twice_is_a_contradiction():
    assert "names openai 2 times" in refusal(parsing.providers, listing(provider("openai"), provider("OpenAI")))


@pytest.mark.parametrize(("reported", "read"), [("google-gemini", "google-gemini"), (None, None), ("", None)])
def test_an_active_name_that_is_not_listed_is_passed_on(reported, read):
    active = parsing.providers(answer(listing(provider("google", active=True), active=reported)))
    assert active.active_provider == read


@pytest.mark.parametrize(
    ("status", "read"),
    [
        ("Connected", Connection("connected", "ok", None, 12.5)),
        ("fine", Connection("unknown", "the gateway says 'fine': ok", None, 12.5)),
    ],
)
def test_a_connection_status_beyond_the_four_is_unknown_never_a_pass(status, read):
    body = {"connection_status": {**CONNECTED, "status": status}}
    assert parsing.status(answer(body)) == read


def test_an_alerts_severity_is_one_of_three():
    assert parsing.alerts(answer({"alerts": [{**ALERT, "severity": "CRITICAL"}]}))[0].severity == "critical"
    message = refusal(parsing.alerts, {"alerts": [{**ALERT, "severity": "fatal"}]})
    assert "alerts.0.severity: input should be 'info', 'warning' or 'critical', not 'fatal'" in message


@pytest.mark.parametrize("content", ["", None, "   "])
def test_an_empty_completion_is_passed_on_for_a_check_to_judge(content):
    body = {"choices": [{"message": {"content": content}}]}
    read = parsing.completion(answer(body))
    assert (read.content, read.model, read.provider, read.total_tokens, read.elapsed_ms) == (
        content or "", None, None, 0, 3,
    )  # fmt: skip


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": {}}]}])
def test_a_completion_without_a_choice_is_unreadable(body):
    assert "choices" in refusal(parsing.completion, body)


def test_limits_are_kept_and_usage_is_not():
    read = parsing.governance(answer(ANSWERS["GET", f"{API}/governance/status"]))
    assert read.cost_limits == {"global": {"soft_limit_usd": 10, "hard_limit_usd": 50.5}}
    assert read.rate_limits == {"global": {"max_requests_per_minute": 100}}


def test_an_audit_entry_without_a_user_reads_unknown():
    entry = {**ANSWERS["GET", f"{API}/admin/audit"]["entries"][0], "user": None, "details": None}
    read = parsing.audit(answer({"entries": [entry]}))[0]
    assert (read.user, read.details) == ("unknown", {})


@pytest.mark.parametrize("body", [b"", b"OK", b'{"status": "ok"}', b'{"status": "success"}', b"{}"])
def test_health_is_the_status_code_with_any_harmless_body(body):
    parsing.health(answer(body))


@pytest.mark.parametrize("status", ["error", "unhealthy", "Starting", "down", "offline"])
def test_health_with_another_status_is_refused(status):
    assert f'status "{status}"' in refusal(parsing.health, {"status": status})


def test_a_web_page_is_not_health():
    assert "is not JSON (text/html" in refusal(parsing.health, b"<!doctype html><p>hello", "text/html")


def test_a_boot_id_may_be_absent():
    assert parsing.boot_id(answer({"status": "success"})) is None


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"detail": "Not Found"}, "Not Found"),
        ({"detail": [{"loc": ["body", "model"], "msg": "Field required"}]}, "model: Field required"),
        ({"error": {"message": "upstream died", "code": 7}}, "upstream died"),
        ({"error": "rate_limit_exceeded", "message": "slow down"}, "slow down"),
        ({"detail": "two\nlines \x1b[31mred"}, "two lines ?[31mred"),
        ({"detail": 7}, ""),
        ({"detail": "abc " * 100}, "abc " * 74 + "abc…"),
        ({"detail": "key " + "x" * 1000}, "key…"),
        (["plain", 3], "plain"),
        (None, ""),
    ],
)
def test_the_gateways_message_fits_one_line(document, message):
    assert documents.describe_error(document) == message


# A stream of events


def streamed(*parts, content_type="text/event-stream; charset=utf-8", end="\n"):
    text = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in parts)
    return Answer(200, {"content-type": content_type}, text.replace("\n", end).encode(), 7)


START, PONG, DONE = ("start", {}), ("content", {"text": "pong"}), ("done", {})


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("content_type", ["text/event-stream", "Text/Event-Stream; charset=utf-8"])
def test_a_streams_contents_are_one_completion(content_type, end):
    answer = streamed(START, PONG, ("content", {"text": " ü\n"}), DONE, content_type=content_type, end=end)
    read = parsing.completion(answer)
    assert (read.content, read.model, read.provider, read.total_tokens, read.elapsed_ms) == (
        "pong ü\n", None, None, 0, 7,
    )  # fmt: skip


@pytest.mark.parametrize("event", ["start", "done"])
def test_a_streams_provider_and_model_are_read(event):
    naming = (event, {"model": "gpt-4o", "provider": "openai"})
    read = parsing.completion(
        streamed(*(naming if name == event else (name, data) for name, data in (START, PONG, DONE)))
    )
    assert (read.content, read.model, read.provider) == ("pong", "gpt-4o", "openai")


def test_a_stream_without_content_is_an_empty_completion():
    assert parsing.completion(streamed(START, DONE)).content == ""


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ((START, PONG), "broke off: its last, done, never came (events: start, content; text/event-stream, "),
        ((), "the answer is a stream of events that broke off: its last, done, never came (events: none; "),
        ((START, ("ping", {}), PONG, PONG), "(events: start, ping, content; "),
        ((START, ("error", {"code": "x", "message": "no\nroute"})), "the stream of events says error: x: no route"),
        ((START, PONG, ("error", {}), DONE), "the stream of events says error: no reason given"),
        ((START, PONG, DONE, ("error", {"message": "late"})), "the stream of events says error: late"),
        ((START, ("content", {}), DONE), "content without a text"),
        ((START, ("content", {"text": 7}), DONE), "content without a text"),
        ((START, ("content", ["pong"]), DONE), "a JSON list, not an object"),
    ],
)
def test_a_stream_that_is_no_complete_answer_is_named_for_what_it_is(parts, says):
    with pytest.raises(documents.InvalidResponse) as caught:
        parsing.completion(streamed(*parts))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'event: content\ndata: {"text": "po', "JSON is cut off (event content of text/event-stream, 33 bytes)"),
        (b'event: content\ndata: {"text": NaN}\n\n', "not valid JSON"),
        (b"event: error\ndata: out of memory\n\n", "says error: out of memory"),
        (b"event: content\ndata: \xff\n\n", "not UTF-8"),
        (b"", "broke off"),
    ],
)
def test_half_a_stream_is_no_completion(body, says):
    assert says in refusal(parsing.completion, body, "text/event-stream")


@pytest.mark.parametrize(
    "body", [b"event: done\n", b"event: done", b"event:done\ndata\n\n", b": hello\nevent: done\n\n"]
)
def test_the_end_of_a_stream_counts_without_data_or_blank_line(body):
    assert parsing.completion(answer(body, "text/event-stream")).content == ""


# What a write claims


@pytest.mark.parametrize("parse", [parsing.limit_set, parsing.activated_otherwise])
@pytest.mark.parametrize("status", ["pending", "ok", "Success", ""])
def test_a_write_without_status_success_is_refused(parse, status):
    assert f"its status is '{status}', not 'success'" in refusal(parse, {"status": status, "limit": {}})


def test_the_limits_of_the_scope_are_read_and_its_usage_is_not():
    body = {"status": "success", "limit": {"hard_limit_usd": 5, "max_tokens_per_minute": 9, "current_usage_usd": "?"}}
    parsing.limit_set(answer(body))
    assert "limit.hard_limit_usd" in refusal(parsing.limit_set, changed(body, ("limit", "hard_limit_usd"), "?"))
