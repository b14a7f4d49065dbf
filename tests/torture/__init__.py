"""The torture test: every fault at every step of a run ends with the change kept or rolled back.

`python -m tests.torture` runs all of it and prints ``N/N``; `pytest tests/torture` runs a sample.
"""
