"""A completion that is streamed: its pieces, its first token, and every way in which it is none."""

import asyncio
import json
import time

import pytest

from rollout.core.clock import StopFlag
from rollout.core.errors import GatewayError, Interrupted
from rollout.core.redaction import REDACTED
from rollout.core.target import OtherCall, Target, Timeouts
from rollout.gateway import documents, parsing
from rollout.gateway.sse import events
from rollout.gateway.transport import CAP_BYTES, Answer, Arrivals
from tests.gateway.conftest import API
from tests.support import liar as lies

EVENTS = "text/event-stream; charset=utf-8"
SECRET = "sk-hunter2hunter2"


def chunk(content=None, **more):
    choice = {"index": 0, "delta": {} if content is None else {"content": content}, "finish_reason": None}
    return f"data: {json.dumps({'choices': [choice], **more})}\n\n"


ROLE = chunk("", model="gpt-4o-2024-08-06", provider="openai")
USAGE = f"data: {json.dumps({'choices': [], 'usage': {'total_tokens': 9}})}\n\n"
STOP = 'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
DONE = "data: [DONE]\n\n"
PONG = (ROLE, chunk("po"), chunk("ng"))


def pieces(*texts, pause_s=0.0, announced=None):
    """Answer the pieces one after the other, with a pause before each but the first."""

    async def behaviour(visit):
        body = [text.encode() for text in texts]
        await visit.send(lies.head(lies.Reply(200, b"", EVENTS), announced or sum(map(len, body))))
        for index, piece in enumerate(body):
            await asyncio.sleep(pause_s if index else 0)
            await visit.send(piece)
        if announced:
            visit.hang_up()

    return behaviour


def answer(*texts, arrivals=()):
    return Answer(200, {"content-type": EVENTS}, "".join(texts).encode(), 70.0, arrivals)


def refusal(work):
    with pytest.raises(documents.InvalidResponse) as caught:
        work()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What arrives


def test_a_streamed_completion_is_asked_for_and_its_first_token_is_measured(gateway, liar):
    """The role arrives at once, the first content 150 ms later, the end another 300 ms later."""
    liar.rule("/chat/completions", pieces(*PONG, USAGE + DONE, pause_s=0.15))
    read = gateway.stream_chat("ping", max_tokens=5)
    assert (read.content, read.model, read.provider, read.total_tokens) == ("pong", "gpt-4o-2024-08-06", "openai", 9)
    assert 150 <= read.first_token_ms <= read.elapsed_ms - 280
    (request,) = liar.requests
    assert request.json == {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 5, "stream": True}
    assert request.headers["x-synthetic"] == "rollout"


def test_a_gateway_that_does_not_stream_gives_a_completion_without_a_first_token(gateway):
    read = gateway.stream_chat("ping")
    assert (read.content, read.first_token_ms) == ("pong", None)


def test_the_call_of_a_target_in_place_of_the_chat_is_measured_too(build, liar):
    stream = f"{API}/llm/simple/stream"
    target = Target("other", "sandbox", chat_with=OtherCall(stream, {"content": "{prompt}"}))
    first = 'event: content\ndata: {"text": "pong"}\n\n'
    liar.rule(stream, pieces("event: start\ndata: {}\n\n", first, "event: done\n\n", pause_s=0.1))
    read = build(liar.url, target=target).stream_chat("ping")
    assert liar.requests[0].json == {"content": "ping"}
    assert 100 <= read.first_token_ms <= read.elapsed_ms - 80


# What is none


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (PONG, "broke off: its last, [DONE], never came (events: message; text/event-stream, "),
        ((*PONG, 'data: {"choices": [{"del'), "the answer's JSON is cut off (event message of text/event-stream, "),
        (
            ("data: pong\n\n", DONE),
            'the answer is not JSON (event message of text/event-stream, 26 bytes, begins "pong"',
        ),
        (('data: ["pong"]\n\n', DONE), "a JSON list, not an object"),
        (('data: {"choices": "pong"}\n\n', DONE), "not of the documented shape: choices[0].delta.content"),
        (('data: {"choices": [7]}\n\n', DONE), "not of the documented shape: choices[0].delta.content"),
        (('data: {"choices": [{"delta": 7}]}\n\n', DONE), "not of the documented shape: choices[0].delta.content"),
        ((chunk(7), DONE), "not of the documented shape: choices[0].delta.content"),
        ((ROLE, 'data: {"error": {"message": "overloaded", "code": 7}}\n\n', DONE), "events says error: overloaded"),
    ],
)
def test_a_stream_of_chunks_that_is_no_complete_answer_is_named_for_what_it_is(texts, says):
    assert says in refusal(lambda: parsing.completion(answer(*texts)))


def test_the_last_chunk_ends_a_stream_whose_gateway_sends_no_done():
    read = parsing.completion(answer(*PONG, STOP))
    assert (read.content, read.total_tokens) == ("pong", 0)


def test_a_stream_without_content_is_an_empty_completion_without_a_first_token():
    read = parsing.completion(answer(ROLE, STOP, DONE))
    assert (read.content, read.first_token_ms) == ("", None)


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (lies.hang(), "no complete answer within 0.4 s (deadline for completions; the target's timeouts.chat)"),
        (pieces(ROLE, DONE, pause_s=5), "no complete answer within 0.4 s (deadline for completions"),
        (pieces(*PONG, announced=9000), "broke off in the middle of its answer"),
        (pieces(*PONG), "a stream of events that broke off: its last, [DONE], never came"),
        (pieces(""), "a stream of events that broke off: its last, done, never came (events: none; "),
        (pieces(chunk("x" * CAP_BYTES), DONE), "the answer is longer than 2097152 bytes"),
        (lies.answer(502, {"detail": "upstream error"}), "the gateway failed (502: upstream error)"),
    ],
)
def test_a_stream_that_fails_is_a_failed_request_and_not_sent_again(build, liar, behaviour, says):
    liar.rule("/chat/completions", behaviour)
    began = time.monotonic()
    with pytest.raises(GatewayError) as caught:
        build(liar.url, timeouts=Timeouts(2, 0.4, 2)).stream_chat("ping")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 2
    assert len(liar.requests) == 1


def test_a_stream_is_cut_off_when_the_run_is_stopped(build, liar):
    stop = StopFlag()

    async def stopped(visit):
        await visit.send(lies.head(lies.Reply(200, b"", EVENTS), 9000) + ROLE.encode())
        stop.set("the operator stopped it")
        await asyncio.sleep(5)

    liar.rule("/chat/completions", stopped)
    with pytest.raises(Interrupted, match="the operator stopped it"):
        build(liar.url, stop=stop).stream_chat("ping")


def test_a_streams_chunks_are_redacted_in_errors_and_evidence(gateway, liar, exchanges):
    liar.rule("/chat/completions", pieces(f'data: {{"error": {{"message": "bad key {SECRET}"}}}}\n\n'))
    with pytest.raises(GatewayError) as caught:
        gateway.stream_chat("ping")
    shown = str(caught.value) + repr(exchanges)
    assert REDACTED in shown
    assert "hunter2" not in shown


# When it arrived


def test_the_first_token_had_arrived_with_the_piece_that_ends_its_data():
    """Two bytes a letter beyond ASCII, and a mark at the beginning: bytes are counted, not characters."""
    texts = ("\ufeff" + chunk("", model="grüße"), chunk("ü"))
    ends = len("".join(texts).encode()) - 2
    arrivals = ((10, 5.0), (ends - 1, 20.0), (ends, 30.0), (ends + 90, 60.0))
    assert parsing.completion(answer(*texts, DONE, arrivals=arrivals)).first_token_ms == 30.0


def test_an_event_ends_with_its_last_line_of_data():
    text = ": hello\r\ndata: a\r\ndata: b\r\n\r\nevent: done"
    assert [(name, data, text[:end][-1]) for name, data, end in events(text)] == [
        ("message", "a\nb", "b"),
        ("done", "", "e"),
    ]


def test_pieces_within_a_millisecond_are_one_arrival():
    arrivals = Arrivals()
    for length, at_ms in ((1, 0.0), (2, 0.5), (3, 0.9), (4, 1.0), (9, 7.5)):
        arrivals.note(length, at_ms)
    assert arrivals.noted() == ((3, 0.0), (4, 1.0), (9, 7.5))
