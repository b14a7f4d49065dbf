"""Runs the Python file that its first argument names: a test's own program, as a module can be asked for one."""

import runpy
import sys

if __name__ == "__main__":
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
