"""The table of the commands, except `emergency`: their modules, texts and options."""

from __future__ import annotations

import argparse
from pathlib import Path

from rollout.audit import command as audit
from rollout.cli.options import ACTIVATE, JOURNAL, OPEN, ROLLOUT_ID, SCENARIO, WHERE, Command, one_of, option
from rollout.config import json_schema_files
from rollout.journal.record import Decision
from rollout.sandbox import arguments as sandbox

SHELLS = ("bash", "zsh", "tcsh", "fish", "powershell")
"""Those for which shtab writes a script; it is imported by the command alone."""

COMMANDS = (
    Command(
        "sandbox",
        "rollout.sandbox.command",
        "run the embedded gateway",
        (sandbox.add_arguments,),
        "The command ``rollout sandbox``.",
    ),
    Command(
        "status",
        "rollout.cli.status",
        "show the rollouts in flight, and what is owed to closed ones",
        (
            *JOURNAL,
            option("--all", action="store_true", help="show the closed ones too"),
            option("--target", metavar="NAME", help="only those at this target"),
            option("--since", metavar="WHEN", help="only those since a day (2026-11-24), or so long ago (36h)"),
            option("--decision", choices=[OPEN, *Decision], help="only those that ended so"),
            option("--author", metavar="NAME", help="only those of this person"),
            option("--json", action="store_true", help="one JSON document"),
            option(
                "--reconcile",
                metavar="TARGET",
                help="list the changes at this target that no rollout made; 1 if there are any",
            ),
        ),
    ),
    Command(
        "watch",
        "rollout.cli.watch",
        "show a rollout that runs elsewhere until it ends, with the live view of its window",
        (*JOURNAL, ROLLOUT_ID),
        "Show a rollout that runs elsewhere, from its journal alone, until it ends. Ctrl-C ends the view, and not the "
        "rollout. The exit code is that of the decision: 0 kept, 1 nothing applied, 10 rolled back, 11 rollback "
        "failed, 12 evidence is owed.",
    ),
    Command(
        "serve",
        "rollout.serve.command",
        "show the windows in flight as a page on this machine, live; it reads the journal only",
        (*JOURNAL, option("--port", metavar="PORT", type=int, default=0, help="on 127.0.0.1 (default: a free one)")),
        "Show the rollouts in flight, what is owed, and the index, as a page on 127.0.0.1, until Ctrl-C. The page only "
        "reads: nothing on it changes a rollout.",
    ),
    Command(
        "rollback",
        "rollout.cli.rollback",
        "roll a rollout back, kept or in flight",
        (
            *JOURNAL,
            ROLLOUT_ID,
            option("--reason", default="asked for on the command line", help="why, for the record"),
        ),
    ),
    Command(
        "recover",
        "rollout.cli.recover",
        "roll back what was left in flight by runs that are gone",
        (
            *JOURNAL,
            option(
                "--wait",
                metavar="DURATION",
                help="go on for at most so long while a run or a watchdog has a rollout in its hands: 5m; a place that "
                "no run has made a journal at is no mistake then",
            ),
        ),
    ),
    Command(
        "plan",
        "rollout.cli.plan",
        "show what apply would execute, and what the rollback would; nothing is done",
        (*JOURNAL, *SCENARIO),
    ),
    Command(
        "drill",
        "rollout.cli.drill.command",
        "inject each trigger's breach, and show whether it fires and how soon",
        (
            *JOURNAL,
            *SCENARIO,
            option(
                "--live",
                action=argparse.BooleanOptionalAction,
                help="for real too, on an embedded gateway of the drill's own (default: where the target is the "
                "embedded one), or on the one that --target or --gateway names, which has a control interface and is "
                "not production",
            ),
            option("--json", action="store_true", help="one JSON document"),
        ),
    ),
    Command(
        "doctor",
        "rollout.cli.doctor.command",
        "examine a gateway, reading only, and write a target file to start from",
        (
            *JOURNAL,
            one_of(
                option("--gateway", metavar="URL", help="the base URL"),
                option(
                    "--kinds", action="store_true", help="list the kinds of gateways that targets may name, instead"
                ),
                required=True,
            ),
            option("--target", metavar="NAME", default="gateway", help="what to call it (default: gateway)"),
            option("--token-env", metavar="NAME", help="the environment variable with the bearer token"),
            option("--write", metavar="FILE", type=Path, help="write the target there (default: print it)"),
        ),
    ),
    Command(
        "init",
        "rollout.cli.init.command",
        "write the files of a project: targets, policy, a first change, a pipeline; none is overwritten",
        (
            option(
                "directory",
                nargs="?",
                metavar="DIR",
                type=Path,
                default=Path(),
                help="the project's folder, which is made (default: the current one)",
            ),
            option("--gateway", metavar="URL", help="the base URL (default: the embedded gateway, started on demand)"),
            option("--token-env", metavar="NAME", help="the environment variable with the bearer token"),
            option("--target", metavar="NAME", help="what to call it (default: gateway, or embedded)"),
            option("--activate", metavar="PROVIDER:MODEL", help="the first change (default: one that is listed)"),
            option(
                "--ci",
                choices=("github", "gitlab", "none"),
                help="whose pipeline (default: gitlab where there is a .gitlab-ci.yml, else github)",
            ),
        ),
        "Write the files of a project that the suite works in, and name the next commands. No file is overwritten. On "
        "a terminal it asks for what no option says.",
    ),
    Command(
        "report",
        "rollout.cli.report",
        "build report.html, also of a run that was killed",
        (*JOURNAL, option("id", nargs="?", help="the rollout's id (default: the latest)")),
    ),
    Command(
        "approve",
        "rollout.cli.approve",
        "approve a scenario, or a rollout after the fact",
        (
            *JOURNAL,
            option("what", nargs="?", metavar="SCENARIO|ROLLOUT-ID", help="a scenario's file, or a rollout's id"),
            ACTIVATE,
            option("--ticket", metavar="ID", help="the ticket, where the run is given one"),
            *WHERE,
            one_of(
                option(
                    "--as",
                    dest="role",
                    choices=("operator",),
                    help="stand by to roll it back, instead of reviewing",
                ),
                option("--waiver", metavar="CLAUSE", help="approve this waiver of the scenario, instead of the change"),
            ),
            option("--by", metavar="NAME", help="who approves, as the allowed signers name them (default: $USER)"),
            option("--key", metavar="FILE", type=Path, help="sign with this SSH key, or with the agent's (.pub)"),
            option("--comment", metavar="TEXT", default="", help="a remark, kept with the approval"),
        ),
    ),
    Command(
        "verify-journal",
        "rollout.cli.verify_journal",
        "check that the record is as it was written, and that it follows",
        (*JOURNAL, audit.add_arguments),
    ),
    Command(
        "audit-sample",
        "rollout.cli.audit_sample",
        "choose rollouts for an audit by a seed, and pack their evidence into one archive",
        (
            *JOURNAL,
            option("--seed", required=True, help="any text; the same one chooses the same rollouts again"),
            option("-n", dest="size", metavar="N", type=int, required=True, help="how many rollouts"),
            option("--target", metavar="NAME", help="of this target only"),
            option("--since", metavar="MOMENT", help="opened then or later: 2026-11-24, or 36h for so long ago"),
            option("--out", metavar="DIR", type=Path, required=True, help="where audit-sample-SEED.tar.gz goes"),
        ),
    ),
    Command(
        "prune",
        "rollout.cli.prune",
        "archive the folders of old rollouts, and remove them; the journal stays",
        (
            *JOURNAL,
            option("--keep", metavar="N", type=int, required=True, help="how many closed rollouts stay as they are"),
            option("--to", metavar="DIR", type=Path, required=True, help="where ID.tar.gz of each other one goes"),
        ),
    ),
    Command(
        "legal-hold",
        "rollout.cli.legal_hold",
        "keep a rollout's evidence from being pruned, or release it",
        (
            *JOURNAL,
            option("id", metavar="ID", help="the rollout's id"),
            option("--reason", metavar="TEXT", required=True, help="why, for the record"),
            option("--release", action="store_true", help="end the hold"),
        ),
    ),
    Command(
        "abort",
        "rollout.cli.abort",
        "ask a rollout that is being watched to roll back (MON-5)",
        (*JOURNAL, ROLLOUT_ID, option("--reason", default="no reason given", help="what was seen")),
    ),
    Command(
        "hold",
        "rollout.cli.hold",
        "hold the automatic rollback of a rollout that is being watched, or release it",
        (
            *JOURNAL,
            ROLLOUT_ID,
            one_of(
                option(
                    "--for",
                    dest="duration",
                    metavar="DURATION",
                    help="how long from now: 15m; the policy has a limit",
                ),
                option("--release", action="store_true", help="end the hold: a breach that stands rolls back at once"),
                required=True,
            ),
            option("--reason", default="", help="why, for the record; a hold needs one"),
        ),
    ),
    Command(
        "schema",
        "rollout.cli.schema",
        "print the JSON Schema of a scenario, of targets.yaml or of policy.yaml, for an editor",
        (option("name", metavar="NAME", choices=json_schema_files.NAMES, help="which: %(choices)s"),),
    ),
    Command(
        "completion",
        "rollout.cli.completion",
        "print the script that completes commands, options and files in a shell",
        (option("shell", choices=SHELLS, help="the shell; eval the output, or save it where the shell reads scripts"),),
    ),
)
"""Every command, in the order of the help; what a module imports is imported when its command is called."""
