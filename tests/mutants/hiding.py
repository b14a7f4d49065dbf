"""Defects in what is taken out, shown and decoded: secrets, controls, bodies."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

MUTANTS: tuple[Mutant, ...] = (
    *of(
        "rollout/core/redaction.py",
        "tests/core/test_redaction.py",
        rows=(
            (
                "elif whole_file and len(value.strip()) >= SHORTEST_FOUND and not is_plain(value):",
                "elif False:",
                "Every value of a `.env` file that is not plain is a secret.",
            ),
            (
                "if classify_name(name) is NameKind.OPEN and is_plain(value)",
                "if classify_name(name) is NameKind.OPEN",
                "Only a plain value elsewhere shows that a value gives nothing away.",
            ),
            (
                "            for part in _parts(value):",
                "            for part in ():",
                "What looks like a secret is one in any variable.",
            ),
        ),
    ),
    *of(
        "rollout/core/spellings.py",
        "tests/core/test_spellings.py",
        rows=(
            ("        view = view.resolved()", "        view = None", "Escapes are resolved."),
            (
                "_encoded(data, base64.b32encode, 5, 5)",
                "_encoded(data, base64.b32encode, 5, 1)",
                "Base32 is found wherever it begins.",
            ),
            ("        if not done:", "        if True:", "A text is resolved step by step."),
        ),
    ),
    *of(
        "rollout/gateway/decoding.py",
        "tests/gateway/test_decoding.py",
        rows=(
            ("if len(codings) > 1:", "if False:", "One content coding at most is decoded."),
            ("most = self._cap + 1 - len(self._decoded)", "most = 0", "No more is decoded than the cap."),
            ("if self._received > self._cap:", "if False:", "The cap is on what is received too."),
        ),
    ),
    *of(
        "rollout/plugin/terminal_text.py",
        "tests/core/test_visible.py",
        rows=(
            (
                "escape = secrets.token_hex(8)",
                'escape = "\\x1b"',
                "Only styles that pytest makes itself are sent.",
            ),
            (
                "self._reporter.write_line(on_one_line(text), **styles)",
                "self._reporter.write_line(text, **styles)",
                "A line of the closing block is one line.",
            ),
        ),
    ),
)
