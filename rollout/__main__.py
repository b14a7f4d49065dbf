"""``python -m rollout``."""

import sys

from rollout.cli.main import main

sys.exit(main())
