"""Measurements: ratios within one run, on whatever machine this is. ``python -m bench`` prints the table."""
