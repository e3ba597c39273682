"""`anogan score` of images: a data set, an array file, or image files."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from anogan import parallel
from anogan.cli.options.scoring import Score
from anogan.cli.progress import bar, clock
from anogan.config.runs import DigitRunConfig, is_recording
from anogan.digits.arrays import ArrayFile, scorer
from anogan.digits.datasets import DATASETS, load_dataset
from anogan.digits.model import ZOOM, DigitModel
from anogan.digits.splits import one_vs_rest
from anogan.errors import SampleError
from anogan.photos.model import PhotoModel
from anogan.photos.rejects import Rejects, check_apart, listed, mover
from anogan.pictures.drawing import heatmap, png
from anogan.pictures.files import PHOTOS, Pixels, find_images
from anogan.pictures.sources import PhotoFiles
from anogan.pictures.verdicts import Inspection, Inspector, finish, inspector, write_map
from anogan.runs.bundle import Bundle
from anogan.runs.directory import Run
from anogan.runs.scoring import SAMPLES_AT_ONCE, Finish, Rows, Source, partials_of, score_stream

Files = Sequence[tuple[Path, Path]]  # each with its name inside the folder it was given by


def score_digits(options: Score, bundle: Bundle) -> int:
    """Score with a model of digits. Returns the exit status."""
    name = options.inputs[0]
    alone = len(options.inputs) == 1
    if alone and name in DATASETS and not Path(name).exists():
        _check_nothing_moves(options)
        return 0 if parallel.rank() else _score_dataset(options)
    if alone and _is_array(name):
        _check_nothing_moves(options)
        return _score_array(options, bundle)
    _check_are_images(options)
    model = DigitModel.load(bundle, options.detector, options.device)
    return _score_files(options, bundle, model.resizing() if options.resize else model, SAMPLES_AT_ONCE)


def score_photos(options: Score, bundle: Bundle) -> int:
    """Score with a model of photos. Returns the exit status."""
    if len(options.inputs) == 1 and _is_array(options.inputs[0]):
        raise ValueError(
            f"{options.run} is a model of photos; it scores image files and folders, not {options.inputs[0]}"
        )
    _check_are_images(options)
    if options.resize:
        raise ValueError(f"{options.run} is a model of photos, which frames them itself; leave out --resize")
    if options.maps:
        check_apart("--maps", options.maps, list(map(Path, options.inputs)))
    return _score_files(options, bundle, PhotoModel.load(bundle, options.detector, options.device), PHOTOS)


def _is_array(name: str) -> bool:
    return name.endswith(".npy") and Path(name).is_file()


def _check_nothing_moves(options: Score) -> None:
    if options.move_rejects:
        raise ValueError(f"--move-rejects is for image files, got {' '.join(options.inputs)}")


def _check_are_images(options: Score) -> None:
    if all(map(is_recording, options.inputs)):
        raise ValueError(f"{options.run} was trained on images; it cannot score {' '.join(options.inputs)}")


def _score_dataset(options: Score) -> int:
    from anogan.cli.tables import evaluate  # what it needs takes long to import

    run, name = Run.of(options.run, DigitRunConfig), options.inputs[0]
    if name != run.config.data:
        raise ValueError(f"{options.run} was trained on {run.config.data}; its test split is the one to evaluate on")
    with clock(f"read {name}"):
        split = one_vs_rest(load_dataset(name, options.data_root), run.config.normal)
    evaluate(run, split, options.subset, options.device)
    print(run.path / "scores.csv")
    table = pd.read_csv(run.path / "scores.csv")
    return int(options.fail_on_anomaly and (table["verdict"] == "anomaly").any())


def _score_array(options: Score, bundle: Bundle) -> int:
    detector, maps = bundle.detector(options.detector, options.device), options.maps
    source = ArrayFile(Path(options.inputs[0]), detector.gan_.shape)

    def draw(row: int, anomaly_map: NDArray[np.float32]) -> None:
        assert maps is not None
        write_map(maps, f"row-{row:07d}", png(heatmap(anomaly_map), ZOOM))

    rows = scorer(detector, draw if maps else None)
    return _tell(options, _Scoring(options, bundle, source).stream(rows))


def _score_files(options: Score, bundle: Bundle, model: Inspector, block: int) -> int:
    """Score image files, and move rejected ones if that is wanted. Returns the exit status."""
    inputs = [Path(name) for name in options.inputs]
    if options.move_rejects:
        return _score_and_move(options, bundle, model, block, options.move_rejects)
    files = find_images(inputs)
    source = PhotoFiles([path for path, _ in files], model.framing.shape[0], block)
    rows = _rows(options.maps, model, [name for _, name in files])
    counts = _Scoring(options, bundle, source).stream(rows, finish=_finish(model))
    return _tell(options, counts)


def _score_and_move(options: Score, bundle: Bundle, model: Inspector, block: int, folder: Path) -> int:
    """Score and move files. The list of photos is kept until the end, because moved photos are no longer found."""
    inputs = [Path(name) for name in options.inputs]
    check_apart("--move-rejects", folder, inputs)
    known_as = ["--move-rejects", str(folder), *map(str, inputs)]
    partials = partials_of(_out(options), _identity(options, bundle), known_as)
    memory = partials[0].with_suffix(".list")
    photos = listed(inputs, memory, any(partial.exists() for partial in partials))
    source = PhotoFiles([photo.path for photo in photos], model.framing.shape[0], block, known_as)
    rows = _rows(options.maps, model, [photo.name for photo in photos])
    scoring = _Scoring(options, bundle, source)
    on_saved = mover(Rejects(folder), photos, scoring.tell_unmoved)
    counts = scoring.stream(rows, finish=_finish(model), on_saved=on_saved)
    if not parallel.rank():
        memory.unlink()
    return max(_tell(options, counts), 2 * bool(scoring.unmoved))


def _finish(model: Inspector) -> Finish | None:
    return finish if model.finds_regions else None


def _rows(maps: Path | None, model: Inspector, names: Sequence[Path]) -> Rows:
    def draw(row: int, photo: Pixels, inspection: Inspection) -> None:
        assert maps is not None
        write_map(maps, str(names[row]), model.drawn(photo, inspection))

    return inspector(model, draw if maps else None)


def _out(options: Score) -> Path:
    return options.out or options.run / "scores-files.csv"


def _identity(options: Score, bundle: Bundle) -> Any:
    """Return what distinguishes the model from others that score the same files."""
    return bundle.manifest["files"] | {"detector": options.detector, "resize": options.resize}


class _Scoring:
    """Scores with a progress bar and a line per error."""

    def __init__(self, options: Score, bundle: Bundle, source: Source) -> None:
        self.options, self.source, self.unmoved = options, source, 0
        self.model = _identity(options, bundle)

    def tell(self, name: str, error: SampleError) -> None:
        """Print the error of a file."""
        tqdm.write(f"anogan: {name}: {error}", file=sys.stderr)

    def tell_unmoved(self, name: str, error: SampleError) -> None:
        """Print the error of a file that could not be moved, and count it."""
        self.unmoved += 1
        self.tell(name, error)

    def stream(self, rows: Rows, **hooks: Any) -> Counter[str]:
        """Score the source into the CSV file. Returns the count of each verdict."""
        with bar("score", len(self.source)) as update:

            def on_block(done: int) -> None:
                update(done * parallel.size(), "")

            return score_stream(rows, self.source, _out(self.options), self.model, on_block, self.tell, **hooks)


def _tell(options: Score, counts: Counter[str]) -> int:
    """Print counts and files. Returns the exit status."""
    if parallel.rank():
        return 0
    print(", ".join(f"{counts[verdict]} {verdict}" for verdict in ("normal", "anomaly", "error")))
    print(_out(options))
    if counts["error"]:
        return 2
    return int(options.fail_on_anomaly and counts["anomaly"] > 0)
