"""What is typed wrong for `anogan train` is told in one line before anything is trained or written."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest
from conftest import recording
from photo_model import write

from anogan.cli import main

TRAIN = "train --gan.steps 3 --encoder.steps 3 --out OUT"
USES = {
    "digits": f"{TRAIN} --data digits",
    "sensors": f"{TRAIN} --data rows.csv --time-column t --window 12 --budget 1/hour",
    "photos": f"{TRAIN} --data pictures --size 32 --locator.steps 3",
}
ANY = {
    "--device nonsense": "expected a device such as auto, cpu or cuda:0, got 'nonsense'",
    "--device meta": "expected a device",
    "--checkpoint-seconds -1": "expected --checkpoint-seconds of 0 or more, got -1.0",
    "--checkpoint-seconds nan": "expected a finite --checkpoint-seconds, got nan",
    "--gan.betas 0.5 1": "expected --gan.betas in [0, 1), got 0.5 1.0",
    "--gan.learning-rate inf": "expected a finite --gan.learning-rate, got inf",
    "--encoder.feature-weight inf": "expected a finite --encoder.feature-weight",
    "--holdout 0.999": "",
    "--holdout 0.001": "",
    "--out /proc/none": "",
    "--out rows.csv": "exists and is not a run directory",
}
OWN = {
    "sensors": {
        "--detectors": "expected one or more --detectors",
        "--detectors locatorgan": "locatorgan learns from photos alone; choose detectors from neighbourgan, ",
        "--views code": "no chosen detector has a view 'code'; choose from linear, residual, level",
        "--time-column nope": "no column 'nope'",
        "--channels t": "no column 't'",
        "--smoothing inf": "expected a finite --smoothing",
        "--persist 10000": "",
        "--window 899": "",
        "--block 800": "",
    },
    "photos": {
        "--detectors": "expected one or more --detectors",
        "--crop 1 2 3": "crop must be LEFT TOP WIDTH HEIGHT",
        "--locator.learning-rate inf": "expected a finite --locator.learning-rate",
    },
    "digits": {
        "--normal 11": "unknown normal class '11'",
        "--detectors fanogan locatorgan": "locatorgan learns from photos alone; choose detectors from neighbourgan, ",
        "--views gradients": "fanogan has none of the views gradients; its views are residual, discrimination",
        "--views gradients nope": "no chosen detector has a view 'nope'; choose from gradients, code, residual, discr",
        "--hybrid.restarts 3": "restarts of a hybrid must be 1, for it starts at E(x) alone, got 3",
    },
}
CASES = [(use, words, said) for use in USES for words, said in (ANY | OWN[use]).items()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    recording(900).to_csv(folder / "rows.csv", index=False)
    for i in range(30):
        write(folder / "pictures" / f"{i}.png", i)
    return folder


@pytest.mark.parametrize(("use", "words", "said"), CASES, ids=lambda value: value or "-")
def test_what_is_typed_is_checked_before_anything_is_trained_or_written(
    use: str,
    words: str,
    said: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {path: path.stat().st_size for path in folder.rglob("*")}
    monkeypatch.chdir(folder)
    given = f"{USES[use]} {words}".replace("OUT", str(tmp_path / "out")).split()
    if "--out" in words:
        given = [word for word in given if word not in (str(tmp_path / "out"),)]
        given.remove("--out")
    monkeypatch.setattr(sys, "argv", ["anogan", *given])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command line sets its own
    status = main.main()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("anogan: rows.csv: ")]
    assert status == 2
    assert said in line
    assert not (tmp_path / "out").exists()
    assert {path: path.stat().st_size for path in folder.rglob("*")} == before
