"""The inspector's page in Chromium, before a real server."""

from __future__ import annotations

import csv
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from anogan.serve.app import create_app
from anogan.serve.limits import Limits
from anogan.serve.metrics import Metrics
from anogan.serve.served import Served, named

uvicorn = pytest.importorskip("uvicorn", reason="needs the extra 'serve'")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright to drive a browser")
expect = playwright.expect
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@contextmanager
def serving(*runs: Path, port: int = 0, **limits: Any) -> Iterator[str]:
    """The address of a server of these runs, on a free port unless one is given."""
    within, metrics = Limits(**limits), Metrics()
    models = [Served(name, path, "cpu", within, metrics) for name, path in named(runs).items()]
    server = uvicorn.Server(uvicorn.Config(create_app(models, within, metrics), log_level="error", ws="none"))
    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for feed in filter(None, (model.feed for model in models)):
                feed.loop.call_soon_threadsafe(feed.close)
            server.should_exit = True
            thread.join()


@contextmanager
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=QUIET)
        yield browser
        browser.close()


@contextmanager
def looking(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens the page of a server. Whatever the browser complains of, or asks of another host, is an error."""
    context, wrong = browser.new_context(viewport={"width": 1280, "height": 800}), []

    def look(address: str, clock: bool = False) -> Any:
        page = context.new_page()
        if clock:
            page.clock.install()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: said.type in ("error", "warning") and wrong.append(said.text))
        page.on("request", lambda sent: sent.url.startswith((address, "data:", "blob:")) or wrong.append(sent.url))
        page.goto(address)
        return page

    yield look
    context.close()
    assert [text for text in wrong if not text.startswith("Failed to load resource")] == []  # statuses are meant


def exported(page: Any, button: str) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.click(button)
    with Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
