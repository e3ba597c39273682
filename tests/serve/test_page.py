"""The inspector's page says of photos what the library says, to the keyboard as to the mouse."""

from __future__ import annotations

import base64
import json
import re
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import photo_model
import pytest
from page_in_browser import chromium, expect, exported, looking, needs_chromium, serving
from served_models import boards, digits, plates, until

from anogan.detectors.calibration import p_values
from anogan.photos.model import PhotoModel, about_photos
from anogan.pictures.files import read_photo
from anogan.pictures.framing import Framing
from anogan.pictures.verdicts import record
from anogan.runs import bundle
from anogan.runs.bundle import Bundle
from anogan.serve.loaded import thinned

pytestmark = needs_chromium
HOSTILE = '=cmd "x", <img src=x onerror=alert(1)>.png'


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(boards(), digits()) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def look(browser: Any) -> Iterator[Callable[..., Any]]:
    with looking(browser) as found:
        yield found


def photos(folder: Path) -> list[Path]:
    """A good one, a bad one under a hostile name, and one that is none."""
    files = [photo_model.write(folder / "good.png", 3), photo_model.write(folder / HOSTILE, 4, bad=True)]
    (folder / "broken.png").write_bytes(b"no image")
    return [*files, folder / "broken.png"]


def said(file: Path) -> dict[str, Any]:
    (found,) = PhotoModel.load(Bundle.open(boards())).inspect([read_photo(file, 1)])
    return record(file.name, found)


def score(page: Any, files: list[Path]) -> Any:
    """Choose these photos and wait for the table's rows, the newest first."""
    expect(page.locator("#photos")).to_be_visible()
    page.set_input_files("#files", files)
    expect(page.locator("#intake-state")).to_contain_text(f"{len(files)} scored")
    return page.locator("#history tbody tr")


def test_photos_get_the_verdicts_of_the_library(look, address: str, tmp_path: Path) -> None:
    good, bad, broken = photos(tmp_path)
    page = look(address)
    rows = score(page, [good, bad, broken])
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("not a readable image")
    expect(rows.nth(1)).to_contain_text(HOSTILE)
    expect(rows.nth(1)).to_contain_text("Anomaly")
    expect(rows.nth(2)).to_contain_text("Normal")
    expect(page.locator("#verdict")).to_have_class("verdict anomaly")
    expect(page.locator("#verdict-file")).to_have_text(HOSTILE)
    expect(page.locator("#counts")).to_have_text("3 photos: 1 anomalous, 1 normal, 1 not scored")
    page.fill("#note", "-1+1")
    page.press("#note", "Tab")
    table = exported(page, "#export")
    for row, file in zip(table, [good, bad], strict=False):
        expected = said(file)
        assert float(row["score"]) == expected["score"]
        assert float(row["p_value"]) == expected["p_value"]
        assert (row["verdict"], int(row["regions"])) == (expected["verdict"], len(expected["regions"]))
    assert [row["file"] for row in table] == ["good.png", f"'{HOSTILE}", "broken.png"]
    assert [row["note"] for row in table] == ["", "'-1+1", ""]
    assert table[2]["error"] == "not a readable image"


@pytest.mark.parametrize("crop", [(), (8, 4, 24, 28)], ids=["whole", "cropped"])
def test_a_photo_can_be_dropped_and_a_region_lies_where_the_library_says(look, tmp_path: Path, crop) -> None:
    _, bad, _ = photos(tmp_path)
    model = PhotoModel.load(Bundle.open(boards()))
    model = replace(model, framing=Framing(photo_model.SHAPE, crop))
    about = {"data": "photos", "photos": about_photos({"neighbourgan": model})}
    bundle.save(tmp_path / "run" / "bundle", model.detector.gan_, {"neighbourgan": model.detector}, "photos", about)
    with serving(tmp_path / "run") as address:
        page = look(address)
        expect(page.locator("#photos")).to_be_visible()
        drop(page, bad)
        (found,) = model.inspect([read_photo(bad, 1)])
        expect(page.locator("#boxes .line")).to_have_count(len(found.regions))
        photo, box = (page.locator(part).first.bounding_box() for part in ("#photo", "#boxes .line"))
    left, top, width, _ = crop or (0, 0, 32, 32)
    region, scale = found.regions[0], photo["width"] / width
    assert box["x"] - photo["x"] == pytest.approx((region.left - left) * scale, abs=3)
    assert box["y"] - photo["y"] == pytest.approx((region.top - top) * scale, abs=3)
    assert box["width"] == pytest.approx(region.width * scale, abs=5)


def drop(page: Any, file: Path) -> None:
    content = base64.b64encode(file.read_bytes()).decode()
    make = """text => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], "dropped.png"));
      return transfer;
    }"""
    page.dispatch_event("#photos", "drop", {"dataTransfer": page.evaluate_handle(make, content)})
    expect(page.locator("#verdict-file")).to_have_text("dropped.png")
    expect(page.locator("#pictures")).to_be_visible()


def test_the_slider_makes_the_colours_fainter(look, address: str, tmp_path: Path) -> None:
    page = look(address)
    score(page, photos(tmp_path)[:2])
    page.fill("#opacity", "25")
    expect(page.locator("#map")).to_have_css("opacity", "0.25")
    page.fill("#opacity", "0")
    expect(page.locator("#map")).to_have_css("opacity", "0")


def test_a_threshold_tells_the_false_alarm_rate_of_the_calibration(look, address: str, tmp_path: Path) -> None:
    good, bad, _ = photos(tmp_path)
    calibration = np.sort(PhotoModel.load(Bundle.open(boards())).detector.calibration_scores_)
    page = look(address)
    rows = score(page, [good, bad])
    for threshold in (calibration[0] - 1, *calibration[:: len(calibration) // 4], 2 * calibration[-1]):
        page.fill("#threshold-number", repr(float(threshold)))
        page.press("#threshold-number", "Enter")
        share = p_values(calibration, np.array([np.nextafter(threshold, np.inf)]))[0]
        expect(page.locator("#rate")).to_contain_text(f"at most {float(f'{100 * share:.3g}'):g} % of good parts")
        for row, file in ((rows.nth(1), good), (rows.nth(0), bad)):
            expect(row).to_contain_text("Anomaly" if said(file)["score"] > threshold else "Normal")
    expect(rows.nth(0)).to_contain_text("by your threshold")
    page.click("#threshold-reset")
    expect(rows.nth(0)).not_to_contain_text("by your threshold")
    page.focus("#threshold")
    page.keyboard.press("Home")  # the slider itself, at its lowest
    expect(page.locator("#rate")).to_contain_text("Your threshold")
    assert {row["your_verdict"] for row in exported(page, "#export")} == {"anomaly"}


def test_of_thinned_calibration_scores_the_rate_is_an_upper_bound(look, address: str) -> None:
    calibration = np.sort(np.random.default_rng(0).gumbel(size=4321))
    listed = thinned(calibration)
    page = look(address)
    rate = "async ([scores, n, threshold]) => (await import('/static/words.js')).falseAlarms(scores, n, threshold).rate"
    for threshold in np.linspace(calibration[0] - 0.1, calibration[-1] + 0.1, 25).tolist():
        told = page.evaluate(rate, [listed, len(calibration), threshold])
        true = p_values(calibration, np.array([np.nextafter(threshold, np.inf)]))[0]
        assert true - 1e-12 <= told <= true + 2 / 1000


def test_everything_can_be_done_with_the_keyboard(look, address: str, tmp_path: Path) -> None:
    good, bad, _ = photos(tmp_path)
    page = look(address)
    page.on("filechooser", lambda _: None)  # from here on the browser tells of it; asked at once it may be too late
    expect(page.locator("#photos")).to_be_visible()
    for _ in ("skip link", "keys", "model", "choose"):
        page.keyboard.press("Tab")
    expect(page.locator("#choose")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([good, bad])
    expect(page.locator("#history tbody tr")).to_have_count(2)
    page.keyboard.press("h")
    expect(page.locator("#verdict-word")).to_have_text("Anomaly")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#verdict-word")).to_have_text("Normal")
    expect(page.locator("#history tr[aria-selected=true]")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.locator("#verdict-file")).to_have_text(HOSTILE)
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    page.focus("#clear")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#counts")).to_have_text("No photos yet.")


def test_a_busy_server_is_waited_for(look, address: str, tmp_path: Path) -> None:
    page, busy = look(address), iter([True])

    def answer(route: Any) -> None:
        if next(busy, False):
            route.fulfill(status=503, headers={"Retry-After": "1"}, json={"detail": "the queue is full"})
        else:
            route.continue_()

    page.route("**/score*", answer)
    expect(page.locator("#photos")).to_be_visible()
    page.set_input_files("#files", photos(tmp_path)[0])
    expect(page.locator("#progress-text")).to_contain_text("the queue is full; trying again in 1 s")
    expect(page.locator("#verdict-word")).to_have_text("Normal")


def test_a_wrong_token_is_asked_for_again_and_one_large_file_spoils_no_other(browser, tmp_path: Path, look) -> None:
    good, bad, _ = photos(tmp_path)
    large = tmp_path / "large.png"
    large.write_bytes(np.random.default_rng(0).bytes(60_000))
    with serving(boards(), token="sixteen letters!", max_bytes=30_000) as guarded:
        page = look(guarded)
        for token, refused in (("wrong", True), ("sixteen letters!", False)):
            page.fill("#token", token)
            page.press("#token", "Enter")
            if refused:
                expect(page.locator("#token-why")).to_have_text("The server does not accept that token.")
        expect(page.locator("#model-facts")).to_contain_text("neighbourgan")
        rows = score(page, [good, large, bad])
        expect(rows.nth(1)).to_contain_text("large.png")
        expect(rows.nth(1)).to_contain_text("Not scored")
        assert [row["verdict"] for row in exported(page, "#export")] == ["normal", "error", "anomaly"]


def test_a_picture_of_the_camera_is_scored(look, address: str) -> None:
    page = look(address)
    page.click("#camera-start")
    page.click("#snap")
    row = page.locator("#history tbody tr")
    expect(row).to_contain_text("camera-")
    expect(row).to_contain_text(re.compile("Normal|Anomaly"))
    assert page.locator("#photo").evaluate("photo => photo.naturalWidth / photo.naturalHeight") == 1  # as the model's
    page.click("#camera-stop")
    assert page.evaluate("document.querySelector('#video').srcObject") is None


def test_pictures_of_many_photos_are_fetched_when_they_are_looked_at(look, address: str, tmp_path: Path) -> None:
    files = [photo_model.write(tmp_path / f"{i}.png", i) for i in range(12)]
    page = look(address)
    rows = score(page, files)
    files[5].unlink()
    rows.nth(2).click()
    expect(page.locator("#verdict-file")).to_have_text("9.png")
    expect(page.locator("#pictures")).to_be_visible()
    rows.nth(6).click()
    expect(page.locator("#pictures-state")).to_contain_text("it cannot be read")
    expect(page.locator("#pictures")).to_be_hidden()


def test_a_newer_bundle_is_what_later_photos_are_said_to_be_of(look, tmp_path: Path) -> None:
    good, bad, _ = photos(tmp_path)
    shutil.copytree(boards(), tmp_path / "boards")
    with serving(tmp_path / "boards") as address:
        page = look(address)
        score(page, [good])
        (tmp_path / "boards" / "bundle").rename(tmp_path / "old")
        shutil.copytree(plates() / "bundle", tmp_path / "new")
        (tmp_path / "new").rename(tmp_path / "boards" / "bundle")
        until(lambda: sha256(address) == Bundle.open(plates()).digest)
        score(page, [bad])
        table = exported(page, "#export")
    assert [row["bundle"] for row in table] == [Bundle.open(boards()).digest, Bundle.open(plates()).digest]
    thresholds = [PhotoModel.load(Bundle.open(run())).detector.threshold_ for run in (boards, plates)]
    assert [float(row["threshold"]) for row in table] == thresholds


def sha256(address: str) -> str:
    with urllib.request.urlopen(f"{address}/models", timeout=60) as answer:
        return json.load(answer)["models"][0]["sha256"]


def test_images_of_one_size_are_scored_too(look, address: str, tmp_path: Path) -> None:
    page = look(address)
    page.select_option("#model", "digits")
    photo_model.photo(1).resize((28, 28)).save(tmp_path / "digit.png")
    expect(score(page, [tmp_path / "digit.png"])).to_contain_text(re.compile("Normal|Anomaly"))
    expect(page.locator("#pictures")).to_be_visible()
