"""`anogan score`."""

from __future__ import annotations

from collections.abc import Callable

from anogan.cli.commands.score_images import score_digits, score_photos
from anogan.cli.commands.score_recordings import score_recordings
from anogan.cli.options.scoring import Score
from anogan.config.runs import KindName
from anogan.runs.bundle import Bundle

SCORERS: dict[KindName, Callable[[Score, Bundle], int]] = {
    "digits": score_digits,
    "sensors": score_recordings,
    "photos": score_photos,
}


def run(options: Score) -> int:
    """Score images, photos or recordings. Returns the exit status."""
    if not options.inputs:
        raise ValueError("nothing to score: give files, a folder, a recording or the name of a data set")
    bundle = Bundle.open(options.run)
    return SCORERS[bundle.kind](options, bundle)
