"""The driver of docs/WRITE-A-DRIVER.md and its toy gateway, as an installed package would bring them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.support.forks import ROOT

PAGE = (ROOT / "docs" / "WRITE-A-DRIVER.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"```(?:python|toml)\n# (\S+)\n(.*?)```", re.DOTALL)
BLOCKS: Mapping[str, str] = dict(_BLOCK.findall(PAGE))


def install_page_driver(folder: Path, *defects: tuple[str, str]) -> None:
    """Install the page's package in a folder, its driver with the given fragments replaced."""
    driver = BLOCKS["toy_driver.py"]
    for sound, defective in defects:
        assert driver.count(sound) == 1, sound
        driver = driver.replace(sound, defective)
    (folder / "toy_driver.py").write_text(driver, encoding="utf-8")
    (folder / "toy_subject.py").write_text(BLOCKS["toy_subject.py"], encoding="utf-8")
    about = folder / "toy_driver-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-driver\nVersion: 1.0\n", encoding="utf-8")
    groups = re.sub(r'\[project\.entry-points\."(.*?)"\]', r"[\1]", BLOCKS["pyproject.toml"]).replace('"', "")
    (about / "entry_points.txt").write_text(groups, encoding="utf-8")
