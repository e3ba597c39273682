"""Adapt the guides to the site: copy pictures from outside docs/, and turn links to other files into plain text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(\.\./([^)]*)\)")
PICTURE = re.compile(r"(!\[[^\]]*\])\(\.\./([^)]*)\)")


def _place(picture: str) -> str:
    return "pictures/" + picture.replace("/", "-")


def on_files(files: Files, config: Any) -> Files:
    """Add the pictures that the pages show."""
    root = Path(config["docs_dir"]).parent
    pages = [file.content_string for file in files.documentation_pages()]
    for picture in sorted({found[1] for page in pages for found in PICTURE.findall(page)}):
        files.append(File.generated(config, _place(picture), abs_src_path=str(root / picture)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point pictures to their copies, and write other links as text."""
    shown = PICTURE.sub(lambda found: f"{found[1]}({_place(found[2])})", markdown)
    return LINK.sub(lambda found: f"{found[1]} (`{found[2]}`)" if found[1] != found[2] else f"`{found[2]}`", shown)
