"""Answers about photos: records, with pictures on request."""

from __future__ import annotations

import base64

from anogan.errors import SampleError
from anogan.pictures.drawing import heat_layer, picture, png, shrunk
from anogan.pictures.files import Pixels
from anogan.pictures.verdicts import Inspection, Record, record, short
from anogan.serve.loaded import LoadedImages, Tell

LONGEST_SIDE = 1024  # pixels of the longer side of a photo sent back


def _url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def told(name: str, photo: Pixels | SampleError, inspection: Inspection | SampleError) -> Record:
    """Return the record of a photo with the terms of its score."""
    answer = record(name, inspection)
    if not isinstance(inspection, SampleError):
        answer["terms"] = {term: short(value) for term, value in inspection.terms.items()}
    return answer


def shown(loaded: LoadedImages) -> Tell:
    """Return a function that adds the inspected part, its map as a transparent layer, and its reconstruction."""

    def tell(name: str, photo: Pixels | SampleError, inspection: Inspection | SampleError) -> Record:
        answer = told(name, photo, inspection)
        if isinstance(photo, SampleError) or isinstance(inspection, SampleError):
            return answer
        framing = loaded.model.framing
        part = framing.cropped(photo)
        return answer | {
            "origin": list(framing.crop[:2]) if framing.crop else [0, 0],
            "size": list(part.shape[1:]),
            "photo": _url(png(shrunk(part, LONGEST_SIDE), level=3)),
            "map": _url(png(heat_layer(inspection.map), level=3)),
            "reconstruction": _url(png(picture(inspection.reconstruction), level=3)),
        }

    return tell


def mapped(loaded: LoadedImages) -> Tell:
    """Return a function that draws the PNG of `anogan score --maps`."""

    def tell(name: str, photo: Pixels | SampleError, inspection: Inspection | SampleError) -> bytes | SampleError:
        if isinstance(photo, SampleError):
            return photo
        if isinstance(inspection, SampleError):
            return inspection
        return loaded.model.drawn(photo, inspection)

    return tell
