"""One server for the tests that change nothing."""

from collections.abc import Iterator

import pytest

from tests.support.served import Served, served
from tests.support.small_workspace import SmallWorkspace


@pytest.fixture(scope="package")
def server(small_workspace: SmallWorkspace) -> Iterator[Served]:
    with served(small_workspace.root) as running:
        yield running
