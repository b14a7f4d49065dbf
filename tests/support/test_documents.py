"""The documents' blocks and command lines are found, each with its line."""

from __future__ import annotations

import pytest

from tests.support.documents import (
    Passage,
    blocks_of,
    commands_of,
    console_commands,
    cron_commands,
    pipeline_commands,
    scripts_of,
    yaml_blocks,
)

PAGE = """# Page

```yaml
a: 1
```

- in a list:

  ```console
  $ one
  ```

````text
```yaml
```
````
"""


def test_a_block_has_its_language_its_text_and_its_first_line():
    assert list(blocks_of("page.md", PAGE)) == [
        ("yaml", ("page.md", 4, "a: 1\n")),
        ("console", ("page.md", 10, "$ one\n")),
        ("text", ("page.md", 14, "```yaml\n```\n")),
    ]


def test_a_block_without_an_end_is_refused_with_its_place():
    with pytest.raises(ValueError, match=r"^page\.md:2: the block has no end$"):
        list(blocks_of("page.md", "text\n```yaml\na: 1\n"))


def test_a_command_line_ends_where_no_backslash_continues_it():
    block = Passage("page.md", 4, "$ curl -X PUT \\\n    -d 1\nits output\n$ rollout status  # in flight\n")
    assert list(commands_of(block)) == [
        ("page.md", 4, "curl -X PUT \\\n    -d 1"),
        ("page.md", 7, "rollout status  # in flight"),
    ]


def test_the_commands_of_a_pipeline_are_found_with_their_lines():
    steps = "steps:\n  - run: one\n  - run: |\n      two\n      three\n"
    text = f"{steps}script:\n  - four\nafter_script: [five]\nenv: {{A: six}}\n"
    assert list(scripts_of(Passage("page.md", 10, text))) == [
        ("page.md", 11, "one"),
        ("page.md", 13, "two\nthree\n"),
        ("page.md", 16, "four"),
        ("page.md", 17, "five"),
    ]


def test_a_scenario_hands_nothing_to_a_shell():
    assert list(scripts_of(Passage("page.md", 1, "change: {activate: openai, model: gpt-4o}\n"))) == []


def test_every_kind_is_found_in_the_documents_as_they_are():
    assert {"README.md", "docs/CANARY.md"} <= {block.file for block in yaml_blocks()}
    assert any(command.text.startswith(".venv/bin/rollout sandbox") for command in console_commands())
    assert any("recover --journal=" in command.text for command in pipeline_commands())
    assert all("cd /srv/rollout && " in command.text for command in cron_commands())
    assert list(cron_commands())
