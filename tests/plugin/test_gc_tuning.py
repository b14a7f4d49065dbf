"""Nobody waits for what a run does not need."""

import gc
import json
import subprocess
import sys

from bench.precheck_runs import LIBRARIES
from rollout.cli.main import main
from tests.support.runs import ROOT, Lab

HEAVY = {"apprise", "click", "matplotlib", "numpy", "rich", "starlette", "uvicorn"}
NOTED = """
import json, os, sys

def pytest_sessionfinish():
    with open(os.environ["LOADED"], "w") as file:
        json.dump(sorted(sys.modules), file)
"""


def test_a_precheck_loads_nothing_that_only_later_phases_or_the_report_need(tmp_path):
    (tmp_path / "noted.py").write_text(NOTED, encoding="utf-8")
    with Lab(tmp_path / "lab") as lab:
        lab.env |= {"PYTHONPATH": str(tmp_path), "LOADED": str(tmp_path / "loaded.json")}
        run = lab.run("-m", "precheck", "-p", "noted", real=True)

    assert run.code == 0, run.out
    loaded = set(json.loads((tmp_path / "loaded.json").read_text(encoding="utf-8")))
    assert set(LIBRARIES) <= loaded, "bench h loads them beside a precheck, and they are what it loads"
    assert loaded & HEAVY == set()


def test_the_collector_rests_while_the_suite_is_imported_and_works_afterwards():
    told = _python(
        "import gc\n"
        "from rollout.plugin import gc_tuning\n"
        "before = gc.isenabled()\n"
        "gc_tuning.is_over()\n"
        "print(before, gc.isenabled(), gc.get_freeze_count() > 0)"
    )

    assert told == "False True True"


def test_the_collector_rests_while_the_watchdog_is_imported_and_works_afterwards():
    told = _python(
        "import gc, runpy, sys\n"
        "begun = []\n"
        "gc.callbacks.append(lambda phase, about: begun.append(gc.isenabled() and 'sqlalchemy' in sys.modules))\n"
        "try:\n"
        "    runpy.run_module('rollout.engine.watchdog', run_name='__main__')\n"
        "except SystemExit as ended:\n"
        "    print(ended.code, any(begun), gc.isenabled(), gc.get_freeze_count() > 0)"
    )

    assert told == "1 False True True"


def test_the_collector_hardly_begins_while_a_command_loads_its_modules(tmp_path):
    begun = _python(
        "import gc, sys\n"
        "begun = []\n"
        "gc.callbacks.append(lambda phase, about: begun.append(phase))\n"
        "from rollout.cli.main import main\n"
        "before = len(begun)\n"
        f"sys.argv = ['rollout', 'status', '--reports={tmp_path}']\n"
        "main()\n"
        "print(len(begun) - before, 'sqlalchemy' in sys.modules, gc.isenabled())"
    )

    count, loaded, on = begun.splitlines()[-1].split()
    assert int(count) < 60, "twice a collection: its start and its stop"
    assert (loaded, on) == ("True", "True")


def test_a_command_within_another_process_leaves_its_collector_alone(tmp_path):
    before = gc.get_threshold()
    main(["status", f"--reports={tmp_path}"])

    assert gc.get_threshold() == before


def test_httpx_still_works_without_its_command_line():
    told = _python(
        "import rollout.gateway.transport, httpx, sys; print(httpx.AsyncClient.__name__, 'rich' in sys.modules)"
    )

    assert told == "AsyncClient False"


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
