"""What READMEs and guides show of commands' output, from running them: reports/readme/demos.txt and the pages.

python -m experiments.readme_output FOLDER     about fifteen minutes; what the commands write stays in FOLDER, which is
                                               made; MNIST is taken from ANOGAN_DATA, where that is set
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from anogan.files import write_text

PAGES = (Path("README.md"), Path("README.pt-BR.md"))
GUIDES = tuple(Path("docs") / f"{name}.md" for name in ("choose", "false-alarms", "photos", "sensors"))
PRINTED = Path("reports/readme/demos.txt")
CUT = "..."  # at the end of a line that is too long for the page
RUN = ("anogan score", "anogan train", "anogan recalibrate", "cat", "head")  # of the guides' commands
# What a command of the guides needs.
BEFORE = {
    "anogan score runs/digits digits": "rm -rf runs/digits; "
    "anogan train --preset digits --gan.steps 300 --encoder.steps 200 --out runs/digits",
    "anogan train --data pump.csv": "rm -rf runs/pump-seed0; head -4001 runs/demo-sensors/healthy.csv > pump.csv",
    "anogan recalibrate runs/pump-seed0": "rm -rf runs/pump-seed0; cp -r runs/demo-sensors/run runs/pump-seed0; "
    "head -8641 runs/demo-sensors/watched.csv > monday.csv",
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.S)


def words(line: str) -> str:
    """A line without its figures."""
    return " ".join(re.sub(r"\d[\d.,]*", "#", line).split())


def refreshed(shown: str, printed: str) -> str:
    """The lines that are shown, with the figures of the printed lines of the same words; raises `ValueError` where a
    line was not printed."""
    left, lines = printed.splitlines(), []
    for line in shown.splitlines():
        begin = words(line.removesuffix(CUT))
        number = next((i for i, one in enumerate(left) if words(one).startswith(begin)), None)
        if number is None:
            raise ValueError(f"not printed: {line}")
        lines.append(left[number][: len(line) - len(CUT)] + CUT if line.endswith(CUT) else left[number].rstrip())
        left = left[number + 1 :]
    return "\n".join(lines) + "\n"


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Of a console block, each command and the lines shown of its output."""
    command = ""
    for prompt, lines in groupby(block.splitlines(), lambda line: line.startswith("$ ")):
        text = list(lines)
        if prompt:
            yield from ((one[2:], "") for one in text[:-1])
            command = text[-1][2:]
        else:
            yield command, "\n".join(text) + "\n"
            command = ""
    if command:
        yield command, ""


def called(command: str, folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    shell = ["sh", "-e", "-c", command]
    return subprocess.run(shell, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def refresh_guide(page: str, folder: Path) -> str:
    for block in blocks(page, "console"):
        found = list(commands(block))
        if not all(command.startswith(RUN) for command, _ in found):
            continue
        new = ""
        for command, shown in found:
            for begin, before in BEFORE.items():
                if command.startswith(begin):
                    called(before, folder)
            new += f"$ {command}\n" + refreshed(shown, called(command, folder)) if shown else f"$ {command}\n"
        page = page.replace(f"```console\n{block}```", f"```console\n{new}```")
    return page


def main(folder: Path) -> None:
    folder.mkdir(parents=True)  # a finished demo would not print its figures again
    pages = {page: page.read_text() for page in PAGES}
    first = pages[PAGES[0]]
    shown = blocks(first, "text")
    printed = [called(block, folder) for block in blocks(first, "sh")[1 : 1 + len(shown)]]
    write_text(PRINTED, "\n".join(printed))
    for page, text in pages.items():
        for old, new in zip(shown, printed, strict=True):
            text = text.replace(f"```text\n{old}", f"```text\n{refreshed(old, new)}")
        write_text(page, text)
    for guide in GUIDES:
        write_text(guide, refresh_guide(guide.read_text(), folder))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
