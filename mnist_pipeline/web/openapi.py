"""The description of the HTTP interface (OpenAPI 3.1)."""

from typing import Any

from mnist_pipeline import __version__
from mnist_pipeline.rejection.answers import STATUS_NAMES
from mnist_pipeline.scoring.writers import CLASS_COLUMNS

JSON = "application/json"


def describe() -> dict[str, Any]:
    """The document of ``/openapi.json``."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "mnist-pipeline", "version": __version__},
        "paths": {
            "/v1/classify": {"post": _classify()},
            "/health": {"get": _get("Whether images are answered, and by what.", JSON, "Health", also=(503,))},
            "/metrics": {"get": _get("Counts for Prometheus.", "text/plain", None)},
        },
        "components": {"schemas": _schemas()},
    }


def _classify() -> dict[str, Any]:
    image = {"type": "string", "format": "binary"}
    form = {"type": "object", "additionalProperties": {"type": "array", "items": image}}
    one = {"allOf": [_ref("Answer"), _ref("Model")]}
    refused = {
        "400": "The image or the request cannot be read.",
        "408": "The request did not arrive in time.",
        "413": "The request, or the image in pixels, is too large.",
        "415": "The bytes are no image that is read.",
        "429": "Too many requests at once.",
        "503": "There is no model yet.",
    }
    return {
        "summary": "Which digit do these images show? The answer is the row that `mnist-pipeline score` writes.",
        "parameters": [
            _query("path", "Name of the image in its row, where the body is one image."),
            _query("explain", "1: add the picture that the model saw (784 bytes, base64), and the reason in words."),
        ],
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": form}, "*/*": {"schema": image}},
        },
        "responses": {
            "200": _response(
                "One answer; or, to a form, one for each file in its order.", {"anyOf": [one, _ref("Answers")]}
            ),
            **{code: _response(what, _ref("Refusal")) for code, what in refused.items()},
        },
    }


def _schemas() -> dict[str, Any]:
    number = {"type": ["number", "null"]}
    text = {"type": ["string", "null"]}
    answer = {
        "path": {"type": "string"},
        "status": {"enum": list(STATUS_NAMES)},
        "digit": {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
        "confidence": number,
        "reason": text,
        "error": text,
        **dict.fromkeys(CLASS_COLUMNS, number),
        "novelty": number,
    }
    model = {"model": {"type": "string"}, "version": text}
    return {
        "Answer": {**_object(answer), "description": "Log-odds that the image is none of the digits are `novelty`."},
        "Model": _object(model),
        "Answers": _object({**model, "images": {"type": "array", "items": _ref("Answer")}}),
        "Refusal": _object({"error": {"type": "string"}}),
        "Health": _object({"status": {"type": "string"}, "model": text, "version": text, "problem": text}),
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _query(name: str, what: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": what, "schema": {"type": "string"}}


def _response(what: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": what, "content": {JSON: {"schema": schema}}}


def _get(what: str, media: str, schema: str | None, also: tuple[int, ...] = ()) -> dict[str, Any]:
    content = {media: {"schema": _ref(schema)} if schema else {}}
    return {
        "summary": what,
        "responses": {str(code): {"description": what, "content": content} for code in (200, *also)},
    }
