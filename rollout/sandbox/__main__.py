"""``python -m rollout.sandbox``: the command `rollout sandbox` without the other commands."""

import sys

from rollout.core.command_line import Parser
from rollout.sandbox.arguments import add_arguments
from rollout.sandbox.command import run


def main() -> int:
    """Parse the command line and run the gateway until it is stopped."""
    parser = Parser(prog="rollout sandbox", description="Run the embedded gateway.")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
