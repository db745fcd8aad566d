"""The error tree is the one drawn at its head; optional packages are asked for in one way."""

import ast
import errno
import inspect
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from attar import errors
from attar.errors import (
    AttarError,
    MissingPackageError,
    redacted,
    require,
    require_installed,
    system_error,
)

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # where the import name is another one


def test_every_error_has_one_base():
    classes = [cls for name, cls in inspect.getmembers(errors, inspect.isclass) if name in errors.__all__]
    assert {cls.__name__ for cls in classes} == {name for name in errors.__all__ if name.endswith("Error")}
    assert all(issubclass(cls, AttarError) for cls in classes)


def test_the_drawing_is_right():
    drawn = [line for line in errors.__doc__.splitlines() if "──" in line]
    for line in drawn:
        name = line.replace("│", " ").split("──")[1].split()[0]
        above = errors.ArtifactError if line.startswith("    │") else AttarError
        assert getattr(errors, name).__mro__[1] is above
    assert len(drawn) == sum(name.endswith("Error") for name in errors.__all__) - 1


def test_the_reference_has_every_error():
    text = (ROOT / "docs" / "reference.md").read_text("utf-8")
    table = text.split("| class | about |", 1)[1].split("\n\n", 1)[0]
    named = {row.split("`")[1] for row in table.splitlines() if row.startswith("| `")}
    assert named == {name for name in errors.__all__ if name.endswith("Error")} - {"AttarError"}


def test_require_returns_the_module():
    import numpy.linalg

    assert require("numpy", "train") is numpy
    assert require("numpy.linalg", "train") is numpy.linalg


@pytest.mark.parametrize("package", ["openpyxl", "openpyxl.styles"])
def test_a_missing_package_comes_with_the_line_that_installs_it(monkeypatch, package):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    monkeypatch.delitem(sys.modules, "openpyxl.styles", raising=False)
    with pytest.raises(MissingPackageError) as error:
        require(package, "excel")
    assert str(error.value) == "Excel needs the package openpyxl; pip install 'attar[excel]'"


def test_a_package_that_cannot_be_loaded_is_told_from_a_missing_one(monkeypatch, tmp_path):
    (tmp_path / "half_installed.py").write_text("import a_part_that_is_not_there\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingPackageError, match=r"half_installed cannot be imported \(No module named"):
        require("half_installed", "train")


def test_all_that_is_missing_is_named_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    require_installed(["numpy"], "train")
    with pytest.raises(MissingPackageError, match=r"need the packages torch, not_a_package; pip install"):
        require_installed(["torch", "numpy", "not_a_package"], "train")


def calls_of_require():
    """(where, package, extra) of each call in src that spells both out."""
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id
            if named == "require":
                yield f"{path.relative_to(SRC)}:{node.lineno}", *(arg.value for arg in node.args)


def packages_of(extra, extras):
    """Names of the packages that an extra installs, those of the extras that it names among them."""
    found = set()
    for line in extras[extra]:
        nested = re.fullmatch(r"attar\[(.+)\]", line)
        if nested:
            found |= {name for one in nested[1].split(",") for name in packages_of(one, extras)}
        else:
            found.add(re.match(r"[\w-]+", line)[0])
    return found


def test_each_extra_installs_what_is_required_of_it():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    calls = [*calls_of_require(), *(("errors", name, "train") for name in errors.TRAINING_PACKAGES)]
    assert len(calls) > len(errors.TRAINING_PACKAGES) + 5
    for where, package, extra in calls:
        top = package.partition(".")[0]
        assert DISTRIBUTIONS.get(top, top) in packages_of(extra, extras), where


def test_only_require_catches_an_import_that_fails():
    wrong = [
        path.relative_to(ROOT)
        for folder in (SRC, ROOT / "classic")
        for path in folder.rglob("*.py")
        if re.search(r"except \(?\w*(ImportError|ModuleNotFoundError)", path.read_text("utf-8"))
    ]
    assert wrong == [Path("src/attar/errors.py")]


# Each verb in turn in one process that finds no optional package.
ON_THE_BASE_INSTALL = """
import contextlib, io, json, logging, sys
for name in ('torch', 'onnx', 'sklearn', 'jinja2', 'openpyxl', 'fastapi', 'uvicorn', 'starlette'):
    sys.modules[name] = None
from attar.cli import main
found = {}
for arguments in json.loads(sys.argv[1]):
    sys.argv = ['attar', *arguments]
    logging.getLogger().handlers.clear()
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            main()
        except SystemExit as left:
            found[arguments[0]] = left.code, said.getvalue()
json.dump(found, sys.stdout)
"""


def test_a_verb_on_the_base_install_says_which_extra_before_any_work(tmp_path):
    recipe = str(ROOT / "recipes" / "quickstart.toml")
    (tmp_path / "model.safetensors").touch()
    given = str(tmp_path)
    out = ["--out", str(tmp_path / "out")]
    where = ["--data", given, *out]
    calls = [
        ["prepare", str(ROOT / "corpus" / "cosmetics"), *out],
        ["pretrain", recipe, *out, "--texts", recipe],
        ["train", recipe, *where],
        ["distill", recipe, *where],
        ["export", given, *where],
        ["evaluate", *where],
        ["run", recipe, *out],
        ["convert", given, str(tmp_path / "out")],
        ["serve", given],
        ["compare", recipe, recipe],
        ["bench", given, "--against", given],
    ]
    command = [sys.executable, "-c", ON_THE_BASE_INSTALL, json.dumps(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert list(found) == [verb for verb, *_ in calls]
    for verb, (code, said) in found.items():
        (line,) = said.splitlines()
        extra = {"prepare": "data", "serve": "serve", "compare": "excel"}.get(verb, "train")
        assert line.startswith("attar: "), verb
        assert line.endswith(f"; pip install 'attar[{extra}]'"), verb
        assert code == 2, verb
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


SPELLINGS = (
    "MONGODB://user:SECRET@h/d/c",
    "Mongodb+SRV://user:SECRET@h/d/c",
    "mongodb:/user:SECRET@h/d/c",
    "mongodb//user:SECRET@h/d/c",
    "mongodb:user:SECRET@h/d/c",
    "mongodb;//user:SECRET@h/d/c",
    "mongodb: //user:SECRET@h/d/c",
    "mongodb ://user:SECRET@h/d/c",
    r"mongodb:\\user:SECRET@h/d/c",
    "mongo://user:SECRET@h/d/c",
    "mongodb://user:S/E@C:SECRET@h/d/c",
    "mongodb://user:SE CRET SECRET@h/d/c",
    "mongodb://:SECRET@h/d/c",
    "mongodb://user:SECRET@[::1]:27017/d/c?authSource=admin",
    "user:SECRET@h/d/c",
    "/folder/user:SECRET@h",
    "http://user:SECRET@h/projects/7",
    "https://SECRET@h/projects/7",
    "http://h/projects/7?token=SECRET",
    "http://h/projects/7?tokn=SECRET&page=SECRET",
    "htp:/h/projects/7?token=SECRET",
    "h/projects/7?api_key=SECRET",
    "http://h/projects/7;token=SECRET",
    "http://h/#access_token=SECRET",
)


@pytest.mark.parametrize("address", SPELLINGS)
@pytest.mark.parametrize("around", ["{}", "cannot read '{}': no such file", '["{}"]', "{}: a, b@c"])
def test_no_secret_of_an_address_is_in_a_message(address, around):
    said = str(AttarError(around.format(address)))
    assert "SECRET" not in said
    assert "..." in said
    assert redacted(said) == said


@pytest.mark.parametrize(
    "text",
    [
        "data/rows@2024.csv:12: no term",
        "/data/rows.csv: expected a@b",
        "write @ as %40; expected mongodb://[USER:PASSWORD@]HOST[:PORT]/DATABASE/COLLECTION[?OPTIONS]",
        "mongodb://h:27017/d/c: no answer in 6 tries; write to name@example.com",
        "labels.xlsx#2024: no column 'text'",
        "http://h/projects/7: no such project",
        "评论：很好@某人",
        "",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redacted(text) == text


def test_redacting_takes_no_time():
    for text in ("a" * 100_000 + "@", "@" + "a:" * 50_000, "://" * 50_000, "x?" * 50_000 + "=@"):
        redacted(text)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "", "/d/f"), "/d/f: no space left"),
        (OSError(errno.ENAMETOOLONG, "", "f" * 300), "the name is too long"),
        (NotADirectoryError(errno.ENOTDIR, "", Path("/d/f")), "/d/f: a file stands where a folder"),
        (OSError(errno.EMFILE, ""), "too many open files"),
        (OSError(errno.ECONNRESET, "reset by peer"), "ConnectionResetError: .*reset by peer"),
        (OSError("a library's words"), "OSError: a library's words"),
        (MemoryError(), "not enough memory"),
        (UnicodeEncodeError("utf-8", "名\udcff.csv", 1, 2, "x"), "bytes that are no UTF-8"),
        (RuntimeError("unexpected pos 57536 vs 57488"), "no space left"),
        (ValueError('IoError(Os { code: 28, message: "No space left on device" })'), "no space left"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
        (RuntimeError("Parent directory /d does not exist."), "no such file or folder"),
        (RuntimeError("Symlink loop from '/d/f'"), "/d/f: links that lead in a circle"),
    ],
)
def test_an_error_of_the_system_is_told_in_words(error, said):
    assert re.search(said, str(system_error(error)))


@pytest.mark.parametrize(
    "error", [ValueError("3"), KeyError("No space left"), KeyboardInterrupt(), SystemExit(1), AttarError("x")]
)
def test_what_is_no_error_of_the_system_is_left_alone(error):
    assert system_error(error) is None


def test_the_reference_has_every_exit_code():
    text = (ROOT / "docs" / "reference.md").read_text("utf-8")
    table = text.split("| exit code | meaning |", 1)[1].split("\n\n", 1)[0]
    codes = {int(row.split("|")[1]) for row in table.splitlines() if re.match(r"\| \d", row)}
    assert codes == {
        0,
        130,
        141,
        143,
        *(getattr(errors, n).exit_code for n in errors.__all__ if n.endswith("Error")),
    }
