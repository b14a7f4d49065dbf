"""Defects in what an operator sees: the page of a window, the running check, the announcements, the completion."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

MUTANTS: tuple[Mutant, ...] = (
    *of(
        "rollout/monitoring/live_page.py",
        "tests/monitoring/test_live_view.py",
        "tests/monitoring/test_hold.py",
        rows=(
            (
                'Line(self.left_line(), "bold", Rank.ALWAYS)',
                'Line(self.left_line(), "", Rank.ALWAYS)',
                "The time that is left is emphasised.",
            ),
            (
                "        if breached and self.hold is None:",
                "        if breached:",
                "A breach that is held is something to do.",
            ),
            (
                "is_due = self._data_was_complete or self._is_settled()",
                "is_due = True",
                "A source that had no time to answer yet is nothing to do.",
            ),
            (
                "is_due = self._data_was_complete or self._is_settled()",
                "is_due = self._is_settled()",
                "Data that stops is something to do at once.",
            ),
            (
                "self.stage, self.passed_s, self._data_was_complete = text, passed_s, False",
                "self.stage, self.passed_s = text, passed_s",
                "A stage begins without data.",
            ),
            (
                "        if self.rollback_probe is not None and not is_alive(self.rollback_probe):",
                "        if False:",
                "A previous provider that does not answer is something to do.",
            ),
            (
                "key=lambda at: (lines[at].rank, at if lines[at].rank is Rank.PHASE else -at),",
                "key=lambda at: (lines[at].rank, -at),",
                "Of the passed phases the earliest is omitted first.",
            ),
            (
                "    PHASE = 0",
                "    PHASE = 9",
                "What is omitted first is the list of passed phases.",
            ),
            (
                "_with_band(verdict, columns) if _fits(value, columns) else ELSEWHERE,",
                "_with_band(verdict, columns),",
                "A value that is wider than its column does not push the others aside.",
            ),
            (
                "        if is_urgent or not _fits(show_numbers(verdict)[0], columns):",
                "        if is_urgent:",
                "What does not fit its column is said in full below.",
            ),
            (
                "    limit = max([14, *",
                "    limit = min([14, *",
                "A wide limit takes room from the values.",
            ),
            (
                "    return both if verdict.interval and _fits(both, columns) else value",
                "    return both if verdict.interval else value",
                "A band that has no room does not push the others aside.",
            ),
            (
                'if verdict.clause == "MON-3" or not is_of_the_window(verdict):',
                'if verdict.clause == "MON-3":',
                "The window's band does not stand beside the value of a stretch.",
            ),
            (
                "if verdict.power and verdict.state is not State.BREACHED:",
                "if False:",
                "What the window can tell is shown beside a verdict that does not hold.",
            ),
            (
                "([one] if len(one) <= width else [ways, command])",
                "[one]",
                "The command that stops the rollout is never cut.",
            ),
        ),
    ),
    *of(
        "rollout/plugin/terminal.py",
        "tests/plugin/test_terminal.py",
        rows=(
            (
                'again, reporter.currentfspath = "\\r", None',
                'again, reporter.currentfspath = "", None',
                "The line of a check takes the place of the one that says that it runs.",
            ),
            (
                "        reporter.currentfspath = _RUNNING",
                "        reporter.currentfspath = None",
                "What pytest prints meanwhile begins on a line of its own.",
            ),
        ),
    ),
    *of(
        "rollout/cli/progress.py",
        "tests/cli/test_progress.py",
        rows=(
            (
                "elif self._clock.monotonic() - self._line_s >= LINE_EVERY_S:",
                "else:",
                "A command that is soon over adds nothing to a log.",
            ),
            (
                "self._live.stop()",
                "pass",
                "A result is printed on a line of its own.",
            ),
        ),
    ),
    *of(
        "rollout/cli/completion.py",
        "tests/cli/test_completion.py",
        rows=(
            (
                '"DIR": shtab.DIRECTORY',
                '"DIR": shtab.FILE',
                "Where a directory is asked for, no file is offered.",
            ),
            (
                "build_parser(emergency_command())",
                "build_parser()",
                "The options of an emergency are completed too.",
            ),
            (
                ", file=beneath(sys.stdout))",
                ")",
                "A shell gets the script as it is.",
            ),
        ),
    ),
    *of(
        "rollout/monitoring/live_heading.py",
        "tests/monitoring/test_live_view.py",
        rows=(('return _MILLISECONDS.sub("", text)', "return text", "Times of day are to the second."),),
    ),
    *of(
        "rollout/monitoring/followed_window.py",
        "tests/monitoring/test_followed_window.py",
        rows=(
            ("step = max(1, sum(", "step = min(1, sum(", "A batch of samples is judged at some moments only."),
            ("if not self.is_left:", "if True:", "A window that a call has left is not judged."),
            ("if entry.kind == Kind.WINDOW:", "if False:", "A window begins with its entry."),
            ("elif entry.kind in _AFTER_IT:", "elif False:", "What follows the window ends its view."),
            ("elif entry.kind == Kind.EXTENDED:", "elif False:", "An extension is shown."),
            ("window.judged_s = max(window.judged_s, now_s)", "window.judged_s = now_s", "Moments do not go back."),
            ("planned[: planned.index(stage)]", "planned[:0]", "A stage begins where the stage before ends."),
            ("self._window.seen_s = max(", "self._window.seen_s = min(", "The next call's samples end the pause."),
        ),
    ),
    *of(
        "rollout/cli/watch.py",
        "tests/cli/test_watch.py",
        rows=(
            (
                "record.closed is not None or record.awaits_evidence",
                "record.closed is not None",
                "Owed evidence is an end.",
            ),
            ("Decision.NOTHING_APPLIED: ExitCode.CHECK_FAILED", "Decision.NOTHING_APPLIED: ExitCode.KEPT", "Not kept."),
            ("if event.kind != Kind.CLOSED:", "if True:", "The closure is printed once."),
            (
                "self._untold[-1].kind == Kind.INTENT:",
                "self._untold[-1].kind == Kind.WINDOW:",
                "A write has its outcome.",
            ),
            ('if case.stranded else "")', 'if False else "")', "A stranded rollout is named."),
            ("if text and text != self._said:", "if text:", "A problem is said once."),
        ),
    ),
    *of(
        "rollout/serve/board.py",
        "tests/serve/test_board.py",
        rows=(
            (
                "self._read = max((entry.seq for entry in entries), default=self._read)",
                "self._read = 0",
                "An entry is read once.",
            ),
            (
                " if head is not None and entry.seq <= head[0]",
                "",
                "What is written meanwhile is not missed.",
            ),
            ("if rollout not in found:", "if False:", "Time passes without an entry."),
            ("if case.stranded:", "if False:", "What no process watches is not shown as watched."),
            ("except _UNREADABLE as error:", "except OSError as error:", "Another version's entries end no page."),
            ("[-EVENTS:]]", "]", "The latest events are shown."),
        ),
    ),
    *of(
        "rollout/serve/application.py",
        "tests/serve/test_application.py",
        rows=(
            ("allowed_hosts=HOSTS", 'allowed_hosts=["*"]', "Another name that leads here gets no answer."),
            ("found.suffix not in DOCUMENTS or", "", "Only documents are served."),
            ("or found.is_symlink()", "", "A link leads out of the folder."),
            (
                "return found if len(parts) == 1 or is_of_rollout else None",
                "return found",
                "Only rollouts have documents.",
            ),
            ('not part.startswith(".") for part in parts', "part for part in parts", "No hidden file is served."),
        ),
    ),
)
