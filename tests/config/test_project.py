"""The file that adopts the suite: where it is found, what it may say, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.config.project import read_project
from rollout.config.project_file import find_project_file
from rollout.core.errors import InvalidInput


def test_without_a_file_the_default_places_are_those_of_the_folder(tmp_path: Path):
    project = read_project(tmp_path)
    assert (project.root, project.scenarios, project.reports) == (
        tmp_path,
        tmp_path / "scenarios",
        tmp_path / "reports",
    )
    assert (project.targets, project.policy, project.journal) == (None, None, None)
    assert project.targets_file == tmp_path / "scenarios" / "targets.yaml"
    assert project.default_scenario == tmp_path / "scenarios" / "quickstart.yaml"


def test_every_path_counts_from_the_file_s_folder(tmp_path: Path):
    (tmp_path / "rollout.toml").write_text(
        'scenarios = "changes"\ntargets = "gateways.yaml"\npolicy = "/etc/rollout/policy.yaml"\n'
        'reports = "../build/evidence"\njournal = "state/journal.sqlite"\n'
    )
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    project = read_project(below)
    assert project.root == tmp_path
    assert project.scenarios == tmp_path / "changes"
    assert project.targets_file == tmp_path / "gateways.yaml"
    assert project.policy == Path("/etc/rollout/policy.yaml")
    assert project.reports == tmp_path.parent / "build" / "evidence"
    assert project.journal == f"sqlite:///{tmp_path}/state/journal.sqlite"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("sqlite:///j.sqlite", "sqlite:///{root}/j.sqlite"),
        ("sqlite:////var/j.sqlite", "sqlite:////var/j.sqlite"),
        ("postgresql://rollout@journal.example.com/rollouts", "postgresql://rollout@journal.example.com/rollouts"),
    ],
)
def test_a_journal_s_url_is_kept_unless_its_file_is_relative(tmp_path: Path, written: str, read: str):
    (tmp_path / "pyproject.toml").write_text(f'[tool.rollout]\njournal = "{written}"\n')
    assert read_project(tmp_path).journal == read.format(root=tmp_path)


def test_every_mistake_is_refused_at_once_with_its_line(tmp_path: Path):
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[project]\nname = "x"\nreports = "not this one"\n\n[tool.rollout]\nscenarioz = "s"\nreports = 3\nwhere = "x"\n'
        'journal = "postgresql://rollout:hunter2@journal.example.com/rollouts"\n'
    )
    with pytest.raises(InvalidInput) as refused:
        read_project(tmp_path)
    assert str(refused.value) == (
        f"{file}:6: scenarioz: there is no such key; did you mean 'scenarios'?\n"
        f'{file}:7: reports: must be text, such as reports = "reports"\n'
        f"{file}:8: where: there is no such key; the keys are scenarios, targets, policy, reports, journal\n"
        f"{file}:9: journal: holds a password, which does not belong into a file; leave it out, and set PGPASSWORD or "
        "a .pgpass file"
    )


def test_a_file_that_is_no_toml_is_refused_with_its_line(tmp_path: Path):
    (tmp_path / "rollout.toml").write_text('reports = "x"\nscenarios\n')
    with pytest.raises(InvalidInput, match=r"rollout\.toml:2: is not valid TOML: "):
        read_project(tmp_path)


def test_a_file_that_cannot_be_read_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "rollout.toml").write_text('journal = "postgresql://journal.example.com/rollouts"\n')

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InvalidInput, match=r"rollout\.toml: cannot be read \(Permission denied\); mend"):
        read_project(tmp_path)


def test_a_home_that_is_not_known_is_refused(tmp_path: Path):
    (tmp_path / "rollout.toml").write_text('reports = "~nobody-of-this-name/reports"\n')
    with pytest.raises(InvalidInput, match=r"rollout\.toml:1: reports: .* names a home folder that is not known here"):
        read_project(tmp_path)


def test_a_password_in_a_query_is_one_too(tmp_path: Path):
    (tmp_path / "rollout.toml").write_text('journal = "postgresql://journal.example.com/rollouts?password=hunter2"\n')
    with pytest.raises(InvalidInput, match="holds a password") as refused:
        read_project(tmp_path)
    assert "hunter2" not in str(refused.value)


def test_both_files_in_one_folder_are_refused(tmp_path: Path):
    (tmp_path / "rollout.toml").write_text("")
    (tmp_path / "pyproject.toml").write_text("[tool.rollout]\n")
    with pytest.raises(InvalidInput, match=r"pyproject\.toml: tool\.rollout: stands beside rollout\.toml; keep one"):
        read_project(tmp_path)


@pytest.mark.parametrize(
    "content",
    ['[project]\nname = "rollout-tools"\n', "[tool.rollouts]\n", "tool = 3  # rollout\n", "not toml, but rollout", ""],
)
def test_a_pyproject_without_the_table_adopts_nothing(tmp_path: Path, content: str):
    (tmp_path / "pyproject.toml").write_text(content)
    assert find_project_file(tmp_path) is None


@pytest.mark.parametrize(
    "content", ["[tool.rollout]\n", "[tool]\nrollout = {}\n", "[tool.'rollout']\nreports = 'x'\n", "[tool.rollout]\nx"]
)
def test_a_pyproject_with_the_table_does_also_where_it_is_broken(tmp_path: Path, content: str):
    (tmp_path / "pyproject.toml").write_text(content)
    assert find_project_file(tmp_path) == tmp_path / "pyproject.toml"


def test_the_nearest_file_counts_and_none_beyond_the_repository(tmp_path: Path):
    (tmp_path / "rollout.toml").write_text("")
    repository = tmp_path / "repository"
    package = repository / "package"
    package.mkdir(parents=True)
    assert find_project_file(package) == tmp_path / "rollout.toml"
    (repository / ".git").mkdir()
    assert find_project_file(package) is None
    (repository / "rollout.toml").write_text("")
    assert find_project_file(package) == repository / "rollout.toml"
    (package / "pyproject.toml").write_text("[tool.rollout]\n")
    assert find_project_file(package) == package / "pyproject.toml"


def test_a_later_folder_is_searched_only_where_the_first_belongs_to_no_project(tmp_path: Path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (other / "rollout.toml").write_text("")
    assert find_project_file(one, other) == other / "rollout.toml"
    (one / "rollout.toml").write_text("")
    assert find_project_file(one, other) == one / "rollout.toml"
