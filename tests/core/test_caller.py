"""Who runs a process: the account that a CI service names, or the user; an account that nothing names is unknown."""

from __future__ import annotations

import getpass

import pytest

from rollout.core.caller import LONGEST_NAME, OTHER_SERVICE, UNKNOWN, Caller, caller, identify
from tests.support.services import leave_services

SHA = "9f3182061f1e2cca4702c368cbc039b7dc9d4485"
GITHUB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_ACTOR": "alice",
    "GITHUB_TRIGGERING_ACTOR": "alice",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/llm-gateway",
    "GITHUB_RUN_ID": "19284756103",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_SHA": SHA,
}
GITLAB = {
    "CI": "true",
    "GITLAB_CI": "true",
    "GITLAB_USER_LOGIN": "alice",
    "GITLAB_USER_EMAIL": "alice@example.com",
    "CI_JOB_URL": "https://gitlab.example.com/acme/llm-gateway/-/jobs/4711",
    "CI_COMMIT_SHA": SHA,
}
JENKINS = {
    "JENKINS_URL": "https://ci.example.com/",
    "BUILD_URL": "https://ci.example.com/job/llm-gateway/42/",
    "BUILD_USER_ID": "alice",
    "BUILD_USER_EMAIL": "alice@example.com",
    "GIT_COMMIT": SHA,
}
AZURE = {
    "TF_BUILD": "True",
    "BUILD_REQUESTEDFOR": "Alice Example",
    "BUILD_REQUESTEDFOREMAIL": "alice@example.com",
    "SYSTEM_COLLECTIONURI": "https://dev.azure.com/acme/",
    "SYSTEM_TEAMPROJECT": "LLM Gateway",
    "BUILD_BUILDID": "815",
    "BUILD_SOURCEVERSION": SHA,
}
BUILDKITE = {
    "CI": "true",
    "BUILDKITE": "true",
    "BUILDKITE_BUILD_CREATOR": "Alice Example",
    "BUILDKITE_BUILD_CREATOR_EMAIL": "alice@example.com",
    "BUILDKITE_BUILD_URL": "https://buildkite.com/acme/llm-gateway/builds/17",
    "BUILDKITE_JOB_ID": "0184990a-477b-4fa8-9968-496074483cee",
    "BUILDKITE_COMMIT": SHA,
}


@pytest.mark.parametrize(
    ("env", "name", "service", "job"),
    [
        (GITHUB, "alice", "GitHub Actions", "https://github.com/acme/llm-gateway/actions/runs/19284756103/attempts/1"),
        (GITLAB, "alice", "GitLab CI", "https://gitlab.example.com/acme/llm-gateway/-/jobs/4711"),
        (JENKINS, "alice", "Jenkins", "https://ci.example.com/job/llm-gateway/42/"),
        (
            AZURE,
            "Alice Example",
            "Azure Pipelines",
            "https://dev.azure.com/acme/LLM%20Gateway/_build/results?buildId=815",
        ),
        (
            BUILDKITE,
            "Alice Example",
            "Buildkite",
            "https://buildkite.com/acme/llm-gateway/builds/17#0184990a-477b-4fa8-9968-496074483cee",
        ),
    ],
)
def test_each_service_names_the_account_the_job_and_the_commit(env, name, service, job):
    found = identify(env)
    assert (found.name, found.service, found.job, found.commit) == (name, service, job, SHA)
    assert found.names == (name, *(["alice@example.com"] if env is not GITHUB else []))
    assert Caller.recorded(found.facts()).facts() == found.facts()
    assert "alice@example.com" not in found.facts().values(), "a mail address is for comparisons alone"


@pytest.mark.parametrize(
    ("env", "name", "service", "job"),
    [
        ({**GITHUB, "GITHUB_TRIGGERING_ACTOR": "bob", "GITHUB_RUN_ATTEMPT": "2"}, "bob", None, "/attempts/2"),
        ({key: value for key, value in GITHUB.items() if key != "GITHUB_TRIGGERING_ACTOR"}, "alice", None, None),
        ({key: value for key, value in GITHUB.items() if key != "GITHUB_RUN_ATTEMPT"}, "alice", None, "/19284756103"),
        ({**BUILDKITE, "BUILDKITE_UNBLOCKER": "Bob"}, "Bob", None, None),
        ({**AZURE, "BUILD_REQUESTEDFOR": ""}, "alice@example.com", None, None),
        ({**JENKINS, "GITLAB_CI": ""}, "alice", "Jenkins", None),
    ],
)
def test_the_person_who_started_this_very_job_counts(env, name, service, job):
    """Who re-runs a job, or unblocks it, runs it; an older server names one person only."""
    found = identify(env)
    assert found.name == name
    assert service is None or found.service == service
    assert job is None or found.job.endswith(job)


@pytest.mark.parametrize(
    "env",
    [
        {**GITHUB, "GITHUB_ACTOR": "", "GITHUB_TRIGGERING_ACTOR": " "},
        {**GITHUB, "GITHUB_TRIGGERING_ACTOR": "b\u202eob"},
        {**GITHUB, "GITHUB_TRIGGERING_ACTOR": "bob\nroot"},
        {**GITHUB, "GITHUB_TRIGGERING_ACTOR": "b" * (LONGEST_NAME + 1)},
        {**JENKINS, "BUILD_USER_ID": "", "BUILD_USER_EMAIL": ""},
        {**JENKINS, "BUILD_USER_ID": "timer"},
        {**JENKINS, "BUILD_USER_ID": "scmChange"},
        {**AZURE, "BUILD_REQUESTEDFOR": "[acme]\\Project Collection Service Accounts"},
        {"CI": "true", "USER": "runner"},
    ],
)
def test_an_account_that_is_not_named_or_not_readable_is_unknown(env):
    """A name that is cut, or of which a reader sees another one, is not taken for a name."""
    found = identify(env)
    assert (found.name, found.is_known) == (UNKNOWN, False)
    assert found.service


@pytest.mark.parametrize(
    ("url", "job"),
    [
        ("https://bob:hunter2@ci.example.com:8443/job/7/", "https://ci.example.com:8443/job/7/"),
        ("https://hunter2@ci.example.com/job/7/?token=hunter2#hunter2", "https://ci.example.com/job/7/"),
        ("http://[::1]:8080/job/7/", "http://[::1]:8080/job/7/"),
        ("javascript:alert(1)", ""),
        ("ftp://ci.example.com/job/7/", ""),
        ("https://ci.example.com/job/7/|<script>", ""),
        ("https://ci.example.com/job/7/ \x1b[2J", ""),
        ("https://[ci.example.com/job/7/", ""),
        ("https://bob@/job/7/", ""),
        ("https://ci.example.com/" + "7" * 1000, ""),
    ],
)
def test_an_address_has_no_credentials_and_is_one_of_the_web(url, job):
    assert identify({**JENKINS, "BUILD_URL": url}).job == job


@pytest.mark.parametrize("key", ["GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_SERVER_URL"])
def test_an_address_that_is_not_complete_is_left_out(key):
    assert identify({**GITHUB, key: ""}).job == ""
    assert identify({**AZURE, "BUILD_BUILDID": "815&x=y"}).job == ""


@pytest.mark.parametrize("commit", ["HEAD", "", "main; rm", "g" * 40, "a" * 65])
def test_what_is_no_commit_is_left_out(commit):
    assert identify({**BUILDKITE, "BUILDKITE_COMMIT": commit}).commit == ""


def test_outside_of_a_job_it_is_the_user(monkeypatch: pytest.MonkeyPatch):
    """The command line of Jenkins reads JENKINS_URL: that variable alone is no job."""
    monkeypatch.setattr(getpass, "getuser", lambda: "alice")
    assert identify({"JENKINS_URL": "https://ci.example.com/"}) == Caller("alice")
    monkeypatch.setattr(getpass, "getuser", lambda: "al\x1bice")
    assert identify({}) == Caller(UNKNOWN)


@pytest.mark.parametrize(
    ("env", "name"),
    [
        (GITHUB, "alice"),
        ({**JENKINS, "BUILD_USER_ID": "timer"}, "unknown (Jenkins)"),
        ({"CI": "true"}, f"unknown ({OTHER_SERVICE})"),
    ],
)
def test_a_command_notes_the_account_of_the_job(monkeypatch: pytest.MonkeyPatch, env, name):
    leave_services(monkeypatch)
    for key, value in env.items():
        monkeypatch.setenv(key, value)
    assert caller() == name


def test_what_a_journal_says_of_a_caller_is_no_link_unless_it_is_one():
    """An entry of another version may lack a part of it."""
    assert Caller.recorded({}) == Caller()
    assert Caller.recorded({"name": "eve", "job": "javascript:alert(1)"}) == Caller("eve")
    assert (
        Caller("eve", "GitLab CI", "https://x/1", SHA).describe_job() == "GitLab CI, https://x/1, commit 9f3182061f1e"
    )
