"""What the READMEs show of the demos' output, from running their blocks: reports/readme/demos.txt and the pages.

python -m experiments.readme_output FOLDER     about ten minutes; what the blocks write stays in FOLDER; MNIST is taken
                                               from ANOGAN_DATA, where that is set
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from anogan.files import write_text

PAGES = (Path("README.md"), Path("README.pt-BR.md"))
PRINTED = Path("reports/readme/demos.txt")
CUT = "..."  # at the end of a line that is too long for the page


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


def main(folder: Path) -> None:
    pages = {page: page.read_text() for page in PAGES}
    first = pages[PAGES[0]]
    shown = blocks(first, "text")
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    printed = []
    folder.mkdir(parents=True, exist_ok=True)
    for block in blocks(first, "sh")[1 : 1 + len(shown)]:
        command = ["sh", "-e", "-c", block]
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        printed.append(done.stdout)
    write_text(PRINTED, "\n".join(printed))
    for page, text in pages.items():
        for old, new in zip(shown, printed, strict=True):
            text = text.replace(f"```text\n{old}", f"```text\n{refreshed(old, new)}")
        write_text(page, text)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
