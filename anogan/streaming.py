"""Scoring more samples than fit in memory: block after block into a CSV that an interruption does not lose."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anogan import parallel
from anogan.calibration import p_values
from anogan.data.framing import Framing
from anogan.data.photos import how_many_fit, read_photos
from anogan.data.splits import to_unit_range
from anogan.detectors import Detector
from anogan.errors import SampleError
from anogan.files import replacing, without_formulas

BLOCK = 1024  # samples in memory at once
CHUNK = 16_384  # rows of a table in memory at once
PHOTOS = 16  # photos in memory at once, fewer where they are large
Samples = Sequence[NDArray[np.float32] | SampleError]
Rows = Callable[[int, list[str], Samples], pd.DataFrame]  # the first one's number, names, samples -> a row per sample
OnBlock = Callable[[int], None]  # rows finished
OnError = Callable[[str, SampleError], None]  # name
OnMap = Callable[[int, NDArray[np.float32]], None]  # row, anomaly map (channels, *size)
OnSaved = Callable[[pd.DataFrame], None]  # rows that no interruption can lose any more
Finish = Callable[[Path, Path], None]  # file of all rows -> `out`


class Source(Protocol):
    """Samples in a fixed order, read in blocks."""

    column: str  # what a row is named by

    @property
    def block(self) -> int:
        """How many rows are read at once."""

    def __len__(self) -> int: ...

    def identity(self) -> Any:
        """What tells it from another source, as JSON."""

    def fitting(self, begin: int, end: int) -> int:
        """Up to which row, `end` at most, the samples from `begin` on fit in memory."""

    def read(self, begin: int, end: int) -> tuple[list[str], Samples]:
        """Names and samples of rows begin ... end - 1, or the reason why there is none."""


class PhotoFiles:
    """Image files as photos (channels, *any size)."""

    column = "file"
    known_as: Any = None  # its identity, where the paths change while it is read

    def __init__(self, paths: Sequence[Path], channels: int) -> None:
        self.paths, self.channels = paths, channels

    @property
    def block(self) -> int:
        return PHOTOS

    def __len__(self) -> int:
        return len(self.paths)

    def identity(self) -> Any:
        return list(map(_identity, self.paths)) if self.known_as is None else self.known_as

    def fitting(self, begin: int, end: int) -> int:
        return begin + how_many_fit(self.paths[begin:end], self.channels)

    def read(self, begin: int, end: int) -> tuple[list[str], Samples]:
        paths = self.paths[begin:end]
        return list(map(str, paths)), list(read_photos(paths, self.channels))


def _identity(path: Path) -> Any:
    """Path, bytes and time of writing: a photo that is replaced is another one."""
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns]


class ImageFiles(PhotoFiles):
    """Image files as samples of `shape`."""

    def __init__(self, paths: Sequence[Path], shape: tuple[int, ...], resize: bool) -> None:
        super().__init__(paths, shape[0])
        self.framing = Framing(shape, resize=resize)

    @property
    def block(self) -> int:
        return BLOCK

    def identity(self) -> Any:
        return [self.framing.resize, *super().identity()] if self.known_as is None else self.known_as

    def read(self, begin: int, end: int) -> tuple[list[str], Samples]:
        names, photos = super().read(begin, end)
        return names, [self._sample(photo) for photo in photos]

    def _sample(self, photo: NDArray[np.float32] | SampleError) -> NDArray[np.float32] | SampleError:
        try:
            return photo if isinstance(photo, SampleError) else self.framing.samples(photo)[0]
        except SampleError as error:
            return error


class ArrayFile:
    """A NumPy file (n, *shape), left on disk: bytes 0-255, or floats in [-1, 1]."""

    column = "row"

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path = path
        try:
            array = self._mapped()
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f"{path} is no NumPy array that can be read: {error}") from None
        if array.shape[1:] != shape or not len(array):
            expected = f"(n, {', '.join(map(str, shape))})"
            raise ValueError(f"{path} has shape {array.shape}, expected {expected}")
        if array.dtype != np.uint8 and array.dtype.kind != "f":
            raise ValueError(f"{path} holds {array.dtype}, expected bytes 0-255 or floats in [-1, 1]")
        self.rows = len(array)

    @property
    def block(self) -> int:
        return BLOCK

    def __len__(self) -> int:
        return self.rows

    def _mapped(self) -> NDArray[Any]:
        """Mapped anew for every block, because the pages of a map that stays count as this process's memory."""
        array: NDArray[Any] = np.lib.format.open_memmap(self.path, mode="r")
        return array

    def identity(self) -> Any:
        stat = self.path.stat()
        return [str(self.path.resolve()), stat.st_size, stat.st_mtime_ns]

    def fitting(self, begin: int, end: int) -> int:
        return end

    def read(self, begin: int, end: int) -> tuple[list[str], Samples]:
        rows = np.array(self._mapped()[begin:end])
        names = list(map(str, range(begin, begin + len(rows))))
        if rows.dtype == np.uint8:
            return names, list(to_unit_range(rows))
        rows = rows.astype(np.float32)
        flat = rows.reshape(len(rows), -1)
        good = (flat.min(1) >= -1) & (flat.max(1) <= 1)  # false where NaN
        return names, [row if fine else _complaint(row) for row, fine in zip(rows, good, strict=True)]


def _complaint(row: NDArray[np.float32]) -> SampleError:
    if not np.isfinite(row).all():
        return SampleError("NaN or infinity")
    return SampleError(f"values in [{row.min():.4g}, {row.max():.4g}], expected [-1, 1]")


def score_block(
    detector: Detector, column: str, names: list[str], samples: Samples, on_map: OnMap | None = None
) -> pd.DataFrame:
    """A row per sample: score, p-value, verdict and terms, or the error."""
    valid = {i: sample for i, sample in enumerate(samples) if not isinstance(sample, SampleError)}
    good = list(valid)
    rows = pd.DataFrame({column: names, "verdict": "error"})
    rows["error"] = [str(sample) if isinstance(sample, SampleError) else None for sample in samples]
    if good:
        x = np.stack(list(valid.values()))
        if on_map:
            score, terms, _, maps = detector.explain(x)
            for i, anomaly_map in zip(good, maps, strict=True):
                on_map(i, anomaly_map)
        else:
            score, terms = detector.compare(x)
        rows.loc[good, "score"] = score
        rows.loc[good, "p_value"] = p_values(detector.calibration_scores_, score)
        rows.loc[good, "verdict"] = np.where(score > detector.threshold_, "anomaly", "normal")
        for name, term in terms.items():
            rows.loc[good, name] = term
    return rows.reindex(columns=[column, "score", "p_value", "verdict", *detector.terms, "error"])


def scorer(detector: Detector, column: str, on_map: OnMap | None = None) -> Rows:
    """Rows by `score_block`."""

    def rows(begin: int, names: list[str], samples: Samples) -> pd.DataFrame:
        to_map = None if on_map is None else lambda i, values: on_map(begin + i, values)
        return score_block(detector, column, names, samples, to_map)

    return rows


def score_stream(
    rows: Rows,
    source: Source,
    out: Path,
    model: Any,
    on_block: OnBlock,
    on_error: OnError,
    *,
    on_saved: OnSaved | None = None,
    finish: Finish | None = None,
) -> Counter[str]:
    """Write a CSV row per sample into `out`, which appears when it is complete; how often each verdict was given.

    Until then the rows are in `out`.DIGEST.RANK.part, where the digest stands for model and source: the same call goes
    on after the last row in there. Memory is bounded by one block, not by the source. Several processes score a block
    each in turn, and the first merges their rows and counts. `on_saved` is told the rows of every block when they are
    on disk, and those of the last block once more when an interrupted scoring goes on. `finish` makes `out` of the file
    of all rows, which is removed when it is done; otherwise `out` has the same rows.
    """
    partials = partials_of(out, model, source.identity())
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = partials[parallel.rank()]
    done = _whole_rows(partial)
    on_block(done)
    if on_saved and done:  # the interruption may have come before it was told
        on_saved(pd.read_csv(partial, skiprows=range(1, max(1, done - source.block + 1)), dtype={source.column: str}))
    with partial.open("a", newline="") as stream:
        for begin, (names, samples) in _read_ahead(source, _spans(source, done)):
            for name, sample in zip(names, samples, strict=True):
                if isinstance(sample, SampleError):
                    on_error(name, sample)
            table = rows(begin, names, samples)
            table.to_csv(stream, index=False, header=stream.tell() == 0, float_format="%.6g")
            stream.flush()
            os.fsync(stream.fileno())
            if on_saved:
                on_saved(table)
            on_block(len(names))
    parallel.wait_for_all()
    if parallel.rank():
        return Counter()
    _merge(partials, source.block)
    (finish or _finish)(partials[0], out)
    partials[0].unlink()
    return Counter(_verdicts(out))


def _finish(partial: Path, out: Path) -> None:
    with replacing(out) as stream, pd.read_csv(partial, dtype=str, keep_default_na=False, chunksize=CHUNK) as chunks:
        for i, rows in enumerate(chunks):
            stream.write(without_formulas(rows).to_csv(index=False, header=i == 0, lineterminator="\n").encode())


def partials_of(out: Path, model: Any, identity: Any) -> list[Path]:
    """Where each process keeps its rows until `out` is complete."""
    digest = hashlib.sha256(json.dumps([model, identity, parallel.size()]).encode()).hexdigest()[:8]
    return [out.with_name(f"{out.name}.{digest}.{rank}.part") for rank in range(parallel.size())]


def _spans(source: Source, done: int) -> Iterator[tuple[int, int]]:
    """Begin and end of this process's blocks, every size-th of all, after the rows that it has already done."""
    for begin in range(parallel.rank() * source.block, len(source), parallel.size() * source.block):
        end = min(begin + source.block, len(source))
        skipped = min(done, end - begin)
        done -= skipped
        if begin + skipped < end:
            yield begin + skipped, end


def _merge(partials: Sequence[Path], block: int) -> None:
    """All rows in their order into the first file; the others are removed."""
    if len(partials) == 1:
        return
    merged = partials[0].with_suffix(".merged")
    csv.field_size_limit(2**31 - 1)  # regions of a photo that is defective all over
    with ExitStack() as stack:
        readers = [csv.reader(stack.enter_context(path.open(newline=""))) for path in partials]
        writer = csv.writer(stack.enter_context(merged.open("w", newline="")), lineterminator="\n")
        headers = [next(reader, None) for reader in readers]
        writer.writerow(headers[0] or [])
        while any([_copy_rows(reader, writer, block) for reader in readers]):
            pass
    merged.replace(partials[0])
    for path in partials[1:]:
        path.unlink()


def _copy_rows(reader: Iterator[list[str]], writer: Any, block: int) -> bool:
    rows = list(islice(reader, block))
    writer.writerows(rows)
    return bool(rows)


def _read_ahead(source: Source, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, tuple[list[str], Samples]]]:
    """Blocks in order; the next one is read and decoded while the last one is scored."""
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for begin, end in _portions(source, spans):
            following = begin, pool.submit(source.read, begin, end)
            if waiting:
                yield waiting[0], waiting[1].result()
            waiting = following
        if waiting:
            yield waiting[0], waiting[1].result()


def _portions(source: Source, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for begin, end in spans:
        while begin < end:
            until = source.fitting(begin, end)
            yield begin, until
            begin = until


def _whole_rows(partial: Path) -> int:
    """How many rows an interrupted scoring has written; half a row at the end is cut off."""
    if not partial.exists():
        return 0
    whole = 0
    with partial.open("r+b") as stream:
        for line in stream:
            whole += len(line) if line.endswith(b"\n") else 0
        stream.truncate(whole)
    if not whole:
        return 0
    with pd.read_csv(partial, usecols=[0], dtype=str, chunksize=CHUNK) as chunks:
        return sum(map(len, chunks))


def _verdicts(out: Path) -> Iterator[str]:
    for part in pd.read_csv(out, usecols=["verdict"], chunksize=100_000):
        yield from part["verdict"]
