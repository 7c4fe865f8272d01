"""The HTTP interface: classify, health, metrics."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mnist_pipeline.rejection.answers import REASON_SENTENCES
from mnist_pipeline.scoring.single import Reply
from mnist_pipeline.web.metrics import CONTENT_TYPE
from mnist_pipeline.web.model import ServedModel
from mnist_pipeline.web.openapi import describe
from mnist_pipeline.web.state import State
from mnist_pipeline.web.uploads import FORM, Upload, read_uploads
from mnist_pipeline.web.worker import Question

BODY_SECONDS = 30.0
"""Within which a request must have arrived."""
CODES: Mapping[str, int] = {"not an image": 415, "too large": 413}
"""Kind of an image's error -> HTTP status, where it is not 400."""


def as_json(value: Any, status: int = 200) -> Response:
    """Written as `score` writes its rows."""
    return Response(json.dumps(value, ensure_ascii=False), status, media_type="application/json")


async def classify(request: Request) -> Response:
    """Answer the image in the body, or those in a form."""
    state: State = request.app.state.server
    started = time.perf_counter()
    code = 500
    try:
        with state.places.taken():
            answer = await _classify(request, state)
        code = answer.status_code
    except HTTPException as error:
        code = error.status_code
        raise
    finally:
        state.metrics.requests.labels(str(code)).inc()
        state.metrics.seconds.observe(time.perf_counter() - started)
    return answer


async def _classify(request: Request, state: State) -> Response:
    uploads = await read_uploads(request, state.max_bytes, BODY_SECONDS)
    model = state.model.current  # the one that was there when the request came answers all of it
    if model is None:
        raise HTTPException(503, f"no model answers yet: {state.model.problem or 'it is being loaded'}")
    explain = request.query_params.get("explain", "") not in {"", "0", "false"}
    answers = [await _answer(upload, model, state, explain=explain) for upload in uploads]
    about = {"model": model.name, "version": model.version}
    if request.headers.get("content-type", "").lower().startswith(FORM):
        return as_json({**about, "images": answers})
    [answer] = answers
    kind = answer["reason"] if answer["status"] == "error" else None
    return as_json({**answer, **about}, 200 if kind is None else CODES.get(kind, 400))


async def _answer(upload: Upload, model: ServedModel, state: State, *, explain: bool) -> dict[str, Any]:
    reply = await state.workers.classify(Question(model.scoring, upload.name, upload.data))
    state.metrics.images.labels(reply.row["status"]).inc()
    answer = {**reply.row, "novelty": reply.novelty}
    return answer | _explanation(reply) if explain else answer


def _explanation(reply: Reply) -> dict[str, Any]:
    """What a page shows beside the answer."""
    return {
        "sentence": reply.row["error"] or REASON_SENTENCES.get(reply.row["reason"] or "", ""),
        "seen": None if reply.seen is None else base64.b64encode(reply.seen.tobytes()).decode(),
    }


async def health(request: Request) -> Response:
    """Whether images are answered, and by what."""
    state: State = request.app.state.server
    model = state.model.current
    return as_json(
        {
            "status": "ok" if model else "no model",
            "model": model.name if model else None,
            "version": model.version if model else None,
            "problem": state.model.problem or None,
        },
        200 if model else 503,
    )


async def metrics(request: Request) -> Response:
    """For Prometheus."""
    state: State = request.app.state.server
    found = state.metrics
    found.in_flight.set(state.places.in_use)
    found.workers_replaced.set(state.workers.replaced)
    found.model.clear()
    if model := state.model.current:
        found.model.labels(model.name, model.version or "").set(1)
    return Response(await run_in_threadpool(found.render), media_type=CONTENT_TYPE)


async def openapi(_: Request) -> Response:
    """What there is to ask, for programs."""
    return as_json(describe())
