"""Configs: what wins, and what is refused with which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mnist_pipeline.config import (
    DEFAULT_PRESET,
    PRESET_VALUES,
    PRESETS,
    GateConfig,
    PipelineConfig,
    PublishConfig,
    TrainConfig,
    parse_assignment,
    parse_config,
)
from mnist_pipeline.errors import UsageError


def test_without_layers_the_default_preset_is_used_whole():
    assert parse_config(PipelineConfig).training == PRESETS[DEFAULT_PRESET]


def test_a_preset_is_the_base_and_later_layers_win():
    config = parse_config(
        PipelineConfig,
        {"training": {"preset": "codelab", "epochs": 3, "seed": 7}},
        parse_assignment("training.epochs=4"),
    )
    assert config.training == PRESETS["codelab"].model_copy(update={"epochs": 4, "seed": 7})


def test_who_names_the_epochs_means_them():
    assert parse_config(PipelineConfig).training.min_batches > 0
    assert parse_config(PipelineConfig, parse_assignment("training.epochs=1")).training.min_batches == 0


def test_nested_fields_are_merged_and_not_replaced():
    config = parse_config(
        PipelineConfig,
        parse_assignment("publishing.gate.min_accuracy=0.5"),
        parse_assignment("publishing.gate.promote_ties=true"),
    )
    assert (config.publishing.gate.min_accuracy, config.publishing.gate.promote_ties) == (0.5, True)


def test_a_stored_config_is_read_back_unchanged():
    config = parse_config(PipelineConfig, {"training": {"preset": "sgd-2018", "learning_rate": 0.2}})
    assert parse_config(PipelineConfig, config.model_dump(mode="json")) == config


def test_a_config_of_an_older_version_is_read_without_the_fields_that_are_gone():
    config = parse_config(PipelineConfig, {"training": {"preset": "accurate", "seed": 4}})
    stored = config.model_dump(mode="json")
    stored["training"]["kill_after_minutes"] = 60
    stored["training"]["augmentation"]["mirror"] = True
    stored["notifying"] = {"url": "http://localhost"}
    changed = parse_config(PipelineConfig, stored, {"publishing": {"registry": "elsewhere"}}, unknown="ignore")
    assert (changed.training, changed.publishing.registry) == (config.training, "elsewhere")
    with pytest.raises(UsageError, match=r"training\.seed: .* found -1"):
        parse_config(PipelineConfig, stored, {"training": {"seed": -1}}, unknown="ignore")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.epochs=0", "training.epochs: Input should be greater than or equal to 1, found 0"),
        ("training.batch_size=-1", "training.batch_size: Input should be greater than or equal to 1, found -1"),
        ("training.learning_rate=nan", "training.learning_rate: Input should be a finite number, found nan"),
        ("publishing.gate.min_accuracy=nan", "publishing.gate.min_accuracy: Input should be a finite number"),
        ("training.device=tpu", "training.device: Input should be 'auto', 'cpu' or 'gpu', found 'tpu'"),
        ("training.speed=1", "training.speed: is not a field of the configuration, found 1"),
        ("training.preset=best", "training.preset: is not a preset; there are: codelab, codelab-full"),
        ("publishing.model=../x", "publishing.model: String should match pattern"),
        ("training=1", "--set training=1: not of the form section.field=value"),
        ("training.epochs", "--set training.epochs: not of the form section.field=value"),
    ],
)
def test_nonsense_is_refused_in_one_line_that_names_field_and_value(assignment, message):
    with pytest.raises(UsageError) as caught:
        parse_config(PipelineConfig, parse_assignment(assignment))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@given(st.sampled_from(["epochs", "batch_size", "train_rows", "max_batches"]), st.integers(max_value=0))
def test_counts_below_one_are_never_accepted(field, value):
    with pytest.raises(ValidationError):
        TrainConfig.model_validate({field: value})


@given(st.text(min_size=1).filter(lambda text: text not in PRESETS))
def test_a_preset_that_does_not_exist_is_a_usage_error(name):
    with pytest.raises(UsageError, match="is not a preset"):
        parse_config(PipelineConfig, {"training": {"preset": name}})


def test_every_field_tells_what_it_is():
    schema = PipelineConfig.model_json_schema()
    undescribed = [
        f"{name}.{field}"
        for name, definition in schema["$defs"].items()
        for field, facts in definition.get("properties", {}).items()
        if "description" not in facts
    ]
    assert undescribed == []


def test_a_config_from_a_parameter_form_starts_from_the_preset_that_it_names():
    """What Prefect validates is what the command line builds."""
    form = {"training": {"preset": "accurate", "augmentation": {"shear": 1}}, "fetch": {"dataset": "digits"}}
    found = PipelineConfig.model_validate(form)
    assert found == parse_config(PipelineConfig, form)
    accurate = PRESETS["accurate"]
    assert found.training.weight_decay == accurate.weight_decay != PRESETS["standard"].weight_decay
    assert found.training.augmentation == accurate.augmentation.model_copy(update={"shear": 1})
    assert PipelineConfig.model_validate({}).training == PRESETS[DEFAULT_PRESET]
    assert PipelineConfig.model_validate({"training": {"seed": 4}}).training.preset == DEFAULT_PRESET


def test_a_stored_config_reads_back_as_it_was():
    config = parse_config(
        PipelineConfig, {"training": {"preset": "standard", "epochs": 3, "augmentation": {"zoom": 0}}}
    )
    assert PipelineConfig.model_validate(config.model_dump(mode="json")) == config


def test_a_form_shows_no_default_where_a_preset_decides():
    """It would send the default back, and undo the preset."""
    definitions = PipelineConfig.model_json_schema()["$defs"]
    shown = {name for name, field in definitions["TrainConfig"]["properties"].items() if "default" in field}
    assert shown >= {"preset", "seed", "device"}
    assert not shown & {name for values in PRESET_VALUES.values() for name in values}
    assert not [field for field in definitions["AugmentationConfig"]["properties"].values() if "default" in field]


@pytest.mark.parametrize(
    ("gate", "policy"),
    [({}, "significant"), ({"policy": "not_worse"}, "not_worse"), ({"promote_ties": True}, "better")],
)
def test_retraining_asks_for_a_gain_that_is_more_than_chance_where_nothing_else_is_named(gate, policy):
    config = PublishConfig(model="mnist", gate=GateConfig(min_accuracy=0.97, **gate))
    asked = config.for_retraining()
    assert asked.gate.policy == policy
    assert (asked.model, asked.gate.min_accuracy, config.gate.policy) == ("mnist", 0.97, gate.get("policy"))
