"""`anogan watch`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from anogan.cli.options.scoring import Watch
from anogan.cli.progress import stopped_politely
from anogan.photos.model import PhotoModel
from anogan.photos.rejects import Rejects, check_apart
from anogan.photos.watch import OnMap, Results, Watcher
from anogan.pictures.files import Pixels
from anogan.pictures.verdicts import Inspection, write_map
from anogan.runs.bundle import Bundle


def run(options: Watch) -> int:
    """Score photos of a folder as they arrive, until stopped. Returns the exit status."""
    _check(options)
    model = PhotoModel.load(Bundle.open(options.run), options.detector, options.device)
    with closing(Results(options.state or options.run / "watch")) as results:
        watcher = Watcher(
            model,
            options.folder,
            results,
            rejects=Rejects(options.move_rejects) if options.move_rejects else None,
            on_map=_drawing(options.maps, model) if options.maps else None,
            interval=options.interval,
        )
        if results.done:
            _say(f"continuing after {len(results.done):,} files")
        with stopped_politely() as stopped:
            _watch(watcher, stopped.wait, options)
    _say(watcher.status())
    return 2 if options.once and watcher.counts["error"] else 0


def _check(options: Watch) -> None:
    if not options.folder.is_dir():
        raise ValueError(f"{options.folder} is not a folder")
    if not options.interval > 0:
        raise ValueError(f"expected --interval of more than 0 seconds, got {options.interval}")
    for option, folder in (("--move-rejects", options.move_rejects), ("--maps", options.maps)):
        if folder:
            check_apart(option, folder, [options.folder])


def _drawing(folder: Path, model: PhotoModel) -> OnMap:
    def draw(name: str, photo: Pixels, inspection: Inspection) -> None:
        write_map(folder, name, model.drawn(photo, inspection))

    return draw


def _watch(watcher: Watcher, wait: Callable[[float], bool], options: Watch) -> None:
    away = ""
    with tqdm(bar_format="{desc}", disable=None, leave=False) as shown:
        for records in watcher.batches(wait, options.once):
            for record in records:
                tqdm.write(json.dumps(record), file=sys.stdout)
            sys.stdout.flush()
            for complaint in watcher.complaints:
                _say(complaint)
            watcher.complaints.clear()
            if watcher.away and not away:
                _say(f"{options.folder} cannot be read ({watcher.away}); waiting for it")
            elif away and not watcher.away:
                _say(f"{options.folder} can be read again")
            away = watcher.away
            shown.set_description_str(watcher.status())


def _say(line: str) -> None:
    tqdm.write("anogan: " + "".join(c if c.isprintable() else "?" for c in line), file=sys.stderr)
