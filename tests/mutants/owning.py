"""Defects in what decides who may write: leases, endings and the journal's store."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

WORKSPACE, CLOCKS = "rollout/context.py", "tests/journal/test_lease_clocks.py"
LEASES, ENDINGS, STORE = "rollout/journal/leases.py", "rollout/journal/endings.py", "rollout/journal/store.py"


def _on_sqlite(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f"tests/journal/{file}::{name}[sqlite]" for name in names)


LEASE_TESTS = _on_sqlite(
    "test_leases.py",
    "test_a_free_target_is_leased_from_now_until_its_time_is_over",
    "test_a_refused_rival_leaves_the_lease_and_its_token_alone",
    "test_a_lease_ends_at_its_last_moment_and_not_before",
    "test_the_same_rollout_prolongs_its_lease_under_a_newer_token",
    "test_no_lease_of_a_rollout_is_ever_shortened_by_itself",
    "test_an_older_token_of_the_same_rollout_is_lost",
    "test_a_lease_that_was_given_back_is_free_and_cannot_be_renewed",
    "test_tokens_grow_for_ever_also_over_releases",
    "test_giving_back_twice_or_too_late_leaves_the_next_holder_alone",
    "test_of_two_who_saw_the_same_token_the_second_is_refused",
    "test_a_target_is_taken_from_its_holder_with_a_newer_token",
    "test_a_lease_is_given_back_under_its_own_token_only",
    "test_a_lease_is_renewed_on_its_own_target_only",
    "test_a_lease_that_was_given_back_is_taken_anew_by_its_own_rollout",
)
_WITHOUT_A_LEASE = (
    "tests/journal/test_endings.py::test_without_a_lease_a_rollout_that_announced_a_write_is_another_runs"
)
ENDING_TESTS = (
    f"{_WITHOUT_A_LEASE}[sqlite-False]",
    f"{_WITHOUT_A_LEASE}[sqlite-True]",
    *_on_sqlite(
        "test_endings.py",
        "test_the_same_holder_ends_a_rollout_once",
        "test_a_later_rollback_under_a_newer_token_ends_it_anew_and_once",
        "test_an_ending_of_another_rollout_is_no_obstacle",
        "test_an_ending_that_was_entered_later_counts",
        "test_other_entries_that_were_entered_later_do_not_count",
        "test_a_run_that_never_got_a_lease_ends_a_rollout_that_wrote_nothing_once",
        "test_a_rollout_that_ended_with_nothing_applied_can_still_end_under_a_lease",
    ),
)


MUTANTS: tuple[Mutant, ...] = (
    *of(
        LEASES,
        *LEASE_TESTS,
        rows=(
            (
                "if after is not None and row is not None and row.token != after:",
                "if False:",
                "Of two who saw the same token one gets the lease.",
            ),
            (
                "held = None if preempts else _unexpired(row, now)",
                "held = _unexpired(row, now)",
                "An emergency takes the target from whoever holds it.",
            ),
            ("if held and held.rollout != rollout:", "if False:", "What another rollout holds is not given out."),
            ("token=row.token + 1 if row else 1,", "token=row.token if row else 1,", "Every grant has a newer token."),
            (
                "token=row.token + 1 if row else 1,",
                "token=held.token + 1 if held else 1,",
                "Tokens grow over releases too.",
            ),
            (
                "since=held.since if held else _whole_ms(now),",
                "since=_whole_ms(now),",
                "A lease without a gap says since when it is held.",
            ),
            (
                "until=max(held.until, until) if held else until,",
                "until=until,",
                "A longer lease of the same rollout stays longer.",
            ),
            (
                "    until = max(_lease(row).until, _whole_ms(now + timedelta(seconds=for_s)))",
                "    until = _whole_ms(now + timedelta(seconds=for_s))",
                "A renewal never shortens a lease.",
            ),
            (
                "if row is None or row.token != lease.token or row.released:",
                "if row is None or row.token < lease.token or row.released:",
                "An older token is not its holder's any more.",
            ),
            (
                "if row is None or row.token != lease.token or row.released:",
                "if row is None or row.token != lease.token:",
                "A lease that was given back is lost.",
            ),
            (
                "mine = (schema.lease.c.target == lease.target) & (schema.lease.c.token == lease.token)",
                "mine = schema.lease.c.target == lease.target",
                "A lease that a newer process holds is not given back by its former holder.",
            ),
            (
                "connection.execute(update(schema.lease).where(mine).values(released=True))",
                "connection.execute(schema.lease.delete().where(mine))",
                "The newest token outlives its lease.",
            ),
            (
                "if row is None or row.released or datetime.fromisoformat(row.until) <= now:",
                "if row is None or row.released or datetime.fromisoformat(row.until) < now:",
                "A lease is free at its last moment.",
            ),
            (
                "if row is None or row.released or datetime.fromisoformat(row.until) <= now:",
                "if row is None or datetime.fromisoformat(row.until) <= now:",
                "A lease that was given back holds nobody up.",
            ),
            (
                '"until": format_utc(lease.until), "released": False}',
                '"until": format_utc(lease.until)}',
                "A target that was given back is held again once it is taken.",
            ),
        ),
    ),
    *of(
        ENDINGS,
        *ENDING_TESTS,
        rows=(
            (
                "ending.fence >= (lease.token if lease else 0)]",
                "ending.fence > (lease.token if lease else 0)]",
                "The same holder ends a rollout once.",
            ),
            (
                "ending.fence >= (lease.token if lease else 0)]",
                "ending.fence >= 0]",
                "A rollback under a newer token ends a rollout anew.",
            ),
            ("if lease is None and intents:", "if False:", "Without a lease a rollout that wrote is another run's."),
            (
                "intents = [entry for entry in entries if kind_of(entry) == INTENT]",
                "intents = [entry for entry in entries if entry.kind == INTENT]",
                "An intent that was entered later counts.",
            ),
            (
                "    if kind_of(entry) != CLOSED:",
                "    if entry.kind != CLOSED:",
                "An ending that was entered later counts.",
            ),
            (
                "    if kind_of(entry) != CLOSED:",
                "    if entry.kind != CLOSED and entry.kind != RECONCILED:",
                "Other entries that were entered later are no ending.",
            ),
        ),
    ),
    *of(
        "rollout/journal/schema.py",
        *ENDING_TESTS,
        rows=(
            (
                "query if rollout is None else query.where(entry.c.rollout == rollout)",
                "query",
                "Another rollout's ending is no obstacle.",
            ),
        ),
    ),
    *of(
        "rollout/journal/records.py",
        *_on_sqlite(
            "test_records.py",
            "test_in_flight_is_what_may_have_been_written_and_is_not_closed",
            "test_the_newest_rollout_of_a_content_is_the_last_that_was_opened_with_its_digest",
        ),
        rows=(
            (
                "Kind.INTENT, Kind.RECONCILED, without=Kind.CLOSED",
                "Kind.INTENT, without=Kind.CLOSED",
                "A write that was spooled may be in effect.",
            ),
            (
                "_read(journal, _ids_written_and_open(journal)) if record.in_flight]",
                "_read(journal, _ids_written_and_open(journal))]",
                "What the gateway refused is not in flight.",
            ),
            (
                'if record.opened.get("digest") == digest:',
                "if True:",
                "Only a rollout of this very content is continued.",
            ),
            (
                "reversed(journal.rollouts_with(Kind.OPENED, Kind.RECONCILED, text=text))",
                "journal.rollouts_with(Kind.OPENED, Kind.RECONCILED, text=text)",
                "The newest one counts.",
            ),
        ),
    ),
    *of(
        "rollout/cli/status_facts.py",
        "tests/cli/test_status_facts.py",
        rows=(
            (
                "find_record(journal, record.id) if is_single_request(record) else None",
                "None",
                "The outcome of its clause says when a single request was undone.",
            ),
        ),
    ),
    *of(
        "rollout/journal/records.py",
        "tests/cli/test_status_facts.py",
        rows=(
            (
                "needs_all = kinds is not REPLAYED and any(map(_is_spooled_ending, entries))",
                "needs_all = False",
                "A spooled ending counts only where no newer owner has written.",
            ),
        ),
    ),
    *of(
        STORE,
        *_on_sqlite(
            "test_journal.py",
            "test_three_processes_write_one_unbroken_chain",
            "test_a_write_that_is_interrupted_leaves_no_trace",
        ),
        *_on_sqlite("test_silent.py", "test_what_was_given_up_before_its_commit_is_never_written"),
        "tests/journal/test_store.py::test_a_commit_is_flushed_with_the_folder_that_names_it",
        "tests/journal/test_store.py::test_a_journal_that_is_deleted_under_a_run_is_not_made_anew",
        "tests/journal/test_store.py::test_a_journal_that_must_exist_is_not_made",
        "tests/journal/test_store.py::test_folder_and_file_are_made_and_only_the_owner_may_ever_read_the_file",
        "tests/journal/test_store.py::test_a_file_that_others_could_read_is_closed_to_them",
        rows=(
            ('"BEGIN IMMEDIATE"', '"BEGIN"', "Writers take turns, so that the chain is never forked."),
            ('"PRAGMA synchronous=EXTRA"', '"PRAGMA synchronous=NORMAL"', "An entry is on disk when its call returns."),
            ("?mode=rw", "?mode=rwc", "A journal that was deleted under a run does not come back empty."),
            (
                "if threading.current_thread() in self._abandoned:",
                "if False:",
                "A call that nobody waits for any more writes nothing.",
            ),
            ("(_make_file if create else _find_file)", "_make_file", "A journal that must exist is not made."),
            ("path.touch(mode=0o600, exist_ok=False)", "path.touch(exist_ok=False)", "Only the owner reads it."),
            ("stat().st_mode & 0o700", "stat().st_mode", "A file that others could read is closed to them."),
        ),
    ),
    *of(
        WORKSPACE,
        CLOCKS,
        rows=(
            (
                "return min(by_wall_clock_s, self._lease_ends_s - self.clock.monotonic())",
                "return by_wall_clock_s",
                "A wall clock that was set back prolongs no lease.",
            ),
            (
                "return min(by_wall_clock_s, self._lease_ends_s - self.clock.monotonic())",
                "return self._lease_ends_s - self.clock.monotonic()",
                "A wall clock that was set forward ends a lease.",
            ),
            (
                "left_s = min((lease.until - self.clock.now()).total_seconds(), for_s)",
                "left_s = (lease.until - self.clock.now()).total_seconds()",
                "A renewal runs no longer than it was asked for.",
            ),
            (
                "asked_s = self.clock.monotonic() if asked_s is None else asked_s",
                "asked_s = self.clock.monotonic()",
                "What the journal took to grant a lease is not added to it.",
            ),
            (
                "        return self._left_s() > 0",
                "        return self._left_s() >= 0",
                "A lease ends at its last moment.",
            ),
            (
                "if self.lease is not None and self._left_s() < for_s:",
                "if self.lease is not None and self._left_s() < 0:",
                "A lease is renewed before a write that would outlast it.",
            ),
            ("if self.lease is None and not self.is_emergency:", "if False:", "Without a lease nothing is announced."),
            (
                '            if direction != "back":',
                "            if True:",
                "A journal that is away does not stop the rollback from being announced.",
            ),
            (
                'if body["direction"] != "back" or not (self.is_emergency or self.lease_runs()):',
                "if not (self.is_emergency or self.lease_runs()):",
                "Only a write of the rollback is spooled.",
            ),
            (
                'if body["direction"] != "back" or not (self.is_emergency or self.lease_runs()):',
                'if body["direction"] != "back":',
                "Only while the lease runs is a write of the rollback spooled.",
            ),
            (
                'self.append_or_spool(Kind.OUTCOME, intent=intent, result="refused", detail=f"not sent: {why}")',
                "pass",
                "What was not sent is recorded as refused, so that nobody takes it back.",
            ),
            (
                "        if kind in FENCED and self.lease is not None:",
                "        if False:",
                "What announces a write is compared with the token in its transaction.",
            ),
            (
                "            self.successor = str(error)",
                "            pass",
                "A process that was superseded knows it from then on.",
            ),
        ),
    ),
    *of(
        "rollout/journal/record.py",
        CLOCKS,
        rows=(
            (
                "FENCED = frozenset({Kind.INTENT, Kind.HANDOVER, Kind.ROLLBACK, Kind.STEP})",
                "FENCED = frozenset({Kind.INTENT, Kind.ROLLBACK, Kind.STEP})",
                "A superseded run hands nothing over.",
            ),
        ),
    ),
)
