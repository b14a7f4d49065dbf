"""The registry of kinds: drivers of installed packages are found, and used only where they can be."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.core.kinds import DEFAULT_KIND
from rollout.gateway.drivers.documented import Documented
from rollout.gateway.drivers.registry import GROUP, UnusableKind, installed_kinds, load_driver
from tests.support.drivers import TOY, install_driver


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the module search path; the modules that are imported from it are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def refusal(kind: str) -> str:
    with pytest.raises(UnusableKind) as refused:
        load_driver(kind)
    return str(refused.value)


def own_kinds() -> set[str]:
    """Return the kinds that this package brings itself."""
    points = importlib.metadata.entry_points(group=GROUP)
    return {each.name for each in points if each.dist and each.dist.name == "rollout"}


def test_the_kinds_of_installed_packages_are_listed_and_no_driver_is_imported(site: Path):
    install_driver(site, code="raise AssertionError")
    found = {one.name: str(one) for one in installed_kinds()}
    own = f"rollout {importlib.metadata.version('rollout')}"
    assert found == {"toy": "toy-driver 1.2", **dict.fromkeys(own_kinds(), own)}
    assert DEFAULT_KIND in found


def test_the_driver_of_an_installed_package_is_loaded_by_its_kind(site: Path):
    install_driver(site)
    driver = load_driver("toy")
    assert (driver.kind, driver.summary, [*driver.settings.model_fields]) == (
        "toy",
        "a toy gateway",
        ["port", "mode", "login", "depth"],
    )


def test_the_default_kind_is_found_without_reading_entry_points(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.metadata, "entry_points", None)
    assert load_driver(DEFAULT_KIND) is Documented


def test_no_package_takes_the_default_kind_over(site: Path):
    install_driver(site, DEFAULT_KIND)
    assert load_driver(DEFAULT_KIND) is Documented


def test_an_unknown_kind_is_refused_with_those_that_are_installed(site: Path):
    install_driver(site)
    known = sorted({*own_kinds(), "toy"})
    assert refusal("toi") == (
        f"'toi' is no installed kind of gateway; did you mean 'toy'? the kinds are {', '.join(known)}"
        "; install the package that brings it, or write one of these"
    )


def test_a_kind_that_two_packages_bring_is_refused_by_their_names(site: Path):
    install_driver(site)
    install_driver(site, package="other-toy")
    assert refusal("toy") == "'toy' is brought by other-toy 1.2 and toy-driver 1.2; uninstall all but one of them"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("", "import gone\n", "cannot be imported (ModuleNotFoundError: No module named 'gone')"),
        ("", "1 / 0\n", "cannot be imported (ZeroDivisionError: division by zero)"),
        ("class Toy", "class Game", "cannot be imported (AttributeError: module 'toy_driver' has no attribute 'Toy')"),
        ('= "toy"', '= "toi"', "does not say `kind = 'toy'`"),
        ('"a toy gateway"', '" "', "has no summary, one line of text"),
        ("= Settings", "= dict", "has no settings, a model of pydantic"),
        ("read_call = paid_reads = place", "paid_reads", "has no read_call, place"),
        (
            'Settings(BaseModel):\n    model_config = ConfigDict(extra="forbid")',
            "Settings(BaseModel):",
            'accepts unknown keys in Settings, which needs `extra="forbid"`',
        ),
        (
            'Login(BaseModel):\n    model_config = ConfigDict(extra="forbid")',
            "Login(BaseModel):",
            'accepts unknown keys in Login, which needs `extra="forbid"`',
        ),
    ],
)
def test_a_driver_that_cannot_be_used_is_refused_with_the_reason_and_its_package(
    site: Path, old: str, new: str, why: str
):
    assert old in TOY
    install_driver(site, code=TOY.replace(old, new) if old else new + TOY)
    assert refusal("toy") == (
        f"'toy' cannot be used: its driver toy_driver:Toy in toy-driver 1.2 {why}; install a version of the package "
        "that works with this one, or use another kind"
    )
