"""The common part of all reports: one self-contained page with its figures inside and as files next to it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from anogan.files import write_bytes, write_text
from anogan.report import figures

Captioned = tuple[str, str, figures.Drawing]  # name, caption, drawing


@dataclass(frozen=True)
class Drawn:
    """A figure on the page."""

    name: str
    caption: str
    svg: Markup
    wide: bool


def data_uri(content: bytes) -> str:
    """Return a PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def draw(out: Path, drawings: Sequence[Captioned]) -> list[Drawn]:
    """Write figures/NAME.svg and .png into `out`."""
    drawn = []
    for name, caption, drawing in drawings:
        svg, picture, wide = figures.render(drawing)
        write_text(out / "figures" / f"{name}.svg", svg)
        write_bytes(out / "figures" / f"{name}.png", picture)
        drawn.append(Drawn(name, caption, Markup(svg), wide))
    return drawn


def write_page(out: Path, template: str, **content: Any) -> Path:
    """Write index.html into `out`. Returns its path."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("anogan.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    write_text(out / "index.html", environment.get_template(template).render(**content))
    return out / "index.html"


@dataclass(frozen=True)
class Pictured:
    """Pictures of one thing, each with a label, and a line or more below them."""

    pictures: tuple[tuple[str, str], ...]  # what it is, data URI
    caption: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A table of text under its title, with figures above it and pictures below."""

    title: str
    text: tuple[str, ...]
    table: pd.DataFrame
    drawings: tuple[Captioned, ...] = ()
    gallery: tuple[Pictured, ...] = ()


def write_tables(out: Path, kicker: str, title: str, intro: Sequence[str], sections: Sequence[Section]) -> Path:
    """Write a page of tables, and every table as tables/TITLE.csv, into `out`. Returns the page's path."""
    shown = []
    for section in sections:
        name = "-".join("".join(c if c.isalnum() else " " for c in section.title.lower()).split())
        if len(section.table):
            write_text(out / "tables" / f"{name}.csv", section.table.to_csv(index=False))
        drawn = draw(out, section.drawings)
        shown.append(vars(section) | {"drawn": drawn})
    return write_page(out, "tables.html.j2", kicker=kicker, title=title, intro=intro, sections=shown)
