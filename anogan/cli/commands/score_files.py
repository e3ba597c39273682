"""`anogan score` of image files and arrays."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from anogan import parallel
from anogan.cli.options.scoring import Score
from anogan.cli.progress import bar
from anogan.config.runs import is_recording
from anogan.digits.arrays import ArrayFile, scorer
from anogan.errors import SampleError
from anogan.files import replacing
from anogan.photos.model import PhotoModel
from anogan.photos.rejects import Rejects, check_apart, listed, mover
from anogan.pictures import verdicts
from anogan.pictures.drawing import heatmap, png
from anogan.pictures.files import Pixels, find_images
from anogan.pictures.sources import ImageFiles, PhotoFiles
from anogan.pictures.verdicts import Inspection
from anogan.runs.bundle import Bundle
from anogan.runs.scoring import Finish, Rows, Source, partials_of, score_stream

Files = Sequence[tuple[Path, Path]]  # each with its name inside the folder it was given by


def score_files(options: Score) -> int:
    inputs = [Path(name) for name in options.inputs]
    array = inputs[0] if len(inputs) == 1 and inputs[0].suffix == ".npy" and inputs[0].is_file() else None
    if array:
        return _score_array(options, array)
    if all(map(is_recording, options.inputs)):
        raise ValueError(f"{options.run} was trained on images; it cannot score {' '.join(options.inputs)}")
    if options.move_rejects:
        return _score_and_move(options, inputs, options.move_rejects)
    files = find_images(inputs)
    source, rows, finish = _images(options, files, inputs)
    counts = _Scoring(options, source).stream(rows, finish=finish)
    return _tell(options, counts)


def _score_array(options: Score, array: Path) -> int:
    if Bundle.open(options.run).kind == "photos":
        raise ValueError(f"{options.run} is a model of photos; it scores image files and folders, not {array}")
    if options.move_rejects:
        raise ValueError(f"--move-rejects is for image files, got {array}")
    detector = Bundle.open(options.run).detector(options.detector, options.device)
    source = ArrayFile(array, detector.gan_.shape)

    def draw(row: int, anomaly_map: NDArray[np.float32]) -> None:
        _heatmap(options, f"row-{row:07d}", anomaly_map)

    rows = scorer(detector, source.column, draw if options.maps else None)
    return _tell(options, _Scoring(options, source).stream(rows))


def _score_and_move(options: Score, inputs: list[Path], folder: Path) -> int:
    """The list of photos is kept until the end, because those that were moved are found no longer."""
    check_apart("--move-rejects", folder, inputs)
    known_as = ["--move-rejects", str(folder), options.resize, *map(str, inputs)]
    partials = partials_of(_out(options), _model(options), known_as)
    memory = partials[0].with_suffix(".list")
    photos = listed(inputs, memory, any(partial.exists() for partial in partials))
    source, rows, finish = _images(options, [(photo.path, photo.name) for photo in photos], inputs)
    source.known_as = known_as
    scoring = _Scoring(options, source)
    counts = scoring.stream(rows, finish=finish, on_saved=mover(Rejects(folder), photos, scoring.tell_unmoved))
    if not parallel.rank():
        memory.unlink()
    return max(_tell(options, counts), 2 * bool(scoring.unmoved))


def _images(options: Score, files: Files, inputs: list[Path]) -> tuple[PhotoFiles, Rows, Finish | None]:
    """Where the samples come from, what makes rows of them, and what makes the tables of the rows."""
    paths, names = [path for path, _ in files], [name for _, name in files]
    if Bundle.open(options.run).kind != "photos":
        detector = Bundle.open(options.run).detector(options.detector, options.device)

        def draw(row: int, anomaly_map: NDArray[np.float32]) -> None:
            _heatmap(options, str(names[row]), anomaly_map)

        source = ImageFiles(paths, detector.gan_.shape, options.resize)
        return source, scorer(detector, source.column, draw if options.maps else None), None
    if options.resize:
        raise ValueError(f"{options.run} is a model of photos, which frames them itself; leave out --resize")
    if options.maps:
        check_apart("--maps", options.maps, inputs)
    model = PhotoModel.load(Bundle.open(options.run), options.detector, options.device)

    def overlay(row: int, photo: Pixels, said: Inspection) -> None:
        assert options.maps is not None
        verdicts.draw(options.maps / f"{names[row]}.map.png", model.framing, photo, said)

    rows = verdicts.inspector(model, overlay if options.maps else None)
    return PhotoFiles(paths, model.detector.gan_.shape[0]), rows, verdicts.finish


def _heatmap(options: Score, name: str, anomaly_map: NDArray[np.float32]) -> None:
    assert options.maps is not None
    with replacing(options.maps / f"{name}.map.png") as stream:  # of several processes every one draws its own
        stream.write(png(heatmap(anomaly_map), zoom=4))


def _out(options: Score) -> Path:
    return options.out or options.run / "scores-files.csv"


def _model(options: Score) -> Any:
    """What tells the model from another one that scores the same files."""
    return Bundle.open(options.run).manifest["files"] | {"detector": options.detector}


class _Scoring:
    """Scores with a progress bar and a line per complaint."""

    def __init__(self, options: Score, source: Source) -> None:
        self.options, self.source, self.unmoved = options, source, 0

    def tell(self, name: str, error: SampleError) -> None:
        tqdm.write(f"anogan: {name}: {error}", file=sys.stderr)

    def tell_unmoved(self, name: str, error: SampleError) -> None:
        self.unmoved += 1
        self.tell(name, error)

    def stream(self, rows: Rows, **hooks: Any) -> Counter[str]:
        with bar("score", len(self.source)) as update:

            def on_block(done: int) -> None:
                update(done * parallel.size(), "")

            return score_stream(
                rows, self.source, _out(self.options), _model(self.options), on_block, self.tell, **hooks
            )


def _tell(options: Score, counts: Counter[str]) -> int:
    """Counts and files on standard output; the exit status."""
    if parallel.rank():
        return 0
    print(", ".join(f"{counts[verdict]} {verdict}" for verdict in ("normal", "anomaly", "error")))
    print(_out(options))
    if counts["error"]:
        return 2
    return int(options.fail_on_anomaly and counts["anomaly"] > 0)
