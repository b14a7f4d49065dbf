"""Who runs this process: the user of this machine, or the account for which a CI service runs the job.

The variables of a service are text from outside. A name that cannot be read as it stands counts as no name. An address
loses its credentials, its query and its fragment. What is no commit id is left out.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

from rollout.core.visible import show_controls

UNKNOWN = "unknown"
"""The name of a caller that nothing names."""

OTHER_SERVICE = "a CI service"
"""The service of a job whose variables are not known here: ``CI`` alone says that it is one."""

LONGEST_NAME = 100
LONGEST_ADDRESS = 1000
SHORT_COMMIT = 12

# Printable, and nothing that ends a link in HTML or Markdown, or a cell of a table.
_ADDRESS = re.compile(r"https?://[!#-;=?-\[\]_a-z~]+")
_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")
_NUMBER = re.compile(r"[0-9]{1,20}")
_JOB_ID = re.compile(r"[0-9A-Za-z-]{1,64}")

_NOBODY = frozenset(
    {
        *("timer", "scmchange", "branchindexing", "remoterequest", "genericwebhook", "anonymous"),
        *("microsoft.visualstudio.services.tfs", "project collection service accounts"),
    }
)
"""What Jenkins and Azure Pipelines give as the person of a job that a trigger has started."""

Variables = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who runs a process.

    Attributes:
        name: the account's name; `UNKNOWN` where nothing names one.
        service: the CI service whose job it is, such as ``GitHub Actions``; empty outside of a job.
        job: the job's address, http or https; empty where there is none.
        commit: the id of the commit that the job has checked out; empty where there is none.
        email: another name of the account, for comparisons; it is not recorded.
    """

    name: str = UNKNOWN
    service: str = ""
    job: str = ""
    commit: str = ""
    email: str = ""

    @classmethod
    def recorded(cls, facts: Mapping[str, object]) -> Caller:
        """Return the caller that `facts` describes; what a journal lacks, or what is no address, is empty."""
        name, service, job, commit = (str(facts.get(key) or "") for key in ("name", "service", "job", "commit"))
        return cls(name or UNKNOWN, service, job if _ADDRESS.fullmatch(job) else "", commit)

    @property
    def is_known(self) -> bool:
        """Whether anything names the account."""
        return self.name != UNKNOWN

    @property
    def names(self) -> tuple[str, ...]:
        """Every name of the account, for comparisons; none where it is not known."""
        return tuple(name for name in (self.name, self.email) if name and name != UNKNOWN)

    def facts(self) -> dict[str, str]:
        """Return what a journal records, as JSON types."""
        return {"name": self.name, "service": self.service, "job": self.job, "commit": self.commit}

    def describe_job(self) -> str:
        """Return such as ``GitHub Actions, https://…, commit 0123456789ab``; empty outside of a job."""
        commit = f"commit {self.commit[:SHORT_COMMIT]}" if self.commit else ""
        return ", ".join(part for part in (self.service, self.job, commit) if part)


def caller() -> str:
    """Return the name of this process's caller, for the record of what a command did.

    ``unknown (Jenkins)`` where the service names no account; ``uid 1000`` where the system has no name for the user.
    """
    found = identify(os.environ)
    if found.is_known:
        return found.name
    return f"{UNKNOWN} ({found.service})" if found.service else f"uid {os.getuid()}"


def login() -> str | None:
    """Return the user's name; None where neither the environment (``LOGNAME``, ``USER``) nor the system has one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def identify(env: Variables) -> Caller:
    """Return who runs this process, by the variables of the known CI services; outside of a job it is the user."""
    if (service := _service_of(env)) is not None:
        name, email = service.account(env)
        commit = env.get(service.commit, "").strip()
        return Caller(name, service.name, service.job(env), commit if _COMMIT.fullmatch(commit) else "", email=email)
    if env.get("CI", "").strip().casefold() in ("true", "1"):
        return Caller(service=OTHER_SERVICE)
    return Caller(_name(login() or "") or UNKNOWN)


def job_number(env: Variables) -> int | None:
    """Return the number of this process's job in its pipeline; None outside of a job, or where none is given."""
    service = _service_of(env)
    given = "" if service is None else env.get(service.number, "").strip()
    return int(given) if _NUMBER.fullmatch(given) else None


def _service_of(env: Variables) -> _Service | None:
    for service in _SERVICES:
        if all(env.get(sign) for sign in service.signs):
            return service
    return None


@dataclass(frozen=True, slots=True)
class _Service:
    """A CI service and its variables.

    Attributes:
        name: its name.
        signs: the variables that are all set in its jobs, and nowhere else.
        accounts: pairs of variables with the account's name and address of mail; the first pair that is set counts.
        commit: the variable with the commit's id.
        number: the variable with the job's number, which rises from one job of a pipeline to the next.
        job: returns the job's address.
    """

    name: str
    signs: tuple[str, ...]
    accounts: tuple[tuple[str, str], ...]
    commit: str
    number: str
    job: Callable[[Variables], str]

    def account(self, env: Variables) -> tuple[str, str]:
        """Return the name and the mail address of the account for which the job runs; `UNKNOWN` where none is named."""
        for of_name, of_email in self.accounts:
            given, email = env.get(of_name, "").strip(), _name(env.get(of_email, ""))
            if given.rpartition("\\")[2].casefold() in _NOBODY:
                break
            if given or email:
                return (_name(given) or UNKNOWN, email) if given else (email, "")
        return UNKNOWN, ""


def _name(value: str) -> str:
    """Return a name as it stands; empty for one that is too long, or holds a character that cannot be seen."""
    name = value.strip()
    return name if len(name) <= LONGEST_NAME and show_controls(name, keep="") == name else ""


def _address(value: str) -> str:
    """Return an http(s) address without credentials, query and fragment; empty for anything else."""
    address = value.strip()
    if len(address) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(address):
        return ""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", "")) if host else ""


def _github_job(env: Variables) -> str:
    run, attempt = env.get("GITHUB_RUN_ID", ""), env.get("GITHUB_RUN_ATTEMPT", "")
    repository = quote(env.get("GITHUB_REPOSITORY", ""))
    server = _address(env.get("GITHUB_SERVER_URL", "")).rstrip("/")
    if not (server and repository and _NUMBER.fullmatch(run)):
        return ""
    run = f"{server}/{repository}/actions/runs/{run}"
    return f"{run}/attempts/{attempt}" if _NUMBER.fullmatch(attempt) else run


def _gitlab_job(env: Variables) -> str:
    return _address(env.get("CI_JOB_URL", ""))


def _buildkite_job(env: Variables) -> str:
    build, job = _address(env.get("BUILDKITE_BUILD_URL", "")), env.get("BUILDKITE_JOB_ID", "")
    return f"{build}#{job}" if build and _JOB_ID.fullmatch(job) else build


def _azure_job(env: Variables) -> str:
    collection, build = _address(env.get("SYSTEM_COLLECTIONURI", "")).rstrip("/"), env.get("BUILD_BUILDID", "")
    project = quote(env.get("SYSTEM_TEAMPROJECT", ""), safe="")
    if not (collection and project and _NUMBER.fullmatch(build)):
        return ""
    return f"{collection}/{project}/_build/results?buildId={build}"


def _jenkins_job(env: Variables) -> str:
    return _address(env.get("BUILD_URL", ""))


_SERVICES = (
    _Service(
        "GitHub Actions",
        ("GITHUB_ACTIONS",),
        (("GITHUB_TRIGGERING_ACTOR", ""), ("GITHUB_ACTOR", "")),
        "GITHUB_SHA",
        "GITHUB_RUN_NUMBER",
        _github_job,
    ),
    _Service(
        "GitLab CI",
        ("GITLAB_CI",),
        (("GITLAB_USER_LOGIN", "GITLAB_USER_EMAIL"),),
        "CI_COMMIT_SHA",
        "CI_PIPELINE_IID",
        _gitlab_job,
    ),
    _Service(
        "Buildkite",
        ("BUILDKITE",),
        (
            ("BUILDKITE_UNBLOCKER", "BUILDKITE_UNBLOCKER_EMAIL"),
            ("BUILDKITE_BUILD_CREATOR", "BUILDKITE_BUILD_CREATOR_EMAIL"),
        ),
        "BUILDKITE_COMMIT",
        "BUILDKITE_BUILD_NUMBER",
        _buildkite_job,
    ),
    _Service(
        "Azure Pipelines",
        ("TF_BUILD",),
        (("BUILD_REQUESTEDFOR", "BUILD_REQUESTEDFOREMAIL"),),
        "BUILD_SOURCEVERSION",
        "BUILD_BUILDID",
        _azure_job,
    ),
    # JENKINS_URL alone is set in the shells of people who use its command line.
    _Service(
        "Jenkins",
        ("JENKINS_URL", "BUILD_URL"),
        (("BUILD_USER_ID", "BUILD_USER_EMAIL"),),
        "GIT_COMMIT",
        "BUILD_NUMBER",
        _jenkins_job,
    ),
)
