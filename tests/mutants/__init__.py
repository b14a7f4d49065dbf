"""Deliberate one-line defects in the core, each of which the tests that are listed for it must notice.

`python -m tests.mutants` runs all of them and prints ``N/N``. Every module of this folder that has ``MUTANTS`` is a
list: `deciding` for what decides, `undoing` for what undoes.
"""
