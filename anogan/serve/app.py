"""The routes of the server."""

from __future__ import annotations

import asyncio
import mimetypes
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

import anogan
from anogan.errors import SampleError, TooManyPixelsError
from anogan.files import Json
from anogan.serve.answers import mapped, shown, told
from anogan.serve.batching import Work
from anogan.serve.feed import Feed
from anogan.serve.limits import Guard, Limits, Refusal
from anogan.serve.loaded import LoadedImages, LoadedSensors, Photos, Tell
from anogan.serve.metrics import Metrics
from anogan.serve.openapi import BINARY, EVENTS, OF_PHOTOS, OF_ROWS, OF_SENSORS, PHOTOS, ROWS, gives, takes
from anogan.serve.served import Reloader, Served
from anogan.serve.tables import Scored, Table
from anogan.serve.uploads import GONE, HEADERS_AT_ONCE, read_table, read_uploads, unless_gone

mimetypes.add_type("text/javascript", ".js")  # systems differ in what they call it
PAGE = Path(__file__).parent / "page"
DOCS = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>anogan: API</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css"></head>
<body><div id="docs"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#docs", deepLinking: true})'


def create_app(models: Sequence[Served], limits: Limits, metrics: Metrics) -> FastAPI:
    """Make the server of these models. It closes them when it ends."""
    app = FastAPI(
        title="anogan",
        version=anogan.__version__,
        description="Anomaly detection with the models named under /models.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(models),
        dependencies=[Depends(HTTPBearer(auto_error=False))] if limits.token else [],  # for the page; `Guard` checks it
    )
    app.add_middleware(Guard, limits=limits)
    app.exception_handler(Refusal)(_refused)
    app.exception_handler(SampleError)(_unusable)
    app.exception_handler(ClientDisconnect)(_gone)
    app.exception_handler(RequestValidationError)(_invalid)
    _add_pages(app)
    desk = Desk({model.name: model for model in models}, limits, metrics)
    _add_general(app, desk)
    _add_scoring(app, desk)
    _add_live(app, desk)
    return app


def _lifespan(models: Sequence[Served]) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for model in models:
            model.start()
        reloader = Reloader(models)
        yield
        reloader.close()
        for model in models:
            model.close()

    return lifespan


class Desk:
    """Finds the model of a request, and counts requests by their outcome."""

    def __init__(self, models: dict[str, Served], limits: Limits, metrics: Metrics) -> None:
        self.models, self.limits, self.metrics = models, limits, metrics
        self.headers = asyncio.Semaphore(HEADERS_AT_ONCE)

    def find(self, name: str) -> Served:
        """Return the model of this name. Raises `Refusal` if there is none."""
        if name not in self.models:
            raise Refusal(404, f"no model {name[:200]!r}; choose from {', '.join(self.models)}")
        return self.models[name]

    def find_images(self, name: str) -> tuple[Served, LoadedImages]:
        """Return the model of this name. Raises `Refusal` unless it is a model of digits or photos."""
        model = self.find(name)
        if not isinstance(model.loaded, LoadedImages):
            raise Refusal(409, f"{name} is a model of {model.loaded.kind}")
        return model, model.loaded

    def find_feed(self, name: str) -> tuple[Served, Feed]:
        """Return the model of this name and its feed. Raises `Refusal` unless it is a model of sensors."""
        model = self.find(name)
        if model.feed is None:
            raise Refusal(409, f"{name} is a model of {model.loaded.kind}")
        return model, model.feed

    @contextmanager
    def counted(self, model: Served) -> Iterator[None]:
        """Count and time a request. Raises `Refusal` at once if the queue is full."""
        begun, status = time.monotonic(), 500
        try:
            model.worker.check()
            yield
            status = 200
        except (Refusal, SampleError, ClientDisconnect) as error:
            status = status_of(error)
            raise
        finally:
            self.metrics.requests.labels(model.name, status).inc()
            self.metrics.seconds.labels(model.name).observe(time.monotonic() - begun)

    async def look(self, request: Request, model: Served, loaded: LoadedImages, tell: Tell) -> list[Any]:
        """Return the answers of a `loaded` model about the photos of a request."""
        uploads = await read_uploads(request, self.limits, self.headers)
        pixels = sum(upload.pixels for upload in uploads)
        work = model.worker.answer(loaded.look, Photos(uploads, tell), pixels, self.limits.timeout)
        answers: list[Any] = await unless_gone(request, work)
        if len(answers) == 1 and isinstance(answers[0], dict) and answers[0]["verdict"] == "error":
            raise SampleError(answers[0]["error"])
        return answers

    async def read(self, request: Request, model: Served, work: Work, table: Table) -> Any:
        """Return the model's answer about a table. It fills a batch, because tables gain nothing from sharing one."""
        return await unless_gone(request, model.worker.answer(work, table, model.worker.most, self.limits.timeout))


def _add_general(app: FastAPI, desk: Desk) -> None:
    @app.get("/health")
    def health() -> Json:
        """Whether the server works. Needs no token."""
        return {"status": "ok", "version": anogan.__version__, "models": len(desk.models)}

    @app.get("/metrics")
    def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(desk.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/models")
    def models() -> Json:
        """Every model: its kind, versions, digest, threshold and calibration."""
        return {"models": [model.loaded.describe() for model in desk.models.values()]}

    @app.get("/models/{name}", responses=gives(401, 404))
    def model(name: str) -> Json:
        """One model."""
        return desk.find(name).loaded.describe()


def _add_scoring(app: FastAPI, desk: Desk) -> None:
    answers = {"photos": OF_PHOTOS, "sensors": OF_SENSORS}
    refusals = (401, 404, 408, 413, 415, 422, 503)

    @app.post("/models/{name}/score", openapi_extra=takes(PHOTOS, ROWS), responses=gives(*refusals, json=answers))
    async def score(name: str, request: Request, pictures: bool = False) -> Response:
        """Score one photo or several, or a table of sensor rows from a fresh state."""
        model = desk.find(name)
        with desk.counted(model):
            loaded = model.loaded
            if isinstance(loaded, LoadedSensors):
                table = await read_table(request)
                scored: Scored = await desk.read(request, model, loaded.score, table)
                desk.metrics.rows.labels(name).inc(scored.rows)
                return Response(scored.content, media_type="application/json")
            results = await desk.look(request, model, loaded, shown(loaded) if pictures else told)
            for result in results:
                desk.metrics.verdicts.labels(name, result["verdict"]).inc()
            answer = {"model": name, "sha256": loaded.sha256, "results": results}
            return await run_in_threadpool(JSONResponse, answer)  # pictures make it long

    drawn = gives(*refusals, 409, **{"image/png": {"schema": BINARY}})

    @app.post("/models/{name}/map", openapi_extra=takes(PHOTOS), response_class=Response, responses=drawn)
    async def draw(name: str, request: Request) -> Response:
        """PNG of one photo with heat and boxes where it looks defective."""
        model, loaded = desk.find_images(name)
        with desk.counted(model):
            answers = await desk.look(request, model, loaded, mapped(loaded))
            if len(answers) > 1:
                raise Refusal(422, f"expected one photo, got {len(answers)}")
            if isinstance(answers[0], SampleError):
                raise answers[0]
            return Response(answers[0], media_type="image/png")


def _add_live(app: FastAPI, desk: Desk) -> None:
    refusals = (401, 404, 408, 409, 413, 415, 422, 503)

    @app.post("/models/{name}/rows", openapi_extra=takes(ROWS), responses=gives(*refusals, json={"rows": OF_ROWS}))
    async def rows(name: str, request: Request) -> JSONResponse:
        """Score the next rows, in order of time, of the machine that this model monitors. See /events."""
        model, feed = desk.find_feed(name)
        with desk.counted(model):
            table = await read_table(request)
            found: Json = await desk.read(request, model, feed.push, table)
            desk.metrics.rows.labels(name).inc(found["rows"])
            for change in found.pop("changes"):
                desk.metrics.verdicts.labels(name, f"alarm {change['change']}").inc()
            return JSONResponse(found)

    stream = gives(401, 404, 409, **{"text/event-stream": {"example": EVENTS}})

    @app.get("/models/{name}/events", response_class=StreamingResponse, responses=stream)
    async def events(name: str) -> StreamingResponse:
        """Server-sent events: `rows` scored, `alarm` begun or ended, `model` replaced."""
        _, feed = desk.find_feed(name)
        return StreamingResponse(feed.events(), media_type="text/event-stream")


def _add_pages(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(DOCS)

    @app.get("/docs/start.js", include_in_schema=False)
    def start() -> Response:
        return Response(START, media_type="text/javascript")

    app.mount("/static", StaticFiles(directory=PAGE))
    app.mount("/docs/assets", StaticFiles(directory=str(resources.files("fastapi_offline") / "static")))


def _answer(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, Refusal):
        return error.status
    return {TooManyPixelsError: 413, ClientDisconnect: GONE}.get(type(error), 422)


async def _gone(*_: Any) -> JSONResponse:
    return _answer(GONE, "the client has gone")


async def _refused(_: Request, refusal: Any) -> JSONResponse:
    return _answer(refusal.status, str(refusal), refusal.headers)


async def _unusable(_: Request, error: Any) -> JSONResponse:
    return _answer(status_of(error), " ".join(str(error).split()))


async def _invalid(_: Request, error: Any) -> JSONResponse:
    first = error.errors()[0]
    return _answer(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
