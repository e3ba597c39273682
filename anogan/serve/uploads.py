"""Reading of requests within the limits. File names from clients are only echoed."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable
from typing import Any, TypeVar

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from anogan.errors import SampleError
from anogan.pictures.files import count_pixels
from anogan.serve.limits import Limits, Refusal
from anogan.serve.loaded import Upload
from anogan.serve.tables import Table

MOST_FILES = 1000  # photos in a request
HEADERS_AT_ONCE = 2  # requests whose photos' headers are read at once
REQUEST = 10  # times the pixels of a photo: those of a request
GONE = 499  # sent to nobody, but counted
LONGEST_NAME = 200  # characters of a file's name
T = TypeVar("T")


def media_type(request: Request) -> str:
    """Return the request's media type without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_uploads(request: Request, limits: Limits, headers: asyncio.Semaphore) -> list[Upload]:
    """Read the photos of a request and count their pixels.

    The semaphore `headers` limits how many requests do so at once, so that threads remain for other requests.
    """
    kind = media_type(request)
    if kind == "multipart/form-data":
        files = await _parts(request)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        files = [("image", await request.body())]
    else:
        raise Refusal(415, "expected image/*, application/octet-stream or multipart/form-data with parts named 'files'")
    async with headers:
        uploads = await run_in_threadpool(lambda: [_upload(name, content, limits) for name, content in files])
    if len(uploads) == 1 and isinstance(uploads[0].content, SampleError):
        raise uploads[0].content
    if sum(upload.pixels for upload in uploads) > REQUEST * limits.max_pixels:
        raise Refusal(413, f"more than {REQUEST * limits.max_pixels / 1e6:g} megapixels in one request")
    return uploads


async def _parts(request: Request) -> list[tuple[str, bytes]]:
    try:
        async with request.form(max_files=MOST_FILES, max_fields=MOST_FILES) as form:
            parts = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
            files = [(_shown(part.filename or ""), await part.read()) for part in parts]
    except HTTPException as error:
        raise Refusal(422, " ".join(str(error.detail).split())) from None
    if not files:
        raise Refusal(422, "no file in parts named 'files'")
    return files


def _shown(name: str) -> str:
    return "".join(c for c in name if c.isprintable())[:LONGEST_NAME]


def _upload(name: str, content: bytes, limits: Limits) -> Upload:
    try:
        return Upload(name, content, count_pixels(io.BytesIO(content), limits.max_pixels))
    except SampleError as error:
        return Upload(name, error, 0)


async def read_table(request: Request) -> Table:
    """Read rows of sensors as CSV or JSON. Other types are refused, so that no foreign page can send them."""
    kind = media_type(request)
    if kind not in ("text/csv", "application/json"):
        raise Refusal(415, 'expected text/csv, or application/json {"columns": [...], "rows": [[...], ...]}')
    return Table(await request.body(), kind == "application/json")


async def unless_gone(request: Request, answer: Awaitable[T]) -> T:
    """Wait for the answer. Raises `Refusal` as soon as the client disconnects."""
    task, gone = asyncio.ensure_future(answer), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Refusal(GONE, "the client has gone")
    finally:
        for each in (task, gone):
            each.cancel()


async def _gone(request: Request) -> None:
    message: Any = {}
    while message.get("type") != "http.disconnect":
        message = await request.receive()
