"""The tools beside the precheck make its calls and can fail; none of them has to be installed for these tests."""

import re
import shutil
import sys
from dataclasses import replace

import pytest

from bench import processes, side_by_side
from bench.precheck_runs import BARE_PLUGINS, precheck_runs, pytest_with
from bench.side_by_side import OURS, Cost
from bench.table import Row
from bench.tools import BARE, CHAOS_TOOLKIT, CURL, TAVERN, TOOLS, Found, Tool, find, write_bare

HERE = Tool("python3", (), tuple(pytest_with(BARE_PLUGINS)), write_bare)
ABSENT = replace(TAVERN, requirements=("tavern @ file:///no/such/tavern-3.7-py3-none-any.whl",))
CARELESS = """\
import json
import httpx
for method, path, body in {calls!r}:
    answer = httpx.request(method, {url!r} + path, json=body)
    {check}
"""


@pytest.fixture(autouse=True)
def _compiled_already(monkeypatch):
    """Let processes use the code that was compiled for other tests; a cache of their own takes seconds to fill."""
    monkeypatch.setattr(processes, "compiled_in", lambda _: {})


@pytest.fixture(scope="module")
def precheck(tmp_path_factory):
    """Runs of the precheck, and the calls of the first."""
    with precheck_runs(tmp_path_factory.mktemp("precheck")) as runs:
        runs.run()
        yield runs, runs.calls()


def careless(check, calls=slice(None)):
    """Return a tool that makes (some of) the calls, and looks at the answers in its own way."""

    def write(folder, url, made):
        source = CARELESS.format(calls=list(made)[calls], url=url, check=check)
        (folder / "calls.py").write_text(source, encoding="utf-8")
        return ["calls.py"]

    return Found(Tool("careless", (), (sys.executable,), write), (sys.executable,))


def test_each_side_is_a_row_with_what_it_costs_and_a_missing_tool_is_one_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "bench"
    folder.mkdir()

    ours, libraries, bare, nowhere, tavern, against_tavern, against_bare = side_by_side.measure(
        folder, turns=1, tools=(HERE, replace(CURL, name="no-such-program"), ABSENT)
    )

    assert re.search(r"report left out: \d\d calls, median of 1 in turn", ours.what)
    for row in (ours, libraries, bare):
        cost = re.fullmatch(
            r"(\d+\.\d\d) s, (\d+\.\d\d) s of CPU, (\d+) MB at the largest process's peak", row.measured
        )
        assert cost
        assert float(cost[1]) > 0 < float(cost[2])
        assert 20 < int(cost[3]) < 300
    assert float(libraries.measured[:4]) < float(ours.measured[:4])
    assert nowhere.measured == "not measured: there is no no-such-program on this machine"
    assert tavern.measured.startswith("not measured: it cannot be installed: ERROR: ")
    assert against_tavern.measured == tavern.measured
    assert against_bare.measured == "not measured: it was left out"
    assert {row.met for row in (ours, libraries, bare, nowhere, tavern, against_tavern, against_bare)} == {None}


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_the_script_makes_the_calls_and_fails_where_an_answer_is_wrong(precheck, tmp_path):
    runs, calls = precheck

    command = side_by_side._prepare(find(CURL), tmp_path, runs, calls)

    assert command == ["sh", "calls.sh"]
    assert (tmp_path / "curl" / "answers").read_text(encoding="utf-8").count("\n") == len(calls) > 20


@pytest.mark.parametrize(
    ("check", "why"),
    [
        ("pass", "ended with 0 although /nothing answers with 404"),
        ("answer.raise_for_status()", "ended with 0 although /metrics answers with 200 and no JSON"),
    ],
)
def test_a_tool_that_cannot_fail_is_refused(precheck, tmp_path, check, why):
    runs, calls = precheck

    with pytest.raises(RuntimeError, match=f"careless {why}: its numbers mean nothing"):
        side_by_side._prepare(careless(check), tmp_path, runs, calls)


def test_a_tool_that_leaves_a_call_out_is_refused(precheck, tmp_path):
    runs, calls = precheck

    with pytest.raises(RuntimeError, match="careless made other calls than the precheck"):
        side_by_side._prepare(careless("json.loads(answer.text)", slice(1, None)), tmp_path, runs, calls)


@pytest.mark.parametrize(
    ("wall_s", "cpu_s", "met"),
    [(1.0, 1.5, (True, True)), (1.01, 1.5, (False, True)), (1.0, 1.51, (True, False))],
)
def test_the_limits_are_the_time_of_tavern_and_one_and_a_half_of_the_cpu_of_bare_pytest(wall_s, cpu_s, met):
    costs = {OURS: Cost(wall_s, cpu_s, 80), TAVERN.name: Cost(1.0, 0.1, 60), BARE.name: Cost(0.1, 1.0, 40)}

    rows = side_by_side._limits(costs, {})

    assert tuple(row.met for row in rows) == met
    assert rows[0] == Row(
        "h",
        "time of `pytest -m precheck` against that of Tavern",
        f"{wall_s:.2f} s / 1.00 s = {wall_s:.2f}x",
        "<= 1x",
        met=met[0],
    )


def test_the_medians_are_those_of_each_number():
    runs = [processes.Ended(0, "", wall_s, 10 - wall_s, 100 * wall_s) for wall_s in (1.0, 9.0, 2.0)]

    assert Cost.of(runs) == Cost(2.0, 8.0, 200.0)


def test_what_is_compared_by_default():
    assert TOOLS == (TAVERN, CHAOS_TOOLKIT, CURL, BARE)
