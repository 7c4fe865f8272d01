"""What every stored or configured value is built on: the frozen record."""

from pydantic import BaseModel, ConfigDict, ValidationError


class Record(BaseModel):
    """A frozen part of a stored file; NaN and infinity are refused."""

    # Built when it is first used: a command uses few of them, and building takes longer than importing.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Config(Record):
    """A frozen part of the configuration; the docstrings of its fields are their descriptions."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def first_problem(error: ValidationError) -> str:
    """The first field that is not acceptable, and why, in one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]
