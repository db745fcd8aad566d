"""The error tree is the one drawn at its head."""

import inspect

from attar import errors


def test_every_error_has_one_base():
    classes = [cls for _, cls in inspect.getmembers(errors, inspect.isclass)]
    assert {cls.__name__ for cls in classes} == set(errors.__all__)
    assert all(issubclass(cls, errors.AttarError) for cls in classes)
    assert issubclass(errors.ParityError, errors.ArtifactError)


def test_the_drawing_is_right():
    drawn = [line for line in errors.__doc__.splitlines() if "──" in line]
    for line in drawn:
        name = line.replace("│", " ").split("──")[1].split()[0]
        above = errors.ArtifactError if line.startswith("    │") else errors.AttarError
        assert getattr(errors, name).__mro__[1] is above
    assert len(drawn) == len(errors.__all__) - 1
