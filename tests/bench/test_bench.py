"""The measurements measure something, with numbers too small to mean anything."""

import re

import pytest

from bench import __main__ as bench
from bench import commands, precheck, processes, reaction, reporting, whole_run, window
from bench.table import Row, machine, markdown


@pytest.fixture(autouse=True)
def _compiled_already(monkeypatch):
    """Let processes use the code that was compiled for other tests; a cache of their own takes seconds to fill."""
    monkeypatch.setattr(processes, "compiled_in", lambda _: {})
    monkeypatch.setattr(reporting, "compiled_in", lambda _: {})
    monkeypatch.setattr(whole_run, "compiled_in", lambda _: {})


def test_the_bare_file_makes_the_calls_of_a_precheck(tmp_path):
    (row,) = precheck.measure(tmp_path, runs=1)

    made = re.search(r"the same (\d+) calls", row.what)
    assert made
    assert int(made[1]) > 20
    assert row.met is not None
    calls = (tmp_path / "bare" / "test_bare.py").read_text(encoding="utf-8")
    assert "/twin/api/v1/providers/openai/preflight" in calls
    assert "max_tokens" in calls


def test_a_reaction_is_some_milliseconds_long(tmp_path):
    (row,) = reaction.measure(tmp_path, runs=1)

    took = re.search(r"P99 (\d+) ms, median (\d+) ms", row.measured)
    assert took
    assert 0 < int(took[1]) == int(took[2]) < 5000


def test_a_window_has_the_polls_that_it_is_measured_with(tmp_path):
    cpu, memory = window.measure(tmp_path, polls=40)

    counted = re.search(r": (\d+) polls, (\d+) journal entries", cpu.what)
    assert counted
    assert 40 <= int(counted[1]) < int(counted[2]) < 80
    held = re.match(r"(\d+) -> (\d+) KiB", memory.measured)
    assert held
    assert 0 < int(held[1]) <= int(held[2])


def test_a_report_has_the_rows_that_it_is_measured_with(tmp_path):
    (row,) = reporting.measure(tmp_path, runs=1, checks=30)

    rows = re.search(r"of (\d+) rows", row.what)
    assert rows
    assert 30 <= int(rows[1]) < 80
    assert (tmp_path / "reports" / "r-1" / "report.html").is_file()


def test_a_whole_run_has_its_time_and_the_memory_of_both_processes(tmp_path):
    rows = whole_run.measure(tmp_path, runs=1)

    cpu_s, peak_mb, watchdog_mb, closure_s = (float(row.measured.split()[0]) for row in rows)
    assert cpu_s > 0.5
    assert 30 < watchdog_mb < peak_mb < 500
    assert 0 < closure_s < 60
    assert re.search(r"; \d+\.\d\d s later, with its documents, it is printed$", rows[-1].measured)


def test_a_run_that_is_not_kept_is_not_measured(tmp_path, monkeypatch):
    lab = whole_run.Lab

    def broken(folder, **settings):
        made = lab(folder, **settings)
        made.scenario["approved_by"] = []
        return made

    monkeypatch.setattr(whole_run, "Lab", broken)
    with pytest.raises(RuntimeError, match="a run was not kept"):
        whole_run.measure(tmp_path, runs=1)


def test_the_commands_are_measured_on_a_journal_that_is_valid(tmp_path):
    rows = commands.measure(tmp_path, rollouts=8, runs=1)

    assert len(rows) == 6
    entries = re.search(r"verify-journal`, (\d+) entries", rows[1].what)
    assert entries
    assert int(entries[1]) > 8 * 50
    assert all(row.met is not None for row in rows)
    assert (tmp_path / "part" / "index.html").read_text(encoding="utf-8").count("copy-00002")


@pytest.mark.parametrize(("met", "code"), [(True, 0), (None, 0), (False, 1)])
def test_only_a_limit_that_is_missed_fails_the_bench(monkeypatch, capsys, met, code):
    monkeypatch.setattr(window, "measure", lambda _folder, _polls: [Row("c", "CPU", "9 s", "<= 3 s", met=met)])

    assert bench.main(["c"]) == code
    assert ("| NO " in capsys.readouterr().out) == (met is False)


def test_a_measurement_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit) as refused:
        bench.main(["ax"])

    assert refused.value.code == 2
    assert f"there is no measurement x; there are {', '.join(bench.ALL)}" in capsys.readouterr().err


def test_the_table_names_what_was_measured_and_where():
    table = markdown([Row("a", "start-up", "1.2x", "<= 1.5x", met=True), Row("d", "report", "left out")])

    assert "| a | start-up | 1.2x     | <= 1.5x | yes |" in table
    assert "| d | report   | left out |         |     |" in table
    assert "Python" in machine()
