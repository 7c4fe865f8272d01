"""What was drawn is counted."""

import json

import pytest

from benchmarks import drawing
from tests.support.browser import CHROMEDRIVER, CHROMIUM


@pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver")
def test_every_digit_is_drawn_in_nine_places_and_three_sizes(small_workspace, capsys):
    drawing.main(["champion", "--workspace", str(small_workspace.root), "--digits", "1"])
    found = json.loads(capsys.readouterr().out)
    assert (found["drawn"], found["read"] + len(found["wrong"])) == (27, 27)
    assert found["share"] == round(found["read"] / 27, 4)
    assert all(one["digit"] != "1" == str(one["drawn"]) for one in found["wrong"])
    assert found["console"] == []
