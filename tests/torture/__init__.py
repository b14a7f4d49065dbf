"""The torture test: whatever ends a run, and whenever, the gateway is never left in between.

`python -m tests.torture` runs all of it and prints ``N/N``; `pytest tests` runs a sample.
"""
