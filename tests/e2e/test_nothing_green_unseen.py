"""No exit code 0 without a look: assertions off, sessions without a check, gateways taken for the embedded one.

The numbers are those of the list of broken promises. What was sent is what the gateway's own proxy has seen.
"""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.core.clauses import LATER_PHASES, PHASES
from tests.support.kinds import QUICK
from tests.support.liar import Behaviour, answer, hang, html
from tests.support.runs import BARE, ROOT, Lab, Process, Run, inherited_environment

ABOUT = "/sandbox/about"
ONE_PHASE = [("-m", phase) for phase in (*PHASES, *LATER_PHASES)]
EVERY_WAY = [(), *ONE_PHASE, ("-m", "precheck or apply"), ("-m", "apply or verify or monitor"), ("checks/precheck",)]
VER_3 = "checks/verify/test_audit.py::test_the_audit_log_shows_the_change"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A gateway of its own whose window takes a second and a half."""
    with Lab(tmp_path) as one:
        one.scenario["monitor"] |= QUICK
        one.policy["sandbox"]["window_at_least"] = "1s"
        yield one


@pytest.fixture(scope="module")
def one_untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab of the tests that begin nothing: no request reaches its gateway, and none of them makes a journal."""
    with Lab(tmp_path_factory.mktemp("untouched")) as one:
        yield one


@pytest.fixture
def untouched(one_untouched: Lab) -> Lab:
    """That lab, with an environment as at first."""
    assert began_nothing(one_untouched), "a test before this one has begun something"
    one_untouched.env.clear()
    return one_untouched


def began_nothing(lab: Lab) -> bool:
    """Return whether neither a request was sent nor a journal made."""
    return lab.liar.requests == [] and not (lab.reports / "journal.sqlite").exists()


def asked(lab: Lab) -> set[str]:
    """Return the paths that were asked for at the proxy."""
    return {request.path for request in lab.liar.requests}


# 10: assertions that are off


@pytest.mark.parametrize(
    ("level", "args"),
    [("1", ("--assert=plain",)), ("2", ("--assert=plain", "-m", "precheck")), ("1", ("-m", "verify"))],
    ids=["plain", "doubly optimised", "assertions rewritten"],
)
def test_10_with_assertions_off_nothing_is_begun(level: str, args: tuple[str, ...], lab: Lab):
    """The author approves herself, which PRE-2.2 finds: without assertions it could find nothing."""
    lab.scenario["approved_by"] = [lab.scenario["author"]]
    lab.env["PYTHONOPTIMIZE"] = level
    run = lab.run(*args, real=True)
    assert run.code == 4, run.out
    assert "PYTHONOPTIMIZE is set, so that Python leaves out every assert statement" in run.out
    assert "Unset PYTHONOPTIMIZE" in run.out
    assert began_nothing(lab)


@pytest.mark.parametrize("phase", ["release", "review"])
def test_10_the_runs_that_only_read_are_refused_too(phase: str, untouched: Lab):
    untouched.env["PYTHONOPTIMIZE"] = "1"
    where = [f"--gateway={untouched.liar.url}"] if phase == "release" else []
    run = untouched.run("-m", phase, *where, real=True)
    assert (run.code, began_nothing(untouched)) == (4, True), run.out


def test_10_python_o_is_refused_as_the_variable_is(lab: Lab):
    args = ("--assert=plain", "-m", "precheck", *lab.options(), f"--reports={lab.reports}")
    done = started("-O", "-m", "pytest", *BARE, *args)
    assert done.returncode == 4, done.stdout
    assert "Python was started with -O, so that" in done.stderr + done.stdout
    assert began_nothing(lab)


def test_10_a_drill_for_real_is_refused_too(tmp_path: Path):
    """Its rollouts are judged by the same checks."""
    done = started("-O", "-m", "rollout", "drill", "--live", f"--reports={tmp_path}")
    assert done.returncode == 4, done.stdout
    assert "leaves out every assert statement" in done.stderr


def test_10_plain_assertions_alone_judge_as_ever(lab: Lab):
    lab.scenario["approved_by"] = [lab.scenario["author"]]
    run = lab.run("-m", "precheck", "--assert=plain")
    assert run.code == 1, run.out
    assert set(run.failed) == {"PRE-2.2", "PRE-3.3"}


def test_10_outside_of_the_checks_nothing_is_decided_by_an_assert_statement():
    """The commands and the watchdog go on with assertions off: theirs only tell the type checker what is known.

    The conformance kit consists of tests; it is refused where assertions are off (`tests/testing`).
    """
    decides = [
        f"{path}:{node.lineno}"
        for path in (ROOT / "rollout").rglob("*.py")
        if path != ROOT / "rollout" / "testing" / "conformance.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert) and not ast.unparse(node.test).startswith("isinstance(")
        if not ast.unparse(node.test).endswith(" is not None")
    ]
    assert decides == []


def started(*args: str) -> subprocess.CompletedProcess[str]:
    """Run ``python ARGS`` from the project's root to its end."""
    env = inherited_environment()
    return subprocess.run(
        [sys.executable, *args], cwd=ROOT, env=env, capture_output=True, text=True, timeout=90, check=False
    )


# 11: sessions without a check


@pytest.mark.parametrize("args", EVERY_WAY, ids=" ".join)
def test_11_what_only_lists_the_checks_is_no_pass_of_any_phase(args: tuple[str, ...], untouched: Lab):
    """The option was meant for another run, and reached this one through the environment."""
    untouched.env["PYTEST_ADDOPTS"] = "--collect-only"
    run = untouched.run(*args)
    assert run.code == 5, run.out
    assert run.out.startswith("NOTHING CHECKED: --collect-only (PYTEST_ADDOPTS) "), run.out
    assert began_nothing(untouched)


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ("--co -q", "--collect-only"),
        ("--help", "--help"),
        ("--version --version", "--version"),
        ("--markers", "--markers"),
        ("--fixtures", "--fixtures"),
        ("--fixtures-per-test", "--fixtures-per-test"),
    ],
)
def test_11_neither_is_anything_else_that_only_shows_something(options: str, written: str, untouched: Lab):
    untouched.env["PYTEST_ADDOPTS"] = options
    run = untouched.run("-m", "precheck")
    assert run.code == 5, run.out
    assert run.out.startswith(f"NOTHING CHECKED: {written} (PYTEST_ADDOPTS) "), run.out
    assert "run `pytest -m precheck`" in run.out
    assert began_nothing(untouched)


@pytest.mark.parametrize("option", ["--collect-only", "--help", "--markers", "--cache-show"])
def test_11_who_asks_for_a_phase_and_types_such_an_option_is_answered_alike(option: str, untouched: Lab):
    run = untouched.run("-m", "apply", "-p", "cacheprovider", option)
    assert run.code == 5, run.out
    assert run.out.startswith(f"NOTHING CHECKED: {option} (the command line) "), run.out
    assert began_nothing(untouched)


def test_11_an_ini_option_is_named_as_such(untouched: Lab):
    run = untouched.run("-o", "addopts=--strict-markers --collect-only")
    assert run.code == 5, run.out
    assert run.out.startswith("NOTHING CHECKED: --collect-only (-o addopts) "), run.out


def test_11_a_person_who_lists_the_checks_is_answered_0_and_reads_that_nothing_was_checked(untouched: Lab):
    run = untouched.run("--collect-only")
    assert run.code == 0, run.out
    assert "NOTHING CHECKED: --collect-only lists the checks, and vouches for none of them" in run.out
    assert began_nothing(untouched)


@pytest.mark.parametrize(
    "options",
    [
        "--setup-plan",
        "--setup-only",
        "--deselect=checks",
        "--ignore=checks/precheck",
        "-k nothing_of_that_name",
        "-p no:python",
        "-p no:rollout.plugin.hooks",
        "-p no:rollout.plugin.hooks --collect-only",
        "--noconftest --collect-only",
        # Without the project's settings all that is below the root is collected, the suite's own tests too.
        "--noconftest -c tox.ini --ignore=tests --collect-only",
    ],
)
def test_11_no_option_of_the_environment_lets_a_precheck_pass_without_its_checks(options: str, lab: Lab):
    lab.env["PYTEST_ADDOPTS"] = options
    run = lab.run("-m", "precheck")
    assert run.code not in {0, 10, 11, 12}, run.out
    assert lab.writes() == []


def test_11_without_the_conftest_the_entry_point_runs_the_checks(lab: Lab):
    lab.env["PYTEST_ADDOPTS"] = "--noconftest"
    run = lab.run("-m", "precheck")
    assert run.code == 0, run.out
    assert {"PRE-1.1", "PRE-3.3", "PRE-5.4"} <= run.results.keys()


@pytest.mark.parametrize("how", ["configure", "main", "system exit", "empty", "collect only"])
@pytest.mark.parametrize("args", [(), ("-m", "precheck")], ids=["whole", "precheck"])
def test_11_a_plugin_that_ends_the_session_first_is_no_pass(how: str, args: tuple[str, ...], lab: Lab):
    lab.env["QUIT"] = how
    run = lab.run("-p", "tests.support.quitting", *args)
    assert run.code not in {0, 10, 11, 12}, run.out
    assert "NOTHING" in run.out or how == "configure"
    assert lab.writes() == []


@pytest.mark.parametrize("options", ["tests/core/test_units.py", "-o testpaths=tests/core/test_units.py"])
def test_11_other_tests_than_the_checks_are_no_rollout_where_nobody_typed_them(options: str, lab: Lab):
    """They would all pass, and a pipeline that calls `pytest` would go on."""
    lab.env["PYTEST_ADDOPTS"] = options
    run = lab.run()
    assert run.code == 4, run.out
    assert "NOTHING CHECKED: PYTEST_ADDOPTS leads to tests/core/test_units.py in the place of the checks" in run.out
    assert began_nothing(lab)


@pytest.mark.parametrize("phase", LATER_PHASES)
def test_11_the_runs_that_only_read_do_not_pass_without_their_checks(phase: str, lab: Lab):
    """A review needs a rollout to look at, so it is kept first."""
    if phase == "review":
        assert lab.run().code == 0
    where = ["-m", "release", f"--gateway={lab.liar.url}"] if phase == "release" else ["-m", "review"]
    for options in ("--setup-only", f"--ignore=checks/{phase}"):
        run = visit(lab, options, *where)
        assert run.code != 0, run.out


def visit(lab: Lab, *args: str) -> Run:
    return Process(lab.reports, *args, env=lab.env).end()


# 13: gateways that are taken for the embedded one


def redirected(lab: Lab) -> Behaviour:
    return answer(307, b"", headers={"Location": f"{lab.sandbox.url}{ABOUT}"})


HIDDEN: dict[str, Any] = {
    "404": answer(404, {"detail": "Not Found"}),
    "HTML": html(),
    "garbage": answer(200, b"\x1b[2J{", "application/json"),
    "another shape": answer(200, {"kind": "rollout-sandbox"}),
    "no answer": hang(),
    "a redirect": redirected,
}


def hide(lab: Lab, how: str = "404") -> None:
    """Let the gateway behind the proxy be one like any other."""
    behaviour = HIDDEN[how]
    lab.liar.rule("^/sandbox/", behaviour(lab) if behaviour is redirected else behaviour)


def unlisted(lab: Lab, **scenario: Any) -> str:
    """Leave the proxy's URL out of the targets' file; return the option that names it."""
    lab.scenario = {"change": lab.scenario["change"], "author": "alice", **scenario}
    lab.target["url"] = "https://lab.example.com"
    lab.target["environment"], lab.policy["staging"] = "staging", {}
    return f"--gateway={lab.liar.url}"


@pytest.mark.parametrize("how", list(HIDDEN))
def test_13_a_url_on_loopback_that_is_not_the_embedded_gateway_has_productions_policy(how: str, lab: Lab):
    """What the quickstart asks for is far too little there, and nothing but the one look is sent."""
    option = unlisted(lab, monitor=lab.scenario["monitor"])
    hide(lab, how)
    run = lab.run(option)
    assert run.code == 4, run.out
    assert f"--gateway: {lab.liar.url} does not answer as the embedded gateway (GET {ABOUT}: " in run.out
    assert "so production's policy holds" in run.out
    assert "is shorter than production asks for (30m); raise it" in run.out
    assert "\x1b" not in run.out
    assert [(each.method, each.path) for each in lab.liar.requests] == [("GET", ABOUT)]


def test_13_a_change_that_production_would_refuse_is_refused_there_and_the_header_says_why(lab: Lab):
    """No ticket, no impact, nobody who approved: the sandbox asks for none of them."""
    option = unlisted(lab)
    hide(lab)
    run = lab.run("-m", "precheck", option)
    assert run.code in {1, 13}, run.out
    assert f"target: {lab.liar.url.removeprefix('http://')} at {lab.liar.url} (--gateway), policy production" in run.out
    assert f"policy: {lab.liar.url} does not answer as the embedded gateway (GET {ABOUT}: HTTP 404)" in run.out
    assert {"PRE-2.1", "PRE-2.2", "PRE-2.3"} <= set(run.failed)
    assert lab.writes() == []


def test_13_the_same_url_with_the_embedded_gateway_behind_it_has_the_sandboxs(lab: Lab):
    option = unlisted(lab)
    lab.policy |= {"sandbox": {"not_demanded": ["PRE-2.1", "PRE-2.2", "PRE-2.3", "PRE-4.2", "PRE-4.3"]}}
    run = lab.run("-m", "precheck", option)
    assert run.code == 0, run.out
    assert ", policy sandbox" in run.out
    assert "does not answer as" not in run.out


def test_13_the_request_carries_no_token(tmp_path: Path):
    with Lab(tmp_path, token="t0ken-of-the-lab-5e1") as lab:
        assert lab.run("-m", "precheck").code == 0
        looks = [request for request in lab.liar.requests if request.path == ABOUT]
        assert looks[0] is lab.liar.requests[0]
        assert all("authorization" not in look.headers for look in looks)


@pytest.mark.parametrize("how", ["404", "down"])
def test_13_a_target_that_is_listed_as_the_sandbox_and_is_not_is_refused(how: str, lab: Lab):
    """Another policy than the file names would be a surprise, and the file's would be a lie."""
    hide(lab)
    if how == "down":
        with lab.liar.down():
            run = lab.run()
    else:
        run = lab.run()
    assert run.code == 4, run.out
    assert "targets.yaml:4: lab.environment: is sandbox, which is the embedded gateway's alone" in run.out
    assert ("HTTP 404" if how == "404" else "Connection refused") in run.out
    assert asked(lab) <= {ABOUT}
    assert not (lab.reports / "journal.sqlite").exists()


def test_13_a_target_that_is_moved_to_loopback_loses_its_looser_policy(lab: Lab):
    """A tunnel leads anywhere: production too."""
    option = unlisted(lab, target="lab", monitor={"window": "30m"})
    hide(lab)
    run = lab.run("-m", "precheck", option, "--target=lab")
    assert ", policy production" in run.out, run.out
    assert f"policy: {lab.liar.url} does not answer as the embedded gateway" in run.out


def test_13_mistakes_are_found_before_the_request(lab: Lab):
    option = unlisted(lab, tickett="LAB-1")
    run = lab.run(option)
    assert (run.code, lab.liar.requests) == (4, []), run.out


def test_13_a_change_in_flight_keeps_its_policy_whatever_the_gateway_answers(lab: Lab):
    """The policy is part of what was approved: another one would be another change, and nobody could go on with it."""
    first = lab.run("-m", "precheck or apply")
    assert first.code == 0, first.out
    hide(lab)
    for phase in ("verify", "monitor"):
        run = lab.run("-m", phase)
        assert (run.code, run.id) == (0, first.id), run.out
    assert run.word == "KEPT"


def test_13_a_change_in_flight_whose_gateway_is_down_is_not_another_one(lab: Lab):
    first = lab.run("-m", "precheck or apply")
    assert first.code == 0, first.out
    with lab.liar.down():
        run = lab.run("-m", "verify")
    assert (run.code, run.id) == (11, first.id), run.out
    assert ", policy sandbox" in run.out


def test_13_before_the_first_write_a_gateway_that_answers_otherwise_ends_the_clearance(lab: Lab):
    """Whatever listens there now was never looked at; what only gives no answer may come back."""
    assert lab.run("-m", "precheck").code == 0
    with lab.liar.down():
        run = lab.run("-m", "apply")
    assert run.code == 1, run.out
    assert ", policy sandbox" in run.out
    hide(lab)
    run = lab.run("-m", "apply")
    assert run.code == 4, run.out
    assert lab.writes() == []


def test_13_a_release_check_has_the_same_policy(lab: Lab):
    hide(lab)
    run = visit(lab, "-m", "release", f"--gateway={lab.liar.url}")
    assert ", policy production" in run.out, run.out
    assert f"policy: {lab.liar.url} does not answer as the embedded gateway" in run.out


# People's mistakes


@pytest.mark.parametrize(
    ("args", "variable", "says"),
    [
        (("-k", "backup"), "", "left out by -k backup (the command line); run the phase whole: pytest -m precheck"),
        (("-k", "not a_second"), "", "left out by -k 'not a_second' (the command line); run"),
        ((), "--ignore=checks/precheck/test_2_review.py", "test_2_review.py (PYTEST_ADDOPTS); run the phase whole"),
        (("checks/precheck/test_1_backup.py",), "", "left out by the path checks/precheck/test_1_backup.py; run"),
    ],
    ids=["-k", "-k not", "--ignore", "a path"],
)
def test_an_option_that_leaves_clauses_out_is_named(args: tuple[str, ...], variable: str, says: str, lab: Lab):
    """With its value, where it came from, and the phase to run whole."""
    lab.env["PYTEST_ADDOPTS"] = variable
    run = lab.run("-m", "precheck", *args)
    assert run.code == 1, run.out
    assert says in run.out
    assert any(says in why for why in (outcome.message for outcome in run.record.clauses.values()))


def test_an_option_that_leaves_a_clause_of_a_later_phase_out_is_named_where_the_change_is_rolled_back(lab: Lab):
    assert lab.run("-m", "precheck or apply").code == 0
    run = lab.run("-m", "verify", f"--deselect={VER_3}")
    assert run.code == 10, run.out
    said = f"left out by --deselect={VER_3} (the command line); run the phase whole: pytest -m verify"
    assert run.why == f"VER-3: NOT RUN: {said}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_a_stop_in_the_precheck_says_that_nothing_was_written(number: signal.Signals, lab: Lab):
    lab.once("/twin/.*/preflight", lambda: lab.signal(number))
    run = lab.begin().end()
    assert run.code == 2, run.out
    assert run.why == (
        f"interrupted before anything was written, so there is nothing to undo: {number.name} asked the run to stop"
    )
    assert "next: run it again" in run.out
    assert lab.writes() == []


def test_a_stop_in_apply_before_the_first_write_says_the_same(lab: Lab):
    assert lab.run("-m", "precheck").code == 0
    lab.once("/governance/status", lambda: lab.signal(signal.SIGINT))
    run = lab.begin("-m", "apply").end()
    assert run.code == 2, run.out
    assert run.why.startswith("interrupted before anything was written, so there is nothing to undo: SIGINT")
    assert lab.writes() == []
