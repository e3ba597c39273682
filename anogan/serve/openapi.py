"""Descriptions and examples of requests and answers, for the API's page."""

from __future__ import annotations

from typing import Any

from anogan.files import Json

BINARY = {"type": "string", "format": "binary"}
FILES = {"type": "object", "properties": {"files": {"type": "array", "items": BINARY}}, "required": ["files"]}
TABLE = {"columns": ["time", "flow"], "rows": [[0, 1.5], [1, None]]}
PHOTOS = {"multipart/form-data": {"schema": FILES}, "image/*": {"schema": BINARY}}
ROWS = {
    "text/csv": {"schema": {"type": "string"}, "example": "time,flow\n0,1.5\n1,\n"},
    "application/json": {"schema": {"type": "object"}, "example": TABLE},
}
REGION = {"left": 30, "top": 4, "width": 12, "height": 9, "area": 80, "peak": 3.1, "p_value": 0.002}
PHOTO = {
    "file": "a.png",
    "score": 3.1,
    "p_value": 0.002,
    "verdict": "anomaly",
    "regions": [REGION],
    "terms": {"a": 2.0},
}
ALARM = {
    "number": 1,
    "start": 120,
    "end": None,
    "peak": 7.5,
    "p_value": 0.01,
    "kind": "sudden",
    "rise": 20.0,
    "shares": {"flow": 0.8, "pressure": 0.2},
}
SCORED = {"time": 120, "score": 7.5, "p_value": 0.01, "alarm": 1}
OF_PHOTOS = {"model": "boards", "sha256": "5af4...", "results": [PHOTO]}
OF_SENSORS = {"model": "pump", "sha256": "c038...", "notes": [], "alarms": [ALARM], "rows": [SCORED]}
OF_ROWS = {"rows": 1, "alarm": ALARM}
EVENTS = """event: rows
data: {"rows": [{"time": 120, "score": 7.5, "p_value": 0.01}], "shares": {"flow": 0.8, "pressure": 0.2}}

event: alarm
data: {"id": "pump-1-begin", "model": "pump", "change": "begin", "number": 1, "start": 120, ...}

"""
REFUSALS = {
    401: "a token is needed",
    404: "no such model",
    408: "the request did not arrive in time",
    409: "a model of another kind",
    413: "too large",
    415: "an unsupported type",
    422: "cannot be used",
    503: "too many requests wait, or not scored in time; see Retry-After",
}
Answers = dict[int | str, Json]


def takes(*bodies: Json) -> Json:
    """Describe a request with one of these bodies."""
    return {"requestBody": {"required": True, "content": {kind: how for body in bodies for kind, how in body.items()}}}


def gives(*statuses: int, json: Json | None = None, **content: Any) -> Answers:
    """Describe an answer like one of the examples, or a refusal with one of these statuses."""
    examples = {name: {"value": value} for name, value in (json or {}).items()}
    kinds = {"application/json": {"examples": examples}} if examples else {}
    good = {"description": "OK", "content": kinds | content}
    refused: Json = {"application/json": {"example": {"detail": "one line"}}}
    answers: Answers = {status: {"description": REFUSALS[status], "content": refused} for status in statuses}
    return {200: good} | answers
