"""The pages: a template, filled."""

from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mnist_pipeline.runs.wording import percent
from mnist_pipeline.web.state import State

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("mnist_pipeline.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["percent"] = percent
    return found


def render(template: str, **values: Any) -> Response:
    """A page."""
    return HTMLResponse(_templates().get_template(template).render(values))


async def try_page(request: Request) -> Response:
    """Draw, drop, paste or photograph a digit, and see what the model says."""
    state: State = request.app.state.server
    return render("try.html.j2", model=state.model.current, problem=state.model.problem)
