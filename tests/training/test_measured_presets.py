"""What is said of the presets holds: each has an entry, and the numbers of parameters are those of the models."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.config import DEFAULT_PRESET, PRESETS
from mnist_pipeline.config.presets import MEASURED
from mnist_pipeline.training.architectures import build_model
from mnist_pipeline.training.saving import combine


@pytest.fixture(scope="module")
def listed():
    result = CliRunner().invoke(app, ["train", "--list-presets", "--json"])
    assert result.exit_code == 0
    return {row["preset"]: row for row in json.loads(result.stdout)["presets"]}


@pytest.mark.parametrize("name", PRESETS)
def test_the_listing_tells_the_config_and_the_parameters_of_the_built_model(listed, name):
    config = PRESETS[name]
    member = build_model(config.architecture, seed=1)
    model = combine(config.architecture, [member.get_weights()] * config.members, config.views)
    assert listed[name]["parameters"] == model.count_params() == sum(w.size for w in model.get_weights())
    assert {field: listed[name][field] for field in config.model_dump()} == config.model_dump(mode="json")


def test_the_small_networks_and_the_ensemble_stay_within_their_sizes():
    assert MEASURED["standard"].parameters == 5_994
    assert MEASURED["accurate"].parameters <= 150_000
    assert MEASURED["ensemble"].parameters <= 1_000_000


def test_every_preset_has_an_expectation_and_nothing_else_has(listed):
    assert list(MEASURED) == list(PRESETS) == list(listed)
    for name, row in listed.items():
        expected = row["expected"]
        assert 0.9 < expected["accuracy"] < 1, name
        assert expected["seeds"] >= 1, name
        assert (expected["sd"] is None) == (expected["seeds"] == 1), name
        assert expected["fit_seconds"] > 0
        assert "cores" in expected["machine"]


def test_people_read_what_scripts_read(listed):
    lines = CliRunner().invoke(app, ["train", "--list-presets"]).stdout.splitlines()
    assert [line.partition("\t")[0] for line in lines] == list(PRESETS)
    for name, line in zip(listed, lines, strict=True):
        row = listed[name]
        _, default, network, optimizer, schedule, rows, augmentation, expected = line.split("\t")
        assert default == ("yes" if name == DEFAULT_PRESET else "")
        assert row["architecture"] in network
        assert f"{row['parameters']:,} parameters" in network
        assert row["optimizer"] in optimizer
        assert f"learning rate {row['learning_rate']:g} {row['schedule']}" in schedule
        assert str(row["batch_size"]) in schedule
        assert f"{row['max_batches']} batches" in schedule or f"{row['epochs']} epochs" in schedule
        assert f"{row['validation_rows']:,} for validation" in rows
        assert ("none" in augmentation) == (not np.any(list(row["augmentation"].values())))
        assert f"{row['expected']['accuracy'] * 100:.2f} % of the test images" in expected
