"""Builds ``report.html``: one file per rollout, from the results of its runs and its journal entries."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rollout.core.errors import RolloutError
from rollout.core.visible import show_all
from rollout.journal.journal import Journal
from rollout.monitoring.samples import Baseline
from rollout.reporting.allure import PHASE_TITLES, TARGET
from rollout.reporting.chart import draw, save
from rollout.reporting.chart_data import Bake
from rollout.reporting.html import allure_generator, index
from rollout.reporting.html.allure_config import report_config
from rollout.reporting.html.banner import banner, links_of
from rollout.reporting.html.history import history_of
from rollout.reporting.html.junit import junit
from rollout.reporting.html.outcomes import outcomes
from rollout.reporting.html.page import private
from rollout.reporting.html.report_process import REPORT, Built, not_built
from rollout.reporting.html.rows import Row, fixtures, identify, is_closure, message_of, read, rows, shortened
from rollout.reporting.html.story import Run, Story, tell
from rollout.reporting.html.summary import summary
from rollout.reporting.html.verdict import Verdict, attachments, closure_row, facts, verdict
from rollout.reporting.timeline import clock
from rollout.reporting.timings import class_of, content_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The labels that a row keeps; those of the tree are among them, because Allure does not group by a removed label.
_LABELS = ("epic", "feature", "severity", "owner")

JUNIT = "junit.xml"
SUMMARY = "summary.md"
CHART = "bake"
RESULTS = "allure-results"
_CONFIG, _INPUT = "allurerc.json", "results"
NOWHERE_ELSE: Mapping[str, Path] = {}


def build(
    journal: Journal, rollout: str, folder: Path, env: Mapping[str, str], extra: Mapping[str, Path] = NOWHERE_ELSE
) -> Path:
    """Build the report of a rollout and return its path. A repeated call builds the same report.

    Args:
        journal: the journal with the rollout's entries.
        rollout: its id.
        folder: ``reports/<rollout id>``, where its evidence is and the report goes.
        env: where the generator's cache is found.
        extra: run -> its directory of results, for a run that did not write below `folder`.

    Raises:
        GeneratorMissing: Allure's generator cannot be installed here.
        RolloutError: there is no such rollout, or the report cannot be generated.
    """
    entries = journal.entries(rollout)
    if not entries:
        raise RolloutError(f"there is no rollout {rollout!r}; `rollout status --all` lists them")
    try:
        story = tell(rollout, entries)
    except (ValueError, KeyError) as error:
        raise RolloutError(f"rollout {rollout!r} was written by another version of the suite: {error}") from error
    try:
        _write_beside(story, folder, extra)
        try:
            return _write_page(journal, story, folder, env, extra)
        finally:
            # After the page, because the index links it; also where the page could not be written.
            index.write(journal, folder.parent)
    except OSError as error:
        raise RolloutError(
            f"the report cannot be written: {error}; copy {folder.parent} to where it can, and give that as --reports"
        ) from error


def _write_page(
    journal: Journal, story: Story, folder: Path, env: Mapping[str, str], extra: Mapping[str, Path]
) -> Path:
    before = history_of(journal, story.record.id)
    with (
        tempfile.TemporaryDirectory(prefix="rollout-report-") as work,
        ThreadPoolExecutor(1) as beside,
        allure_generator.loading(Path(work) / _CONFIG, Path(work) / _INPUT, env) as generate,
    ):
        *_, chart, svg = collect(story, folder, Path(work), extra, before)
        # The generator is a process of its own: this process draws meanwhile.
        drawn = None if chart is None else beside.submit(save, chart, folder / f"{CHART}.png")
        page = generate()
        if drawn is not None:
            drawn.result()
        standing = verdict(story, _last_word(story, folder, extra))
        answers = facts(story, standing, outcomes(story))
        above = banner(story, standing, answers, links_of(journal, story, folder), svg)
        new = folder / f".{os.getpid()}-{REPORT}"
        new.write_text(private(page.read_text(encoding="utf-8"), above), encoding="utf-8")
        # The replacement is atomic: a reader sees the old report or the new one, never a part.
        return new.replace(folder / REPORT)


def _write_beside(story: Story, folder: Path, extra: Mapping[str, Path]) -> None:
    """Write ``junit.xml`` and ``summary.md``, which need no generator.

    Raises:
        OSError: one cannot be written.
    """
    clauses, standing = outcomes(story), verdict(story, _last_word(story, folder, extra))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JUNIT).write_bytes(junit(story, clauses, standing))
    answers = facts(story, standing, clauses)
    (folder / SUMMARY).write_text(summary(story, clauses, standing, answers), encoding="utf-8")


def built(
    journal: Journal, rollout: str, folder: Path, env: Mapping[str, str], extra: Mapping[str, Path] = NOWHERE_ELSE
) -> Built:
    """Build the report; never raises, because a report that fails must not change the verdict.

    Arguments as in `build`.
    """
    problem = ""
    try:
        return Built(f"report: {build(journal, rollout, folder, env, extra)}")
    except allure_generator.GeneratorMissing as error:
        why = str(error)
    except RolloutError as error:
        why = problem = str(error)
    except Exception as error:  # noqa: BLE001 - a report that cannot be built must not change the verdict
        why = problem = f"a defect in the suite, {type(error).__name__}: {error}"
    return not_built(rollout, folder, why, problem)


def built_plain(results: Path, folder: Path, title: str, above: str, env: Mapping[str, str]) -> str:
    """Build the report of a run without a rollout, and return a line with its path, or with why there is none.

    Args:
        results: its directory of results.
        folder: where the report goes.
        title: its title.
        above: HTML for the top of the page.
        env: where the generator's cache is found.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="rollout-report-") as work:
            config = Path(work) / _CONFIG
            config.write_text(json.dumps(report_config(title)), encoding="utf-8")
            page = allure_generator.generate(config, results, env)
            (folder / REPORT).write_text(private(page.read_text(encoding="utf-8"), above), encoding="utf-8")
    except (RolloutError, OSError) as error:
        return f"report: not built, because {error}. The verdict stands, and the evidence is there"
    return f"report: {folder / REPORT}"


class Collected(NamedTuple):
    """What Allure generates the report from: its configuration and results, and the window's chart, as SVG too."""

    config: Path
    results: Path
    chart: Figure | None
    svg: bytes | None


def collect(story: Story, folder: Path, work: Path, extra: Mapping[str, Path], before: Sequence[Any] = ()) -> Collected:
    """Write what Allure generates the report from into `work`, and the chart as SVG beside the report.

    Args:
        story: the rollout.
        folder: where its evidence is.
        work: an empty folder.
        extra: run -> its directory of results, for a run that did not write below `folder`.
        before: the target's history, as `rollout.reporting.html.history` has it.

    Raises:
        OSError: something cannot be read or written.
    """
    results = work / _INPUT
    results.mkdir()
    folder.mkdir(parents=True, exist_ok=True)
    standing = verdict(story, _last_word(story, folder, extra))
    bake = _bake(story, standing)
    with ThreadPoolExecutor(1) as beside:
        # To load the plotting library takes as long as to write the rows, which waits for the disk.
        drawn = None if bake is None else beside.submit(_draw, bake, folder / f"{CHART}.svg")
        _write_rows(story, standing, folder, results, extra)
    chart, svg = (None, None) if drawn is None else drawn.result()
    closing = closure_row(story, standing, facts(story, standing, outcomes(story)), svg)
    _attach(closing, story, svg, results)
    _write_row(closing, story, standing, results)
    _write_environment(story, standing, results)
    config = work / _CONFIG
    title = f"{standing.title}: {story.previous} → {story.change} on {story.request.target.name}"
    history = work / "history.jsonl"
    history.write_text("".join(f"{json.dumps(show_all(point))}\n" for point in before), encoding="utf-8")
    config.write_text(json.dumps(report_config(title, history)), encoding="utf-8")
    return Collected(config, results, chart, svg)


def _draw(bake: Bake, path: Path) -> tuple[Figure, bytes]:
    chart = draw(bake)
    return chart, save(chart, path).read_bytes()


def _write_rows(story: Story, standing: Verdict, folder: Path, results: Path, extra: Mapping[str, Path]) -> None:
    written: dict[str, list[Row]] = {}
    for run in story.runs:
        source = _results_of(run, folder, extra)
        written[run.name] = [*read(source), *fixtures(story, source)]
        _provide_attachments(written[run.name], source, results)
    for row in (*rows(story, written), *_earlier_closures(story, written, standing)):
        _write_row(row, story, standing, results)


def _write_row(row: Row, story: Story, standing: Verdict, results: Path) -> None:
    _put_verdict_at_the_root(row, story, standing)
    # They are part of the identity that Allure makes, and `identify` has made the row's.
    row["parameters"] = [{**each, "excluded": True} for each in row.get("parameters", ()) if each["name"] != TARGET]
    (results / f"{uuid.uuid4()}-result.json").write_text(json.dumps(show_all(row)), encoding="utf-8")


def _put_verdict_at_the_root(row: Row, story: Story, standing: Verdict) -> None:
    row["labels"] = [each for each in row["labels"] if each["name"] in _LABELS]
    for each in row["labels"]:
        if each["name"] == "epic":
            each["value"] = f"{standing.title} · {story.change} · {story.record.id}"


def _provide_attachments(found: Iterable[Row], source: Path, results: Path) -> None:
    for row in found:
        for attachment in _attachments(row):
            path, place = source / attachment["source"], results / attachment["source"]
            if not path.is_file() or place.exists():
                continue
            try:
                # The generator reads it only, and a link costs less than a copy.
                place.hardlink_to(path)
            except OSError:
                # The other folder is on another disk, or links are not allowed.
                shutil.copyfile(path, place)


def _attachments(row: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield from row.get("attachments", ())
    for step in row.get("steps", ()):
        yield from _attachments(step)


def _last_word(story: Story, folder: Path, extra: Mapping[str, Path]) -> str:
    """Return the message of the last run's closure; empty if it was not reached, or if the journal has the decision."""
    if not story.is_pending:
        return ""
    last = [row for row in read(_results_of(story.runs[-1], folder, extra)) if is_closure(row)]
    return message_of(last[0]) if last else ""


def _results_of(run: Run, folder: Path, extra: Mapping[str, Path]) -> Path:
    return extra.get(run.name, folder / RESULTS / run.name)


def _earlier_closures(story: Story, written: Mapping[str, list[Row]], standing: Verdict) -> list[Row]:
    """Return the closures of other runs, each at the end of its phase, except those with the final row's verdict."""
    found = []
    for run in story.runs:
        for row in written[run.name]:
            message = message_of(row) or ("KEPT" if row["status"] == "passed" else "")
            if is_closure(row) and not message.startswith(standing.word):
                row["name"] = shortened(f"End of the run of {run.at[11:19]}Z ({', '.join(run.phases)}): {message}")
                row["labels"] = [{**each, **_place(each, run)} for each in row["labels"]]
                if row["status"] == "skipped":
                    # The run ended in order; nothing was skipped.
                    row["status"], row["statusDetails"] = "passed", {}
                identify(row, story.request.target.name, f"{run.name} {row['fullName']}")
                found.append(row)
    return found


def _place(label: Mapping[str, Any], run: Run) -> dict[str, str]:
    return {"value": PHASE_TITLES[run.phases[-1]]} if label["name"] == "feature" else {}


def _attach(closing: Row, story: Story, chart: bytes | None, results: Path) -> None:
    found = [(name, kind, text.encode()) for name, kind, text in attachments(story)]
    if chart is not None:
        found.insert(0, ("The chart of the bake time", "image/svg+xml", chart))
    for name, kind, content in found:
        source = f"{uuid.uuid4()}-attachment{_SUFFIXES[kind]}"
        (results / source).write_bytes(content)
        closing["attachments"].append({"name": name, "source": source, "type": kind})


_SUFFIXES = {"image/svg+xml": ".svg", "text/csv": ".csv", "text/plain": ".txt", "application/json": ".json"}


def _bake(story: Story, standing: Verdict) -> Bake | None:
    """Return the data of the last window's chart; None where nothing was watched."""
    if not story.window.samples:
        return None
    baseline = story.record.baseline
    return Bake(
        title=str(standing),
        subtitle=f"{story.previous} → {story.change} on {story.request.target.name} · {story.record.id}",
        monitor=story.request.scenario.monitor,
        baseline=None if baseline is None else Baseline.from_record(baseline),
        samples=story.window.samples,
        verdicts=story.window.verdicts,
        extended_at_s=story.window.extended_at_s,
        stages_at_s=story.window.stages_at_s,
        stage_names=story.window.stage_names,
    )


def _write_environment(story: Story, standing: Verdict, results: Path) -> None:
    record, request = story.record, story.request
    facts = {
        "verdict": standing.word,
        "change": story.change,
        "before": story.previous,
        "target": request.target.name,
        "opened": clock(record.opened_at),
        "closed": clock(record.closed_at) if record.closed_at else "not yet",
        "ticket": request.scenario.ticket or "none",
        "class": class_of(record),
        "author": request.scenario.author,
        "approved by": record.approvers,
        "run by": record.run_by or "not recorded",
        "waived or owed": "; ".join(record.exceptions_of("waived", "owed")) or "nothing",
        "not applicable": "; ".join(record.exceptions_of("not applicable")) or "nothing",
        "policy": request.policy.name,
        "gateway": str(record.opened["url"]),
        "rollout": record.id,
        "digest": content_of(record),
        "runs": str(len(story.runs)),
        "python": platform.python_version(),
        "host": platform.node(),
    }
    # In a properties file a space ends the key.
    lines = "".join(f"{key.replace(' ', chr(92) + ' ')}={value}\n" for key, value in facts.items())
    (results / "environment.properties").write_text(lines, encoding="utf-8")
