"""Hostile requests make no error of the server, and no wrong answer for whoever asks beside them."""

from __future__ import annotations

import io
from json import dumps
from pathlib import Path

import numpy as np
import pytest
from served_models import boards, photo, plates

from anogan.photos.model import PhotoModel
from anogan.pictures.files import read_photo
from anogan.pictures.verdicts import Inspection
from anogan.runs.bundle import Bundle
from experiments.load_attacks import attacks, send_all
from experiments.load_server import Sent, clients, kept, serving

MEGABYTES = 800  # a picture of 9400 x 9400 pixels that is decoded takes 350


def requests(run: Path) -> list[Sent]:
    model, contents = PhotoModel.load(Bundle.open(run), device="cpu"), [photo(seed) for seed in range(20)]
    said = model.inspect([read_photo(io.BytesIO(content), 1) for content in contents])
    png = {"Content-Type": "image/png"}
    return [Sent(run.name, c, png, [kept(s)]) for c, s in zip(contents, said, strict=True) if isinstance(s, Inspection)]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="memory is read from /proc")
def test_nothing_hostile_makes_an_error_or_a_wrong_answer_beside_it(pump_run: Path, tmp_path: Path) -> None:
    mine, others = requests(boards()), requests(plates())
    assert mine[0].expected != others[0].expected
    limits = ("--timeout", "2", "--max-mb", "4", "--max-megapixels", "4")
    with (
        serving([boards(), plates(), pump_run], tmp_path / "log", *limits) as server,
        clients(server.port, 1, mine) as first,
        clients(server.port, 1, others) as second,
    ):
        before = server.most_megabytes()
        answers = send_all(server.port, attacks(np.random.default_rng(0)))
        assert server.is_well()
        assert server.most_megabytes() < before + MEGABYTES
    for tally in (first, second):
        assert (tally.wrong, tally.lost, tally.other) == (0, 0, 0)
        assert len(tally.seconds) > 20
    statuses = server.statuses()
    assert statuses.sum() > 0.7 * len(answers), "most were not answered"
    assert not [status for status in statuses.index if status.startswith("5") and status != "503"]
    assert "Traceback" not in server.log.read_text(errors="replace")


def test_a_wrong_score_would_be_seen() -> None:
    mine, others = requests(boards()), requests(plates())
    answer = b'{"model": "boards", "results": [%s]}'
    right = answer % dumps(mine[0].expected[0] | {"terms": {}}).encode()
    assert mine[0].agrees(right)
    assert not mine[0].agrees(right.replace(b'"boards"', b'"plates"'))
    assert not mine[0].agrees(answer % dumps(others[0].expected[0]).encode())
