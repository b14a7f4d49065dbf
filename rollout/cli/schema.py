"""``rollout schema``: print the JSON Schema of a scenario, of targets or of a policy, for an editor."""

from __future__ import annotations

import argparse
import sys

from rollout.config.json_schema_files import schema_path


def run(args: argparse.Namespace) -> int:
    """Print the schema as the package ships it, and return 0."""
    sys.stdout.write(schema_path(args.name).read_text(encoding="utf-8"))
    return 0
