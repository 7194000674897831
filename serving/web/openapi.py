"""The description of the interface, OpenAPI 3.1, made from the same bounds that the server keeps."""

from __future__ import annotations

from typing import Any, Final

from base import __version__
from serving.web.limits import Limits

_PROBABILITY: Final = {"type": "number", "minimum": 0, "maximum": 1}
_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "number"}
_WHOLE: Final = {"type": "integer", "minimum": 0}
_THRESHOLDS: Final = {
    "type": "object",
    "additionalProperties": _PROBABILITY,
    "description": "Of each word, in a stream.",
}
_ERROR: Final = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "One sentence for people."}},
    "required": ["error"],
}
_REASONS: Final = {
    400: "The request is not HTTP as it should be.",
    403: "The request comes from a page of another site.",
    404: "There is no such take.",
    408: "The body came too slowly.",
    409: "The model is learning already.",
    413: "The file is too large, or its audio too long.",
    415: "The body is no audio of a known form.",
    421: "The server does not answer to this name.",
    422: "What came is damaged, or beyond a bound.",
    426: "The address speaks WebSocket.",
    429: "The client asks for too much.",
    503: "The server has too much to do.",
}


def document(limits: Limits, *, recording: bool) -> dict[str, Any]:
    """The whole description.

    Args:
        limits: what the texts name.
        recording: whether words can be recorded and taught.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Keyword spotting",
            "version": __version__,
            "description": "What audio says, by one exported model.",
        },
        "paths": {
            "/v1/predict": {"post": _predict(limits)},
            "/v1/listen": {"get": _listen(limits)},
            "/v1/model": {"get": _get("What the model is.", _json("Model"))},
            "/healthz": {"get": _get("Whether files can be decoded now.", _json("Health"), 503)},
            "/metrics": {"get": _get("Counters for Prometheus.", {"text/plain": {"schema": {"type": "string"}}})},
            "/openapi.json": {"get": _get("This description.", _json("Document"))},
            **(_words() if recording else {}),
        },
        "components": {"schemas": _schemas()},
    }


def _predict(limits: Limits) -> dict[str, Any]:
    file = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": file}, "required": ["file"]}
    text = (
        f"WAV, FLAC, Ogg Vorbis, Opus or MP3, of 4 to 192 kHz, at most {limits.file_bytes / 1e6:g} MB, "
        f"{limits.file_seconds:g} seconds and {limits.file_channels} channels. Up to a second it is one clip; "
        "longer audio is listened to from its beginning to its end."
    )
    return {
        "summary": "What an audio file says.",
        "description": text,
        "operationId": "predict",
        "requestBody": {
            "required": True,
            "content": {
                "audio/wav": {"schema": file},
                "application/octet-stream": {"schema": file},
                "multipart/form-data": {"schema": form},
            },
        },
        "responses": {
            "200": _answer("Its words.", _json("Decoded")),
            **_errors(400, 403, 408, 413, 415, 421, 422, 429, 503),
        },
    }


def _listen(limits: Limits) -> dict[str, Any]:
    text = (
        "A WebSocket. Binary messages of little-endian samples of 16 bits at 16 kHz go in, any number of them and no "
        "faster than they sound. JSON comes out: first of the type ready, which says what follows; for each window of "
        "the type step, with the best classes and the word heard or null, and then a binary message, the new rows of "
        "features as little-endian float32; late, where samples were left out; refused, which says why the stream "
        f"ends, also where {limits.listeners} streams are open or {limits.listeners_per_address} of one address."
    )
    return {
        "summary": "What a stream says, while it is said.",
        "description": text,
        "operationId": "listen",
        "responses": {
            "101": {"description": "The stream begins."},
            **_errors(400, 403, 421, 426),
        },
    }


def _words() -> dict[str, Any]:
    """What is answered where words can be recorded."""
    word = {"name": "word", "in": "path", "required": True, "schema": {"type": "string"}}
    number = {
        "name": "number",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 0, "maximum": 9999},
    }
    take = {"schema": {"type": "string", "format": "binary"}}
    samples = {"required": True, "content": {"application/octet-stream": take}}
    errors = _errors(400, 403, 404, 421, 422, 429)
    after = {"200": _answer("What is there now.", _json("Words")), **errors}
    return {
        "/v1/words": {"get": _get("The words recorded, and how far learning is.", _json("Words"))},
        "/v1/words/{word}/takes": {
            "parameters": [word],
            "post": {
                "summary": "Keep a take: one second, little-endian samples of 16 bits at 16 kHz.",
                "requestBody": samples,
                "responses": {
                    "201": _answer("Its number, and what is there now.", _json("Added")),
                    **errors,
                    **_errors(408, 413),
                },
            },
        },
        "/v1/words/{word}/takes/{number}": {
            "parameters": [word, number],
            "get": {"summary": "A take.", "responses": {"200": _answer("A file.", {"audio/wav": take}), **errors}},
            "delete": {"summary": "Delete a take.", "responses": after},
        },
        "/v1/teach": {
            "post": {
                "summary": "Let the model learn the words, and listen with it then.",
                "responses": {"202": _answer("It has begun.", _json("Words")), **_errors(400, 403, 409, 421, 422, 429)},
            }
        },
    }


def _get(summary: str, content: dict[str, Any], *errors: int) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": _answer(summary, content), **_errors(400, 421, *errors)}}


def _answer(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": content}


def _errors(*statuses: int) -> dict[str, Any]:
    return {str(status): _answer(_REASONS[status], _json("Error")) for status in statuses}


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(items: dict[str, Any], **bounds: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **bounds}


def _schemas() -> dict[str, Any]:
    takes = _object({"word": _TEXT, "takes": _list(_WHOLE)})
    progress = {"type": "object", "properties": {"state": _TEXT, "seconds": _NUMBER}, "required": ["state", "seconds"]}
    words = {"words": _list(takes), "fewest": _WHOLE, "enough": _WHOLE, "teaching": progress}
    return {
        "Words": _object(words),
        "Added": _object({"number": _WHOLE, **words}),
        "Error": _ERROR,
        "Health": _object({"status": {"const": "ok"}}),
        "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
        "Decoded": _decoded(),
        "Model": _model(),
    }


def _decoded() -> dict[str, Any]:
    guess = _object({"word": _TEXT, "probability": _PROBABILITY})
    heard = _object({"word": _TEXT, "time_s": _NUMBER, "score": _PROBABILITY})
    best = "The most probable classes, best first, of the window that is most certain."
    words = "The words of audio longer than a second; time_s is the end of the window."
    return _object(
        {
            "seconds": {"type": "number", "exclusiveMinimum": 0},
            "top": _list(guess, minItems=1, maxItems=3, description=best),
            "heard": _list(heard, description=words),
            "thresholds": _THRESHOLDS,
        }
    )


def _model() -> dict[str, Any]:
    view = {"name": _TEXT, "version": _TEXT, "title": _TEXT, "shape": _list(_WHOLE)}
    return _object(
        {
            "name": _TEXT,
            "network": _TEXT,
            "classes": _list(_TEXT, minItems=1),
            "view": _object(view),
            "thresholds": _THRESHOLDS,
            "accuracy": _object({"share": _PROBABILITY, "low": _PROBABILITY, "high": _PROBABILITY, "clips": _WHOLE}),
            "limits": _object({"file_bytes": _WHOLE, "file_seconds": _NUMBER, "file_channels": _WHOLE}),
            "recording": {"type": "boolean"},
        }
    )
