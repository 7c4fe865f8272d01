"""The sentence that says whether a training overfits."""

import pytest

from mnist_pipeline.reporting.sentences import overfitting_sentence
from tests.support.reports import sample_history


def history(losses, validation, members=1):
    found = sample_history(len(losses), held_out=validation is not None)
    per_member = len(losses) // members
    epochs = [
        epoch.model_copy(
            update={
                "member": place // per_member + 1,
                "loss": losses[place],
                "val_loss": None if validation is None else validation[place],
            }
        )
        for place, epoch in enumerate(found.epochs)
    ]
    return found.model_copy(update={"epochs": epochs, "best_epochs": [1] * members})


@pytest.mark.parametrize(
    ("losses", "validation", "members", "expected"),
    [
        ([1, 0.5, 0.25], [1, 0.5, 0.3], 1, "It does not overfit"),
        ([1, 0.5, 0.25], [1, 0.5, 0.52], 1, "It does not overfit"),
        (
            [1, 0.5, 0.25],
            [1, 0.5, 0.6],
            1,
            "It overfits from epoch 3 on: by the end the validation loss rises from 0.5",
        ),
        ([1, 0.5, 0.75], [1, 0.5, 0.6], 1, "It does not overfit"),  # it diverges: the training loss rises as well
        ([1, 0.5, 1, 0.5], [1, 0.5, 0.5, 0.8], 2, "Member 2 overfits from epoch 4 on"),
    ],
)
def test_it_is_told_whether_and_from_when(losses, validation, members, expected):
    assert overfitting_sentence(history(losses, validation, members)).startswith(expected)


def test_without_validation_rows_nothing_is_told():
    assert overfitting_sentence(history([1, 0.5], None)) == ""
