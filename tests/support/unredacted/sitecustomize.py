"""Switches the redaction off, in every process that has this folder on its PYTHONPATH: a search must find something."""

from rollout.core.redaction import Redactor

Redactor.text = lambda self, text: text  # type: ignore[method-assign] # noqa: ARG005
Redactor.value = lambda self, value: value  # type: ignore[method-assign] # noqa: ARG005
Redactor.known = lambda self, text: text  # type: ignore[method-assign] # noqa: ARG005
