"""The inspector's page shows recordings and live rows with the library's alarms, and never claims health unheard."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import faulty
from page_in_browser import chromium, expect, exported, looking, needs_chromium, serving
from served_models import CSV, boards

from anogan.runs.bundle import Bundle
from anogan.sensors.model import SensorModel

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def address(pump_run: Path) -> Iterator[str]:
    with serving(boards(), pump_run) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def look(browser: Any) -> Iterator[Callable[..., Any]]:
    with looking(browser) as found:
        yield found


def test_a_recording_has_the_alarms_of_the_library_and_its_chart_answers_to_keys(
    look, address: str, pump_run: Path, tmp_path: Path
) -> None:
    model = SensorModel.load(Bundle.open(pump_run))
    faulty().to_csv(tmp_path / "today.csv", index=False)
    watched = model.score(model.read(tmp_path / "today.csv"))
    page = look(address)
    page.select_option("#model", pump_run.name)
    page.set_input_files("#csv", tmp_path / "today.csv")
    expect(page.locator("#csv-state")).to_contain_text(f"{len(watched.alarms)} alarm")
    table = exported(page, "#alarms-export")
    assert [(int(row["number"]), int(row["start"]), int(row["end"])) for row in table] == [
        (alarm.number, alarm.start, alarm.end) for alarm in watched.alarms
    ]
    assert float(table[0]["share pressure"]) == watched.alarms[0].shares["pressure"]
    assert len(exported(page, "#rows-export")) == 1000
    expect(page.locator("#csv-chart .alarm")).to_have_count(len(watched.alarms))
    page.focus("#csv-chart .plot")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#csv-chart .readout")).to_have_text("0: no score yet")
    before = page.locator("#csv-chart .time").all_text_contents()
    page.keyboard.press("+")
    assert page.locator("#csv-chart .time").all_text_contents() != before
    page.keyboard.press("0")
    assert page.locator("#csv-chart .time").all_text_contents() == before
    drag(page, "#csv-chart .plot")
    zoomed = [float(text) for text in page.locator("#csv-chart .time").all_text_contents()]
    assert zoomed[0] > float(before[0])
    assert zoomed[-1] < float(before[-1])


def drag(page: Any, plot: str) -> None:
    """From the first to the second third."""
    page.locator(plot).scroll_into_view_if_needed()
    box = page.locator(plot).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 1.5, box["y"] + 60, steps=3)
    page.mouse.up()


def feed(address: str, run: str, table: pd.DataFrame) -> dict[str, Any]:
    body = table.to_csv(index=False).encode()
    request = urllib.request.Request(f"{address}/models/{run}/rows", body, CSV)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_live_rows_show_an_alarm_while_it_lasts(look, address: str, pump_run: Path) -> None:
    table, model = faulty(), SensorModel.load(Bundle.open(pump_run))
    alarms = model.score(model.read_table(table, "today")).alarms
    page = look(address)
    page.select_option("#model", pump_run.name)
    expect(page.locator("#live-state")).to_have_class("state connected")
    expect(page.locator("#live-word")).to_have_text("Waiting for scores")
    feed(address, pump_run.name, table[:390])
    expect(page.locator("#live-word")).to_have_text("No alarm")
    alarm = feed(address, pump_run.name, table[390:560])["alarm"]
    expect(page.locator("#live-word")).to_have_text(f"Alarm since {alarm['start']}")
    expect(page.locator("#live-detail")).to_contain_text("pressure")
    late = look(address)  # opened while the alarm lasts
    late.select_option("#model", pump_run.name)
    expect(late.locator("#live-word")).to_have_text(f"Alarm since {alarm['start']}")
    feed(address, pump_run.name, table[560:])
    for each in (page, late):
        expect(each.locator("#live-word")).to_have_text("No alarm")
        expect(each.locator("#live-alarms tbody tr")).to_have_count(len(alarms))
    rows = exported(page, "#live-export")
    assert [(int(row["start"]), int(row["end"])) for row in rows] == [(a.start, a.end) for a in alarms[::-1]]


def test_rows_that_stop_coming_are_no_sign_of_health(look, address: str, pump_run: Path) -> None:
    page = look(address, clock=True)
    page.select_option("#model", pump_run.name)
    feed(address, pump_run.name, faulty().assign(t=range(5000, 6000))[:100])
    page.clock.fast_forward(1000)
    expect(page.locator("#live-word")).to_have_text("No alarm")
    page.clock.fast_forward(130_000)
    expect(page.locator("#live-word")).to_have_text("No new rows for 2 min")


def test_a_lost_connection_is_told_and_made_again(look, pump_run: Path) -> None:
    with serving(pump_run) as first:
        page = look(first)
        expect(page.locator("#live-state")).to_have_class("state connected")
        feed(first, pump_run.name, faulty()[:100])
        expect(page.locator("#live-word")).to_have_text("No alarm")
    expect(page.locator("#live-state")).to_have_class("state lost")
    expect(page.locator("#live-state")).to_contain_text("trying again in")
    expect(page.locator("#live-word")).to_have_text("Not connected")
    with serving(pump_run, port=int(first.rpartition(":")[2])):
        expect(page.locator("#live-state")).to_have_class("state connected")
