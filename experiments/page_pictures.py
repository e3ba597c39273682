"""The pictures of report pages in the guides: docs/figures/report_*.png and reports/readme/sensitivity_*.png.

python -m experiments.page_pictures FOLDER     FOLDER is that of experiments.readme_output; called there, too:
                                               anogan sensitivity runs/demo-sensors/run
                                               anogan sensitivity runs/demo-photos/run

Needs an installed Chromium, as the tests of the inspector's page do.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Page, sync_playwright

from anogan.files import replacing, write_bytes

OUT, README = Path("docs/figures"), Path("reports/readme")
BOARDS, PUMP = Path("reports/demo-photos/index.html"), Path("reports/demo-sensors/index.html")
SENSITIVITY = {name: Path(f"runs/demo-{name}/run/sensitivity/figures/overview.png") for name in ("photos", "sensors")}
WIDTH, MARGIN = 1000, 12  # pixels


class Picture(NamedTuple):
    """From the first to the last of some elements of a page, at most `height` pixels high."""

    page: Path
    first: str
    last: str
    height: int = 900


def section(title: str) -> str:
    return f'section:has(> h2:text-is("{title}"))'


SAW = section("What it saw")
PICTURES = {
    "report_head": Picture(BOARDS, "header", "main > :first-child", 420),
    "report_detectors": Picture(BOARDS, f"{section('Detectors')} >> h2", f"{section('Detectors')} >> .figures", 660),
    "report_threshold": Picture(
        BOARDS, f"{section('Scores and threshold')} >> h2", f"{section('Scores and threshold')} >> table", 640
    ),
    "report_gallery": Picture(BOARDS, f"{SAW} >> h3 >> nth=0", f"{SAW} >> .gallery >> nth=0", 560),
    "report_misses": Picture(BOARDS, f'{SAW} >> h3:text-is("Misses")', f'{SAW} >> h3:text-is("Misses") + * + *', 640),
    "report_faults": Picture(PUMP, f"{section('Known faults')} >> h2", f"{section('Known faults')} >> table"),
    "report_alarms": Picture(PUMP, f"{section('Alarms')} >> h2", "#overview"),
    "report_alarm_table": Picture(PUMP, f"{section('Alarms')} >> table", f"{section('Alarms')} >> table"),
}


def box(page: Page, selector: str) -> dict[str, Any]:
    found = page.locator(selector).first.bounding_box()
    assert found is not None, selector
    return dict(found)


def photograph(page: Page, folder: Path, picture: Picture) -> bytes:
    page.goto((folder / picture.page).resolve().as_uri())
    first, last = box(page, picture.first), box(page, picture.last)
    top = max(first["y"] - MARGIN, 0)
    height = min(last["y"] + last["height"] + MARGIN - top, picture.height)
    clip = {"x": 0, "y": top, "width": WIDTH, "height": height}
    return page.screenshot(clip=clip, full_page=True)  # type: ignore[arg-type]


def main(folder: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        page = browser.new_page(viewport={"width": WIDTH, "height": 800}, color_scheme="light")
        for name, picture in PICTURES.items():
            with replacing(OUT / f"{name}.png") as stream:
                stream.write(photograph(page, folder, picture))
        browser.close()
    for name, drawn in SENSITIVITY.items():
        write_bytes(README / f"sensitivity_{name}.png", (folder / drawn).read_bytes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
