"""Whether the record can be trusted: manifests, seals, verdicts derived again, and what was changed beside it."""
