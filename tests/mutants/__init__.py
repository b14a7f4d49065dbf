"""Deliberate one-line defects in the core, each of which the tests that are listed for it must notice.

`python -m tests.mutants` runs all of them and prints ``N/N``. Every module of this folder that has ``MUTANTS`` is a
list: `deciding` and `exiting` for how a run ends, `owning` for who may write, `watching` for those who act when a
runner is gone, `undoing` for what undoes, `telling` for what documents say.
"""
