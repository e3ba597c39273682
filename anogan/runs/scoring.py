"""Scoring of more samples than fit in memory, block by block, into a CSV file that survives an interruption."""

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
from anogan.errors import SampleError
from anogan.files import replacing, without_formulas

SAMPLES_AT_ONCE = 1024  # samples in memory at once
TABLE_ROWS = 16_384  # rows of a table in memory at once
Samples = Sequence[NDArray[np.float32] | SampleError]
Rows = Callable[[int, list[str], Samples], pd.DataFrame]  # number of the first row, names, samples -> a row per sample
OnBlock = Callable[[int], None]  # rows finished
OnError = Callable[[str, SampleError], None]  # name
OnMap = Callable[[int, NDArray[np.float32]], None]  # row, anomaly map (channels, *size)
OnSaved = Callable[[pd.DataFrame], None]  # rows that are on disk
Finish = Callable[[Path, Path], None]  # file of all rows -> `out`


class Source(Protocol):
    """Samples in a fixed order, read in blocks."""

    column: str  # of the names of rows

    @property
    def block(self) -> int:
        """Rows that are read at once."""

    def __len__(self) -> int: ...

    def identity(self) -> Any:
        """Return what distinguishes this source from others, as JSON."""

    def fitting(self, begin: int, end: int) -> int:
        """Return the last row, `end` at most, such that the samples from `begin` on fit in memory."""

    def read(self, begin: int, end: int) -> tuple[list[str], Samples]:
        """Read rows begin to end - 1: their names, and each sample or the reason why there is none."""


def _identity(path: Path) -> Any:
    """Return path, size and time of writing, so that a replaced photo counts as another one."""
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns]


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
    """Write one CSV row per sample into `out`, which appears when it is complete. Returns the count of each verdict.

    Until then the rows are in `out`.DIGEST.RANK.part, where the digest stands for model and source: the same call
    continues after the last row in there. Memory is bounded by one block, not by the source. Several processes score
    one block each in turn; the first merges their rows and counts.

    `on_saved` is called with the rows of every block once they are on disk, and again with those of the last block when
    an interrupted scoring continues. `finish` makes `out` from the file of all rows, which is then removed; by default
    `out` has the same rows.
    """
    partials = partials_of(out, model, source.identity())
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = partials[parallel.rank()]
    done = _whole_rows(partial)
    on_block(done)
    if on_saved and done:  # the interruption may have come before this call
        on_saved(pd.read_csv(partial, skiprows=range(1, max(1, done - source.block + 1)), dtype={source.column: str}))
    with partial.open("a", newline="") as stream:
        for begin, (names, samples) in _read_ahead(source, _spans(source, done)):
            table = rows(begin, names, samples)
            for i in np.flatnonzero(table["verdict"] == "error"):
                on_error(names[i], SampleError(table["error"].iloc[i]))
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
    with (
        replacing(out) as stream,
        pd.read_csv(partial, dtype=str, keep_default_na=False, chunksize=TABLE_ROWS) as chunks,
    ):
        for i, rows in enumerate(chunks):
            stream.write(without_formulas(rows).to_csv(index=False, header=i == 0, lineterminator="\n").encode())


def partials_of(out: Path, model: Any, identity: Any) -> list[Path]:
    """Return the file of each process that keeps its rows until `out` is complete."""
    digest = hashlib.sha256(json.dumps([model, identity, parallel.size()]).encode()).hexdigest()[:8]
    return [out.with_name(f"{out.name}.{digest}.{rank}.part") for rank in range(parallel.size())]


def _spans(source: Source, done: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of this process's blocks, every size-th of all, without the rows that are done already."""
    for begin in range(parallel.rank() * source.block, len(source), parallel.size() * source.block):
        end = min(begin + source.block, len(source))
        skipped = min(done, end - begin)
        done -= skipped
        if begin + skipped < end:
            yield begin + skipped, end


def _merge(partials: Sequence[Path], block: int) -> None:
    """Write all rows in order into the first file, and remove the others."""
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
    """Yield blocks in order. The next block is read and decoded while the last one is scored."""
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
    """Count the rows that an interrupted scoring has written, and cut off half a row at the end."""
    if not partial.exists():
        return 0
    whole = 0
    with partial.open("r+b") as stream:
        for line in stream:
            whole += len(line) if line.endswith(b"\n") else 0
        stream.truncate(whole)
    if not whole:
        return 0
    with pd.read_csv(partial, usecols=[0], dtype=str, chunksize=TABLE_ROWS) as chunks:
        return sum(map(len, chunks))


def _verdicts(out: Path) -> Iterator[str]:
    for part in pd.read_csv(out, usecols=["verdict"], chunksize=100_000):
        yield from part["verdict"]
