"""The build copies the checks into the package, `rollout/checks`; everything else stands in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CHECKS = "checks"


class BuildWithChecks(build_py):
    """Builds the package with the checks in it; an editable install uses those at the top."""

    def run(self) -> None:
        """Build, and copy the checks."""
        super().run()
        if not self.editable_mode:
            for source, copy in self._copies():
                self.mkpath(str(Path(copy).parent))
                self.copy_file(source, copy, preserve_mode=False)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return every file of the build."""
        return [*super().get_outputs(include_bytecode), *(copy for _, copy in self._copies())]

    def _copies(self) -> list[tuple[str, str]]:
        return [
            (str(path), str(Path(self.build_lib) / "rollout" / path)) for path in sorted(Path(CHECKS).rglob("*.py"))
        ]


setup(cmdclass={"build_py": BuildWithChecks})
