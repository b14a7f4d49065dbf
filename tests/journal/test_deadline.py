"""A call to a journal that hangs fails within its deadline, with a message that says so."""

import gc
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rollout.core.errors import JournalError
from rollout.journal.deadline import Deadline

PATIENCE_S, PAUSE_S, PROBE_S = 0.5, 0.4, 0.3
AT_ONCE_S = 0.05


class Stuck:
    """Work that hangs until it is released."""

    def __init__(self):
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self):
        """Hang."""
        self.began.set()
        assert self.go.wait(30)
        return "late"


@pytest.fixture
def stuck():
    stuck = Stuck()
    yield stuck
    stuck.go.set()


@pytest.fixture
def abandoned():
    """The threads that were given up."""
    return []


@pytest.fixture
def deadline(abandoned):
    deadline = Deadline("here", PATIENCE_S, abandoned.append)
    deadline.pause_s, deadline.probe_s = PAUSE_S, PROBE_S
    yield deadline
    deadline.close()


@pytest.fixture
def broken(deadline, stuck):
    """A deadline that one call has missed; returns once the pause is over."""
    missed(lambda: deadline.call(stuck))
    return deadline


def missed(call):
    with pytest.raises(JournalError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def took_s(call):
    began = time.monotonic()
    call()
    return time.monotonic() - began


def after_the_pause(deadline):
    time.sleep(deadline.pause_s)
    return deadline


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "rollout-journal"]


def test_a_call_returns_what_the_work_returns(deadline):
    assert deadline.call(lambda: 42) == 42


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("of its own"), SystemExit(3), KeyboardInterrupt()])
def test_an_exception_is_raised_as_it_is(deadline, error):
    def fail():
        raise error

    with pytest.raises(type(error)) as caught:
        deadline.call(fail)
    assert caught.value is error
    assert deadline.call(lambda: "goes on") == "goes on"


def test_calls_are_made_in_the_order_in_which_they_were_submitted(deadline):
    order = []
    futures = [deadline.soon(lambda number=number: order.append(number)) for number in range(50)]
    deadline.call(lambda: order.append("last"))

    assert order == [*range(50), "last"]
    assert all(future.done() for future in futures)


def test_a_call_inside_a_call_is_made_at_once(deadline):
    assert deadline.call(lambda: deadline.call(lambda: "inner")) == "inner"


def test_a_call_that_hangs_costs_the_deadline_and_is_a_sentence(deadline, stuck, abandoned):
    messages = []
    cost_s = took_s(lambda: messages.append(missed(lambda: deadline.call(stuck))))

    assert PATIENCE_S <= cost_s < PATIENCE_S + 1
    assert messages[0].startswith(
        "journal here: it did not answer within 0.5 s; calls fail at once, and every 0.4 s one"
    )
    assert [thread.name for thread in abandoned] == ["rollout-journal"]


def test_further_calls_fail_at_once(broken):
    cost_s = took_s(lambda: missed(lambda: broken.call(lambda: "not made")))

    assert cost_s < AT_ONCE_S
    assert isinstance(broken.soon(lambda: "not made").exception(0), JournalError)


def test_after_a_pause_one_call_asks_again_and_the_journal_is_back(broken, stuck):
    assert after_the_pause(broken).call(lambda: "back") == "back"
    stuck.go.set()
    assert broken.call(lambda: "and stays") == "and stays"


def test_of_ten_calls_after_the_pause_one_waits_and_for_a_short_time(broken):
    again, go = [], threading.Event()
    after_the_pause(broken)

    def attempt(_):
        return took_s(lambda: missed(lambda: broken.call(lambda: (again.append(1), go.wait(30)))))

    with ThreadPoolExecutor(10) as pool:
        costs = sorted(pool.map(attempt, range(10)))
    go.set()

    assert again == [1]
    assert costs[-2] < PROBE_S / 2
    assert PROBE_S <= costs[-1] < PATIENCE_S


def test_a_call_that_fails_by_itself_shows_that_the_journal_answers(broken):
    after_the_pause(broken)
    with pytest.raises(ValueError, match="refused"):
        broken.call(lambda: (_ for _ in ()).throw(ValueError("refused")))

    assert broken.call(lambda: "back") == "back"


def test_what_waits_behind_a_call_that_hangs_fails_with_it_and_is_never_made(deadline, stuck):
    made = []
    first = deadline.soon(stuck)
    stuck.began.wait(5)
    behind = [deadline.soon(lambda: made.append(1)) for _ in range(3)]
    missed(lambda: deadline.call(lambda: made.append(2)))

    assert all(isinstance(future.exception(1), JournalError) for future in (first, *behind))
    stuck.go.set()
    after_the_pause(deadline).call(lambda: None)
    assert made == []


def test_a_call_without_a_waiting_caller_fails_in_time(deadline, stuck, abandoned):
    assert took_s(lambda: deadline.soon(stuck)) < AT_ONCE_S
    missed(lambda: deadline.soon(lambda: None).result(5))

    assert len(abandoned) == 1


def test_what_was_cancelled_before_it_began_is_not_made(broken):
    """Also where it was the call that tried again."""
    after_the_pause(broken)
    made, go = [], threading.Event()
    holds = broken.soon(lambda: go.wait(5))
    refused = broken.soon(lambda: made.append(1))
    go.set()
    assert isinstance(refused.exception(1), JournalError)
    assert holds.result(1)
    waits = Stuck()
    broken.soon(waits)
    cancelled = broken.soon(lambda: made.append(1))
    assert cancelled.cancel()
    waits.go.set()
    assert broken.call(lambda: "goes on") == "goes on"
    assert made == []


class Interrupted(Exception):
    """The exception of a signal's handler."""


@pytest.fixture
def interrupts():
    """Raise `Interrupted` in the main thread after so many seconds."""

    def handler(*_):
        raise Interrupted

    former = signal.signal(signal.SIGUSR1, handler)
    timers = []

    def later(seconds):
        timers.append(threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGUSR1)))
        timers[-1].start()

    yield later
    for timer in timers:
        timer.join()
    signal.signal(signal.SIGUSR1, former)


def test_a_signal_is_handled_while_a_call_is_waited_for(deadline, stuck, interrupts):
    deadline.patience_s = 20
    interrupts(0.1)

    with pytest.raises(Interrupted):
        deadline.call(stuck)


def test_a_call_that_asked_again_and_was_interrupted_does_not_keep_others_from_it(broken, interrupts):
    after_the_pause(broken)
    again, broken.probe_s = Stuck(), 0.3
    interrupts(0.05)
    with pytest.raises(Interrupted):
        broken.call(again)
    missed(lambda: broken.call(lambda: "too early"))
    time.sleep(broken.probe_s)
    missed(lambda: broken.call(lambda: "sees that it was in vain"))

    assert after_the_pause(broken).call(lambda: "back") == "back"
    again.go.set()


def test_closing_waits_for_the_submitted_calls_and_ends_the_thread(deadline):
    before, made = len(threads()), []
    for number in range(20):
        deadline.soon(lambda number=number: made.append(number))
    worker = next(thread for thread in threads() if thread is deadline._state().line.thread)
    deadline.close()
    worker.join(5)

    assert made == [*range(20)]
    assert not worker.is_alive()
    assert len(threads()) <= before
    assert deadline.call(lambda: "can be used again") == "can be used again"


def test_closing_costs_no_more_than_a_call_where_one_hangs_and_nothing_afterwards(deadline, stuck):
    deadline.soon(stuck)

    assert took_s(deadline.close) < PATIENCE_S + 1
    assert took_s(deadline.close) < AT_ONCE_S


def test_a_journal_that_was_not_closed_leaves_no_thread(abandoned):
    deadline = Deadline("here", PATIENCE_S, abandoned.append)
    deadline.call(lambda: None)
    worker = deadline._state().line.thread
    del deadline
    gc.collect()
    worker.join(5)

    assert not worker.is_alive()


def test_a_fork_has_a_thread_of_its_own_also_in_the_middle_of_a_call(deadline, stuck):
    deadline.patience_s = 5
    deadline.soon(stuck)
    stuck.began.wait(5)
    pid = os.fork()
    if not pid:
        os._exit(0 if deadline.call(lambda: 42) == 42 else 1)

    assert os.waitpid(pid, 0)[1] == 0
    stuck.go.set()
    assert deadline.call(lambda: "the parent goes on") == "the parent goes on"


PROGRAM = """
import threading
from rollout.core.errors import JournalError
from rollout.journal.deadline import Deadline
deadline = Deadline("here", 0.1, lambda thread: None)
try:
    deadline.call(threading.Event().wait)
except JournalError:
    print("gave up")
deadline.close()
"""


def test_a_process_ends_though_a_thread_of_it_hangs_for_ever():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=True)

    assert (done.stdout, done.stderr) == ("gave up\n", "")


STANDS_STILL = """
import sys
from rollout.core.errors import JournalError
from rollout.journal.deadline import Deadline
deadline = Deadline("here", 0.5, lambda thread: None)
def work():
    print("began", flush=True)
    return sys.stdin.readline()
try:
    call = deadline.call if sys.argv[1] == "awaited" else lambda work: deadline.soon(work).result()
    print(call(work), end="", flush=True)
except JournalError:
    print("gave up", flush=True)
"""


@pytest.mark.parametrize("how", ["awaited", "unawaited"])
def test_a_process_that_stands_still_does_not_give_its_call_up(how: str):
    """The deadline passes while nothing of the process runs; the journal answers as soon as it does."""
    command = [sys.executable, "-c", STANDS_STILL, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "began\n"
        child.send_signal(signal.SIGSTOP)
        time.sleep(2)
        child.send_signal(signal.SIGCONT)
        time.sleep(0.2)
        child.stdin.write("answered\n")
        child.stdin.flush()
        assert child.stdout.readline() == "answered\n"


def test_the_price_of_a_call_is_far_below_a_millisecond(deadline):
    deadline.call(lambda: None)
    costs = [took_s(lambda: deadline.call(lambda: None)) for _ in range(1000)]

    # The quarter that the machine's other work disturbed least.
    assert statistics.quantiles(costs, n=4)[0] < 0.0005
