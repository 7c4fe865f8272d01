"""Review: people say what images of a scored output show; the model's answer comes after theirs."""

import asyncio
from collections.abc import Callable
from typing import Literal, TypeVar

from pydantic import Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from mnist_pipeline.files.locks import HeldElsewhereError
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.labels.review import ChangedError, Review
from mnist_pipeline.reporting.review import SHARED, model_answer
from mnist_pipeline.schema import Record, first_problem
from mnist_pipeline.web.interface import BODY_SECONDS, as_json
from mnist_pipeline.web.pages import render
from mnist_pipeline.web.state import State
from mnist_pipeline.web.uploads import read_uploads

T = TypeVar("T")
MAX_BYTES = 4_000
"""Of one answer."""
Name = Field(min_length=1, max_length=80, pattern=r"\S")


class Said(Record):
    """One answer."""

    image: str
    """Digest."""
    label: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "none"] | None
    """None withdraws the answer before."""
    by: str = Name


async def review_page(request: Request) -> Response:
    """The page; what it shows comes by the requests below."""
    state: State = request.app.state.server
    return render("review.html.j2", review=state.review)


async def shared_file(request: Request) -> Response:
    """Script and style that the page has in common with the review sheet."""
    name = request.path_params["name"]
    if name not in {"reviewer.js", "reviewer.css"}:
        raise HTTPException(404, "there is no such file")
    return FileResponse(SHARED / name)


async def queue(request: Request) -> Response:
    """What a person has still to answer."""
    found = await asyncio.to_thread(_review(request).queue, request.query_params.get("by", "").strip())
    return as_json({"images": found.digests, "answered": found.answered})


async def picture(request: Request) -> Response:
    """One image."""
    review = _review(request)
    found = await _work(review, request.path_params["digest"], review.picture)
    return Response(
        found.data, media_type=found.media_type, headers={"cache-control": "private, max-age=3600, immutable"}
    )


async def answer(request: Request) -> Response:
    """Keep one answer, or withdraw it; what the model says is told once that is on disk."""
    review, said = _review(request), await _said(request)
    label = said.label
    if label is None:
        await _work(review, said.image, lambda digest: review.withdraw(digest, by=said.by))
        return as_json({"kept": None})
    await _work(review, said.image, lambda digest: review.answer(digest, label, by=said.by))
    return as_json({"kept": label, "model": model_answer(review.images[said.image].row)})


def _review(request: Request) -> Review:
    state: State = request.app.state.server
    if state.review is None:
        raise HTTPException(404, "there is nothing to review; start: mnist-pipeline serve --review OUTPUT.csv")
    return state.review


async def _said(request: Request) -> Said:
    uploads = await read_uploads(request, MAX_BYTES, BODY_SECONDS)
    try:
        said = Said.model_validate_json(uploads[0].data)
    except ValidationError as error:
        raise HTTPException(400, f"this is no answer: {first_problem(error)}") from None
    return said.model_copy(update={"by": said.by.strip()})


async def _work(review: Review, digest: str, work: Callable[[str], T]) -> T:
    """Do it in a thread; what can go wrong becomes a sentence."""
    if digest not in review.images:
        raise HTTPException(404, "this image is no part of the review any more; load the page again")
    try:
        return await asyncio.to_thread(work, digest)
    except ChangedError:
        raise HTTPException(409, "the file of this image has changed; skip it") from None
    except ImageError as error:
        raise HTTPException(409, f"this image cannot be read ({error.message}); skip it") from None
    except HeldElsewhereError:
        raise HTTPException(503, "somebody else has been adding labels for minutes; try again") from None
    except OSError as error:
        raise HTTPException(507, f"the labels cannot be written: {error.strerror or error}") from None
