"""The application: which paths there are, what runs beside them, and how errors are told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.labels.review import Review
from mnist_pipeline.web import events, interface, pages, review
from mnist_pipeline.web.model import FollowedModel, Wanted
from mnist_pipeline.web.security import Access, Guard
from mnist_pipeline.web.state import Places, State
from mnist_pipeline.web.worker import Limits
from mnist_pipeline.web.workers import Workers

STATIC = Path(__file__).with_name("static")


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve.

    Attributes:
        wanted: the model that answers.
        access: who may ask.
        workers: processes that answer.
        places: requests at once; further ones are sent away.
        max_bytes: of a request.
        limits: of one image.
        review: images that people are asked about; None where there is nothing to review.
    """

    wanted: Wanted
    access: Access = field(default_factory=Access)
    workers: int = 2
    places: int = 32
    max_bytes: int = 16_000_000
    limits: Limits = field(default_factory=Limits)
    review: Review | None = None


def create_app(settings: Settings) -> Starlette:
    """The application; its worker processes live as long as its lifespan."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        workers = Workers(settings.workers, settings.limits)
        model = FollowedModel(settings.wanted, workers)
        app.state.server = State(
            settings.wanted.workspace.resolve(),
            settings.wanted.registry,
            model,
            workers,
            Places(settings.places),
            settings.max_bytes,
            settings.review,
        )
        try:
            await model.look()
            following = asyncio.create_task(model.follow())
            yield
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
        finally:
            workers.close()

    return Starlette(
        routes=[
            Route("/", pages.try_page),
            Route("/runs", pages.runs_page),
            Route("/runs/{run}", pages.run_page),
            Route("/runs/{run}/report", pages.run_report),
            Route("/runs/{run}/events", events.live),
            Route("/runs/{run}/curve.json", events.curve),
            Route("/models", pages.models_page),
            Route("/models/{model}/{version}/report", pages.model_report),
            Route("/review", review.review_page),
            Route("/review/queue", review.queue),
            Route("/review/pictures/{digest}", review.picture),
            Route("/review/answers", review.answer, methods=["POST"]),
            Route("/review/shared/{name}", review.shared_file),
            Route("/v1/classify", interface.classify, methods=["POST"]),
            Route("/health", interface.health),
            Route("/metrics", interface.metrics),
            Route("/openapi.json", interface.openapi),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
        ],
        middleware=[Middleware(Guard, access=settings.access)],
        exception_handlers={HTTPException: _refused, PipelineError: _failed, Exception: _unexpected},
        lifespan=lifespan,
    )


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _failed(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": " ".join(str(error).split())}, 503)


async def _unexpected(_: Request, error: Exception) -> Response:
    """A fault of ours. The log says where it is."""
    return JSONResponse({"error": f"an unexpected {type(error).__name__}: please report it"}, 500)
