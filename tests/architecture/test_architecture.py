"""The structure itself: who imports whom, what is public, how long things are."""

import ast
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
FILES = sorted((SRC / "attar").rglob("*.py"))
MODULES = {".".join(p.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): p for p in FILES}

# Who may import whom, left to right; a package may always import itself. `attar` is the package's head.
BASE = {"errors", "language", "suggest", "task", "io"}
MAY_IMPORT = {
    "errors": set(),
    "suggest": set(),
    "language": {"errors"},
    "cores": {"errors"},
    "threads": {"cores"},
    "system_info": {"cores"},
    "io": {"errors", "suggest"},
    "metrics": {"errors", "task"},
    "progress": set(),
    "svg": set(),
    "workbook": {"errors", "io", "language", "metrics"},
    "model_card": set(),
    "ready": set(),
    "task": {"errors", "language", "suggest"},
    "recipe": {"errors", "suggest", "task"},
    "stage_cache": {"attar", "errors", "io", "system_info"},
    "repeat": {"attar", "errors", "io", "recipe", "stage_cache"},
    "run_folders": set(),
    "artifact": BASE | {"artifact_card", "model_card", "ready"},
    "artifact_card": {"io", "suggest", "task", "text"},
    "text": {"errors", "task"},
    "terms": {"errors", "io", "text"},
    "records": BASE | {"attar", "recipe", "stage_cache", "text", "progress"},
    "models": BASE | {"recipe", "text", "threads"},
    "init": BASE | {"models", "recipe", "records", "text"},
    "scoring": BASE | {"artifact", "cores", "terms", "text", "progress", "workbook", "system_info"},
    "intervals": {"metrics", "progress"},
    "compare": BASE
    | {"artifact", "intervals", "metrics", "ready", "recipe", "records", "scoring", "text", "workbook"},
    "insight": BASE | {"attar", "compare", "progress", "stage_cache", "svg", "workbook"},
    "bench": BASE | {"artifact", "cores", "models", "progress", "records", "scoring", "svg", "system_info"},
    "gate": BASE | {"artifact", "ready", "recipe", "stage_cache"},
    "evaluation": BASE
    | {
        "artifact",
        "bench",
        "compare",
        "gate",
        "intervals",
        "metrics",
        "models",
        "progress",
        "recipe",
        "records",
        "scoring",
        "stage_cache",
        "svg",
        "system_info",
        "text",
    },
    "cascade": BASE
    | {
        "artifact",
        "artifact_card",
        "bench",
        "metrics",
        "ready",
        "records",
        "scoring",
        "stage_cache",
        "system_info",
    },
    "training": BASE
    | {"cores", "recipe", "stage_cache", "records", "text", "metrics", "models", "progress", "evaluation"},
    "distillation": BASE
    | {
        "recipe",
        "records",
        "terms",
        "text",
        "metrics",
        "models",
        "stage_cache",
        "training",
        "progress",
        "evaluation",
    },
    "pretraining": BASE
    | {"recipe", "stage_cache", "records", "text", "models", "training", "distillation", "progress"},
    "export": BASE
    | {
        "recipe",
        "text",
        "metrics",
        "models",
        "training",
        "artifact",
        "evaluation",
        "scoring",
        "progress",
        "system_info",
        "threads",
    },
    "serving": BASE | {"attar", "artifact", "cores", "progress", "scoring", "terms", "text"},
    "classic": BASE | {"models", "scoring", "serving", "text"},
    "estimate": BASE | {"recipe", "records", "models", "training", "progress"},
    "pipeline": BASE
    | {
        "artifact",
        "gate",
        "recipe",
        "stage_cache",
        "records",
        "models",
        "training",
        "distillation",
        "pretraining",
        "evaluation",
        "export",
        "estimate",
        "repeat",
        "run_folders",
        "classic",
    },
    "cli": BASE
    | {
        "attar",
        "artifact",
        "bench",
        "cascade",
        "classic",
        "compare",
        "cores",
        "evaluation",
        "export",
        "gate",
        "init",
        "insight",
        "ready",
        "pipeline",
        "progress",
        "recipe",
        "records",
        "scoring",
        "serving",
        "terms",
        "repeat",
    },
    "attar": {"errors", "scoring"},
}
NO_TORCH = ("torch", "transformers", "sklearn", "onnx", "accelerate", "safetensors", "matplotlib", "jinja2")


@cache
def tree(path):
    return ast.parse(path.read_text("utf-8"))


def package_of(module):
    """The part of attar that a module belongs to, whose name is a verb or a thing; `attar` for the head."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "attar"


@cache
def imports(path):
    """(line, module, names) of every import of attar's own, wherever in the file it stands."""
    return tuple(_imports(path))


def _imports(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "attar":
                    yield node.lineno, alias.name, ()
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            if node.module and node.module.split(".")[0] == "attar":
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    yield node.lineno, whole if whole in MODULES else node.module, (alias.name,)


def definitions(path):
    """Every function and class, with whether all that holds it is public."""

    def walk(node, public):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                known = public and not child.name.startswith("_")
                yield child, known
                yield from walk(child, known and isinstance(child, ast.ClassDef))
            else:
                yield from walk(child, public)

    yield from walk(tree(path), True)


def public_names(path):
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return ast.literal_eval(node.value)
    return None


def by_kind(name):
    """Constants, then classes, then the rest, as ruff sorts them."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def test_packages_are_all_known():
    assert {package_of(module) for module in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_imports_only_what_stands_left_of_it(package):
    wrong = [
        f"{path.relative_to(SRC)}:{line} imports {imported}"
        for module, path in MODULES.items()
        if package_of(module) == package
        for line, imported, _ in imports(path)
        if package_of(imported) not in MAY_IMPORT[package] | {package}
    ]
    assert wrong == []


def in_order(needs):
    """Names, each after all that it needs; fails with the names of a circle."""
    order, left = [], dict(needs)
    while left:
        free = [name for name, others in left.items() if not others & (set(left) - {name})]
        assert free, f"a circle among {sorted(left)}"
        order += free
        for name in free:
            del left[name]
    return order


def test_the_table_has_no_circle_and_no_dead_entry():
    in_order({package: needs - {"attar"} for package, needs in MAY_IMPORT.items()})
    used = {package: set() for package in MAY_IMPORT}
    for module, path in MODULES.items():
        used[package_of(module)] |= {package_of(imported) for _, imported, _ in imports(path)}
    unused = {package: allowed - used[package] - BASE for package, allowed in MAY_IMPORT.items()}
    assert {package: dead for package, dead in unused.items() if dead} == {}


def test_modules_have_no_circle():
    """Neither at the top of a file nor inside a function."""
    needs = {
        module: {imported for _, imported, _ in imports(path)} - {"attar"} for module, path in MODULES.items()
    }
    in_order(needs)


def importers_of(package):
    return {
        package_of(module)
        for module, path in MODULES.items()
        for _, imported, _ in imports(path)
        if package_of(imported) == package != package_of(module)
    }


def test_nothing_imports_the_command_line():
    assert importers_of("cli") == set()


def test_only_the_command_line_and_the_pipeline_know_the_original_system():
    assert importers_of("classic") <= {"cli", "pipeline"}


def test_a_format_is_read_in_one_package():
    ends = ("csv.reader", "ExcelReader", "parquet.ParquetFile")
    found = {
        (package_of(module), end)
        for module, path in MODULES.items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name)
        for end in ends
        if ast.unparse(node.func).endswith(end)
    }
    assert found == {("io", end) for end in ends}


def loaded_after(code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; sys.stdout.write(' '.join(sys.modules))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "code",
    [
        "import attar, attar.artifact, attar.scoring.predictor, attar.scoring.stage; attar.load",
        "import attar.cli.app, attar.pipeline, attar.recipe.load, attar.stage_cache, attar.records.prepare",
        "import attar.text.encoding, attar.text.vocabulary, attar.text.buckets",
    ],
)
def test_scoring_and_preparing_load_no_torch(code):
    loaded = loaded_after(code)
    assert "attar" in loaded
    assert loaded & set(NO_TORCH) == set()


def test_the_package_alone_loads_next_to_nothing():
    assert (
        loaded_after("import attar") & {*NO_TORCH, "numpy", "onnxruntime", "tokenizers", "pydantic"} == set()
    )


def wrong_public_names(module):
    """What is wrong with the ``__all__`` of a module."""
    names = public_names(MODULES[module])
    if MODULES[module].name == "__init__.py" and module != "attar":
        return [] if names is None else ["has an __all__"]
    if names is None:
        return ["has no __all__"]
    loaded = importlib.import_module(module)
    missing = [f"has no {name}" for name in names if not hasattr(loaded, name)]
    if names != sorted(set(names), key=by_kind):
        missing.append("its __all__ is not sorted, or names something twice")
    return missing


# One test for all modules, not one each: a test costs more than what it looks at here.
def wrong_modules(problems_of):
    """``{module: problems}`` of the modules that have any."""
    found = {module: list(problems_of(module)) for module in sorted(MODULES)}
    return {module: problems for module, problems in found.items() if problems}


def test_public_names_are_sorted_and_there():
    assert wrong_modules(wrong_public_names) == {}


def test_only_public_names_are_imported_from_another_module():
    wrong = [
        f"{path.relative_to(SRC)}:{line} imports {name} of {imported}"
        for path in MODULES.values()
        for line, imported, names in imports(path)
        for name in names
        if f"{imported}.{name}" not in MODULES
        and not imported.endswith(f".{name}")
        and name not in (public_names(MODULES[imported]) or ())
    ]
    assert wrong == []


def too_long(module):
    path = MODULES[module]
    num_lines = len(path.read_text("utf-8").splitlines())
    if num_lines > 350:
        yield f"{num_lines} lines"
    for node, _ in definitions(path):
        length = node.end_lineno - node.lineno + 1
        if not isinstance(node, ast.ClassDef) and length > 60:
            yield f"{node.name}: {length} lines"


def test_sizes():
    assert wrong_modules(too_long) == {}


def without_docstring(module):
    if not ast.get_docstring(tree(MODULES[module])):
        yield "the module"
    for node, public in definitions(MODULES[module]):
        if public and not ast.get_docstring(node):
            yield node.name


def test_everything_public_says_what_it_is():
    assert wrong_modules(without_docstring) == {}


def prints(module):
    for node in ast.walk(tree(MODULES[module])):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"prints in line {node.lineno}"


def test_nothing_prints():
    assert wrong_modules(prints) == {}


def test_nothing_is_left_for_later():
    words = ("TODO", "FIXME", "XXX", "NotImplementedError")
    texts = {module: path.read_text("utf-8") for module, path in MODULES.items()}
    assert wrong_modules(lambda module: [word for word in words if word in texts[module]]) == {}


def test_attar_offers_what_it_says():
    import attar

    assert callable(attar.load)
    assert issubclass(attar.AttarError, Exception)
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        attar.lode  # noqa: B018
