"""Every exercise: the reference passes, and every known mistake is recognised."""

import importlib
import pkgutil

import pytest

import nonlocal_ref.exercises as exercises
from nonlocal_ref.exercises.ladder import Exercise, climb


def all_exercises():
    """Every `Exercise` there is, by name."""
    modules = [
        importlib.import_module(f"{exercises.__name__}.{m.name}") for m in pkgutil.iter_modules(exercises.__path__)
    ]
    return {e.name: e for module in modules for e in vars(module).values() if isinstance(e, Exercise)}


EXERCISES = all_exercises()
MISTAKES = [
    pytest.param(exercise, mistake, id=f"{name}-{mistake.__name__}")
    for name, exercise in EXERCISES.items()
    for mistake in exercise.mistakes
]


@pytest.fixture(params=EXERCISES.values(), ids=EXERCISES.keys())
def exercise(request):
    return request.param


def test_the_reference_passes(exercise):
    result = climb(exercise, exercise.reference)
    assert result
    assert "right" in str(result)
    assert not result.hints


def test_three_mistakes_at_least_are_known(exercise):
    assert len({mistake.__name__ for mistake in exercise.mistakes}) >= 3


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_a_known_mistake_gets_its_own_hint_and_no_other(exercise, mistake):
    result = climb(exercise, mistake)
    assert not result
    assert {hint.name for hint in result.hints} == {mistake.__name__}
    assert " ".join(mistake.__doc__.split()) in " ".join(str(result).split())
    if exercise.plain or f"The value {exercise.value} is not right." in str(result):
        assert result.report is None  # the gradient of something else says nothing
    elif result.report is not None:  # None where the input has no derivative
        assert not result.report
        assert str(result.report).splitlines()[0] in str(result)


def test_every_check_is_public_and_named_after_its_exercise():
    checks = {name.removeprefix("check_") for name in exercises.__all__ if name.startswith("check_")}
    assert checks == {"nonlocal" if name == "nonlocal_op" else name for name in EXERCISES}
