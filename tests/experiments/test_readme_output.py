"""The figures that the READMEs show of the demos come from a run of their blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.readme_output import PRINTED, blocks, commands, refreshed

ROOT = Path(__file__).parents[2]


def test_shown_lines_take_the_figures_of_the_printed_ones_in_order() -> None:
    printed = "noise\npump: 3 alarms in 17 rows\nother 4\npump: 2 alarms in 9 rows\nlong line of 7 words and more\n"
    shown = "pump: 1 alarms in 1 rows\npump: 1 alarms in 1 rows\nlong line of 1 wo...\n"
    expected = "pump: 3 alarms in 17 rows\npump: 2 alarms in 9 rows\nlong line of 7 wo...\n"
    assert refreshed(shown, printed) == expected
    with pytest.raises(ValueError, match="not printed: other 5 alarms"):
        refreshed("other 5 alarms\n", printed)


def test_a_console_block_is_its_commands_each_with_its_output() -> None:
    block = "$ anogan score a\n1 alarm\nb\n$ cat c\n$ cat d\nend\n$ cat e\n"
    expected = [("anogan score a", "1 alarm\nb\n"), ("cat c", ""), ("cat d", "end\n"), ("cat e", "")]
    assert list(commands(block)) == expected


def test_every_line_shown_was_printed() -> None:
    lines = (ROOT / PRINTED).read_text().splitlines()
    for block in blocks((ROOT / "README.md").read_text(), "text"):
        for line in block.splitlines():
            assert any(one.startswith(line.removesuffix("...")) for one in lines), line
