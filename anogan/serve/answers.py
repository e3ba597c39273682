"""Answers about photos: records, with pictures on request."""

from __future__ import annotations

import base64

from anogan.errors import SampleError
from anogan.pictures.drawing import heat_layer, picture, png, shrunk
from anogan.pictures.files import Pixels
from anogan.pictures.verdicts import Inspection, Record, record, short
from anogan.serve.loaded import Loaded, Tell

LONGEST = 1024  # pixels of the longer side of a photo sent back


def _url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def told(name: str, photo: Pixels | SampleError, said: Inspection | SampleError) -> Record:
    """Return the record of a photo with the terms of its score."""
    found = record(name, said)
    if not isinstance(said, SampleError):
        found["terms"] = {term: short(value) for term, value in said.terms.items()}
    return found


def shown(loaded: Loaded) -> Tell:
    """Return a function that adds the inspected part, its map as a transparent layer, and its reconstruction."""

    def tell(name: str, photo: Pixels | SampleError, said: Inspection | SampleError) -> Record:
        found = told(name, photo, said)
        if isinstance(photo, SampleError) or isinstance(said, SampleError):
            return found
        framing = loaded.inspector.framing
        part = framing.cropped(photo)
        return found | {
            "origin": list(framing.crop[:2]) if framing.crop else [0, 0],
            "size": list(part.shape[1:]),
            "photo": _url(png(shrunk(part, LONGEST), level=3)),
            "map": _url(png(heat_layer(said.map), level=3)),
            "reconstruction": _url(png(picture(said.reconstruction), level=3)),
        }

    return tell


def mapped(loaded: Loaded) -> Tell:
    """Return a function that draws the PNG of `anogan score --maps`."""

    def tell(name: str, photo: Pixels | SampleError, said: Inspection | SampleError) -> bytes | SampleError:
        if isinstance(photo, SampleError):
            return photo
        if isinstance(said, SampleError):
            return said
        return loaded.inspector.drawn(photo, said)

    return tell
