"""Packages that bring a driver, as pip would have installed them: a module and its metadata in a folder."""

from __future__ import annotations

from pathlib import Path

TOY = """
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from rollout.core.capabilities import Capability


class Login(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token_env: str


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    port: int
    mode: Literal["fast", "slow"] = "fast"
    login: Login | None = None
    depth: int | Literal["deep"] | None = None

    @field_validator("port")
    @classmethod
    def _is_free(cls, port):
        if port == 13:
            raise KeyError("thirteen")
        if port < 1024:
            raise ValueError("is a port of the system; write one from 1024 on")
        return port


class Toy:
    kind: ClassVar[str] = "toy"
    summary: ClassVar[str] = "a toy gateway"
    settings: ClassVar[type[BaseModel]] = Settings

    def __init__(self, target):
        self.target = target

    def writes(self, wish):
        return ()

    def capabilities(self):
        return dict.fromkeys(Capability, "a toy has nothing")

    @classmethod
    def recognise(cls, get):
        return None

    advise = destination = validate = read_call = paid_reads = place = active_calls = place_in = writes
    activated_as = reported_as = activation_keys = connect = writes
"""
"""A module with a driver of the kind ``toy``."""


def install_driver(folder: Path, kind: str = "toy", *, package: str = "toy-driver", code: str = TOY) -> Path:
    """Install a package of version 1.2 that brings a driver, the class ``Toy`` of its one module.

    Args:
        folder: goes on the module search path.
        kind: the name of the entry point.
        package: the package; its module is called after it.
        code: the module's source.
    """
    module = package.replace("-", "_")
    about = folder / f"{module}-1.2.dist-info"
    about.mkdir(parents=True)
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[rollout.drivers]\n{kind} = {module}:Toy\n", encoding="utf-8")
    return folder
