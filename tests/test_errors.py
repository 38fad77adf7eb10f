"""Errors are segwidget's own and the built-in ones at the same time."""

import pickle

import pytest

from segwidget import errors

ALL = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.SegwidgetError)
]


def test_every_kind_of_failure_has_a_class() -> None:
    assert {kind.__name__ for kind in ALL} == {
        "SegwidgetError",
        "ImageError",
        "PromptError",
        "ModelError",
        "CheckpointError",
        "AnnotationError",
        "LabelError",
        "FormatError",
        "StoreError",
        "ClosedError",
        "ResourceError",
        "SettingError",
    }


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not errors.SegwidgetError])
def test_error_is_caught_by_name_and_by_builtin(kind: type[errors.SegwidgetError]) -> None:
    assert issubclass(kind, ValueError | OSError | RuntimeError | MemoryError)
    error = kind("Got a, expected b; try c.")
    assert str(error) == "Got a, expected b; try c."
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)
