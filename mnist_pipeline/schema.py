"""What every stored or configured value is built on: the frozen record."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen part of a stored file; NaN and infinity are refused."""

    # Built when it is first used: a command uses few of them, and building takes longer than importing.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
