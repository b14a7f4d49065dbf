"""Rewrite constants of the suite in every process that has this folder on its PYTHONPATH, watchdogs included.

``TORTURE_REWRITE`` is a JSON list of pairs: a regular expression and what takes its place in the sources of `rollout`.
No shipped option makes a lease or a start-up shorter; a case that waits for the end of one must.
"""

import importlib.machinery
import json
import os
import re
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType

_PAIRS = json.loads(os.environ.get("TORTURE_REWRITE", "[]"))
REWRITES = [(re.compile(found, re.MULTILINE), instead) for found, instead in _PAIRS]


class Rewriting(importlib.machinery.SourceFileLoader):
    """Loads a module from its source, rewritten; compiled files are neither read nor written."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the rewritten source."""
        path = self.get_filename(fullname)
        text = self.get_data(path).decode()
        for found, instead in REWRITES:
            text = found.sub(instead, text)
        return compile(text, path, "exec", dont_inherit=True)


class Finder:
    """Finds the modules of the suite, and no others."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where a module of the suite is, to be loaded by `Rewriting`."""
        if not name.startswith("rollout."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = Rewriting(spec.loader.name, spec.loader.path)
        return spec


sys.meta_path.insert(0, Finder)
