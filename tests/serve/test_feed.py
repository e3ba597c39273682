"""Rows fed live get the scores that the batch command gives, and whoever listens hears everything once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import faulty, recording
from served_models import CSV, server_of

from anogan.pictures.verdicts import short
from anogan.runs.bundle import Bundle
from anogan.sensors.model import ScoredRecording, SensorModel
from anogan.sensors.training import recalibrate
from anogan.serve.feed import BEHIND, HISTORY, Feed
from anogan.serve.loaded import LoadedSensors, load
from anogan.serve.tables import Table


@pytest.fixture(scope="module")
def loaded(pump_run: Path) -> LoadedSensors:
    return load("pump", pump_run, "cpu")


def sent(table: pd.DataFrame) -> Table:
    return Table(table.to_csv(index=False).encode(), is_json=False)


def batch(model: SensorModel, table: pd.DataFrame) -> ScoredRecording:
    return model.score(model.read_table(table, "day"))


def heard(listen: Callable[[Feed], Awaitable[None]], feed: Feed) -> None:
    """Run with a loop that the feed tells."""

    async def run() -> None:
        feed.loop = asyncio.get_running_loop()
        await listen(feed)

    asyncio.run(run())


async def rest(stream: Any) -> list[tuple[str, Any]]:
    """Events by name until the stream ends."""
    found = []
    async for text in stream:
        for part in filter(None, text.split("\n\n")):
            name, data = part.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_rows_fed_in_parts_get_the_scores_and_alarms_of_the_batch(loaded: LoadedSensors) -> None:
    expected = batch(loaded.model, faulty())

    async def listen(feed: Feed) -> None:
        stream = feed.events()
        await anext(stream)
        begin = 0
        for size in (1, 5, 30, 400, 7, 557):
            (answer,) = await asyncio.to_thread(feed.push, [sent(faulty()[begin : begin + size])])
            assert answer["rows"] == size
            begin += size
        feed.close()
        events = await rest(stream)
        rows = [row for name, data in events if name == "rows" for row in data["rows"]]
        assert [row["time"] for row in rows] == list(range(1000))
        scores = np.array([np.nan if row["score"] is None else row["score"] for row in rows])
        assert np.allclose(scores, expected.table["score"], rtol=1e-5, atol=0, equal_nan=True)
        alarms = [data for name, data in events if name == "alarm" and data["change"] == "end"]
        told = [alarm.change("pump") for alarm in expected.alarms if alarm.end is not None]
        assert json.loads(json.dumps(told)) == alarms

    heard(listen, Feed(loaded))


def test_the_answer_tells_the_alarm_that_goes_on(pump_run: Path) -> None:
    with server_of(pump_run) as (client, _):
        answers = [
            client.post("/models/pump/rows", content=faulty()[rows].to_csv(index=False), headers=CSV).json()
            for rows in (slice(0, 390), slice(390, 550))
        ]
    model = SensorModel.load(Bundle.open(pump_run))
    (alarm,) = batch(model, faulty()[:550]).alarms[-1:]
    assert answers == [{"rows": 390, "alarm": None}, {"rows": 160, "alarm": alarm.to_dict()}]


def test_who_comes_late_hears_the_last_rows_and_the_alarm_that_goes_on(loaded: LoadedSensors) -> None:
    async def listen(feed: Feed) -> None:
        table = pd.concat([recording(800, 5), faulty()[:550]], ignore_index=True)
        table["t"] = range(len(table))
        await asyncio.to_thread(feed.push, [sent(table)])
        await asyncio.sleep(0)
        feed.close()
        events = await rest(feed.events())
        assert [name for name, _ in events] == ["rows", "alarm"]
        assert [row["time"] for row in events[0][1]["rows"]] == list(range(len(table) - HISTORY, len(table)))
        assert sum(events[0][1]["shares"].values()) == pytest.approx(1, abs=1e-4)
        assert events[1][1]["change"] == "begin"
        assert events[0][1]["alarm"]["number"] == events[1][1]["number"]

    heard(listen, Feed(loaded))


def test_a_listener_that_does_not_read_is_let_go_and_the_others_are_not(loaded: LoadedSensors) -> None:
    async def listen(feed: Feed) -> None:
        deaf, good = feed.events(), feed.events()
        await anext(deaf)
        await anext(good)
        for number in range(BEHIND + 5):
            feed._spread({"rows": [], "shares": {}, "alarm": number}, [])
            assert json.loads((await anext(good)).split("data: ")[1])["alarm"] == number
        assert len(feed.listeners) == 1
        assert len([text async for text in deaf]) < BEHIND + 5
        feed.close()
        assert [text async for text in good] == []

    heard(listen, Feed(loaded))


def test_rows_without_a_time_are_counted_over_all_requests(loaded: LoadedSensors) -> None:
    timeless = replace(loaded, model=replace(loaded.model, time_column=""))
    feed, whole = Feed(timeless), Feed(timeless)
    table = recording(100, 9).drop(columns="t")
    for begin in range(0, 100, 10):
        (answer,) = feed.push([sent(table[begin : begin + 10])])
        assert answer["rows"] == 10
    whole.push([sent(table)])
    assert np.allclose(feed.follower.scorer.rows, whole.follower.scorer.rows)
    assert feed.follower.scorer.average == pytest.approx(whole.follower.scorer.average)
    assert feed.follower.scorer.clock.last == whole.follower.scorer.clock.last == 99


def test_a_recalibrated_model_goes_on_where_the_old_one_was(loaded: LoadedSensors, pump_run: Path) -> None:
    again = SensorModel.load(Bundle.open(pump_run))
    newer = replace(loaded, model=recalibrate(again, again.read_table(recording(4000, 3), "other")))
    assert newer.model.rule.threshold != loaded.model.rule.threshold
    feed = Feed(loaded)

    async def listen(feed: Feed) -> None:
        stream = feed.events()
        await anext(stream)
        await asyncio.to_thread(feed.push, [sent(faulty()[:550])])
        await asyncio.to_thread(feed.renew, newer)
        await asyncio.to_thread(feed.push, [sent(faulty()[550:])])
        feed.close()
        events = await rest(stream)
        (told,) = [data for name, data in events if name == "model"]
        assert told["kept"]
        rows = {row["time"]: row["score"] for name, data in events if name == "rows" for row in data["rows"]}
        expected = batch(loaded.model, faulty()).table["score"]
        assert [rows[time] for time in range(550, 1000)] == pytest.approx([short(s) for s in expected[550:]], rel=1e-5)
        assert feed.follower.tracker.rule == newer.model.rule

    heard(listen, feed)


def test_a_model_of_another_window_starts_anew(loaded: LoadedSensors) -> None:
    other = replace(loaded, model=replace(loaded.model, step=2.0))
    feed = Feed(loaded)
    feed.push([sent(faulty()[:550])])
    alarms = feed.follower.tracker.alarms
    feed.renew(other)
    assert feed.follower.scorer.seen == 0
    assert feed.follower.tracker.current is None
    assert feed.follower.tracker.alarms == alarms  # so that no two alarms have the same number


def test_rows_in_other_units_of_spread_are_converted(loaded: LoadedSensors) -> None:
    scaling = replace(loaded.model.scaling, centre=tuple(c + 1 for c in loaded.model.scaling.centre))
    other = replace(loaded, model=replace(loaded.model, scaling=scaling))
    feed, fresh = Feed(loaded), Feed(other)
    feed.push([sent(recording(100))])
    feed.renew(other)
    fresh.push([sent(recording(100))])
    assert np.allclose(feed.follower.scorer.rows, fresh.follower.scorer.rows)
