"""Deliberate one-line defects in the core, each of which the tests that are listed for it must notice.

`python -m tests.mutants` runs all of them and prints ``N/N``. Every module of this folder that has ``MUTANTS`` is a
list: `asking` for what comes before a change, `deciding` and `exiting` for how a run ends, `keeping` for evidence that
cannot be written, `owning` for who may write, `looking` for what is taken for the embedded gateway, `hiding` for
secrets and controls, `refusing` for people's mistakes, `watching` for those who act when a runner is gone, `undoing`
for what undoes, `telling` for what documents say, `judging` and `foreseeing` for what a window decides and can tell,
`editing` for files with settings and signals, `streaming` for completions that are streamed, `extending` for the length
of a window and the lateness of its polls, `stating` for what is believed of a gateway's OpenAPI document.
"""
