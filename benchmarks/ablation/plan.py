"""benchmarks/strength.toml: which models there are, their recipes and their folders."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attar.recipe.load import Recipe, make_recipe

_BENCHMARKS = Path(__file__).resolve().parents[1]
_RECIPES = _BENCHMARKS.parent / "recipes" / "sets"
_DEFAULT_ROW: Mapping[str, Any] = {"teachers": ["teacher"], "settings": {}}


class Model(NamedTuple):
    """One model of the tables."""

    dataset: str  # a set of the plan
    row: str  # of its table
    shape: str = ""  # of the student; empty where there is none to choose
    seed: int = 20  # of its training

    @property
    def name(self) -> str:
        """Its folder under the dataset's."""
        return "-".join(part for part in (self.row, self.shape, str(self.seed)) if part)


class Plan:
    """benchmarks/strength.toml, and where its models are: in OUT, with these seeds of the students."""

    def __init__(self, out: Path, seeds: Sequence[int]) -> None:
        self.out, self.seeds = out, seeds
        self.tree = tomllib.loads((_BENCHMARKS / "strength.toml").read_text("utf-8"))

    def dataset(self, name: str) -> dict[str, Any]:
        """What the plan has of a dataset."""
        found: dict[str, Any] = self.tree["sets"][name]
        return found

    def folder(self, model: Model) -> Path:
        """Where a model is trained."""
        return self.out / model.dataset / model.name

    def logits_path(self, model: Model, split: str) -> Path:
        """Where a model's logits for a split are cached; those of dev mean that it is finished."""
        return self.out / model.dataset / "answers" / f"{model.name}.{split}.npy"

    def is_finished(self, model: Model) -> bool:
        """Whether a model is trained and scored on dev."""
        return self.logits_path(model, "dev").is_file()

    def data(self, dataset: str) -> Path:
        """A dataset's prepared folder."""
        return self.out / dataset / "data"

    def models(self, dataset: str) -> list[Model]:
        """A dataset's models, in the order of training: the teachers, then the students seed by seed."""
        teachers = [Model(dataset, "teacher", seed=seed) for seed in self.teacher_seeds(dataset)]
        students = [
            Model(dataset, row, shape, seed)
            for seed in self.seeds
            for row in self.dataset(dataset)["rows"]
            if row != "teacher"
            for shape in self.row(row).get("shapes", self.tree["shapes"])
        ]
        return [*teachers, *students]

    def teacher_seeds(self, dataset: str) -> list[int]:
        """Students learn from the first; the others show how far a teacher's score depends on its seed."""
        return list(self.dataset(dataset).get("teacher_seeds", [Model._field_defaults["seed"]]))

    def row(self, name: str) -> dict[str, Any]:
        """A row's keys over those of the row that it extends, settings one by one."""
        own = self.tree["rows"].get(name, {})
        base = self.row(own["extends"]) if "extends" in own else _DEFAULT_ROW
        return {**base, **own, "settings": base["settings"] | own.get("settings", {})}

    def title(self, row: str, *, short: bool = False) -> str:
        """How the tables call a row; at the head of a column in short."""
        kinds = ("ensembles", "rows", "baselines")
        names: dict[str, str] = next((self.tree[kind][row] for kind in kinds if row in self.tree[kind]), {})
        title = names.get("title", row)
        return str(names.get("short", title) if short else title)

    def ensembles(self, dataset: str) -> dict[str, dict[str, float]]:
        """The teachers and their weights of each ensemble that a row of a dataset learns from."""
        taught = [self.row(name)["teachers"] for name in self.dataset(dataset)["rows"]]
        rows = {name: self.row(one["row"]) for name, one in self.tree["ensembles"].items()}
        return {
            name: dict(zip(row["teachers"], row["settings"]["distill.teacher_weights"], strict=True))
            for name, row in rows.items()
            if row["teachers"] in taught
        }

    def recipe(self, model: Model) -> Recipe:
        """A model's recipe: the dataset's own, then settings of the plan, the dataset, the row, the shape."""
        chosen = self.dataset(model.dataset)
        path = _RECIPES / f"{chosen['recipe']}.toml"
        tree: dict[str, Any] = {"name": model.dataset, **tomllib.loads(path.read_text("utf-8"))}
        row = self.row(model.row)
        parts = [self.tree["settings"], chosen["settings"], row["settings"]]
        if model.shape:
            parts.append(self.tree["shapes"][model.shape])
        parts.append(chosen.get(model.row, {}))
        if row.get("start") == "pretrained":
            start = str(self.folder(self.pretrained(model)))
            parts.append({"student.start": "pretrained", "student.from_checkpoint": start})
        _apply(tree, parts)
        if "after" in chosen:
            tree["train"]["encoder"] = str(self.folder(Model(chosen["after"], "teacher")))
        folder = self.out / model.dataset
        if "terms" in chosen:
            for source in tree["data"]["sources"]:
                if source["split"] == "train":
                    source["path"] = str(folder / "labelled.txt")
        if "apart_from" in chosen:
            tree["data"]["sources"].append({"path": str(folder / "held_out.jsonl"), "split": "test"})
        if "reviews" in chosen:
            tree["data"]["sources"] = [str(folder / "rows.jsonl")]
        return make_recipe(tree | {"seed": model.seed}, where=str(path), folder=path.parent)

    def pretrained(self, model: Model) -> Model:
        """The pretrained student that a student starts from."""
        return Model("general", self.dataset(model.dataset)["pretraining"], model.shape)

    def pretraining(self, pretrained: Model) -> Recipe:
        """The recipe of a pretrained student."""
        chosen = self.tree["pretraining"][pretrained.row]
        tree: dict[str, Any] = {"name": "general", "pretrain": {"texts": chosen["texts"]}}
        _apply(tree, [self.tree["settings"], chosen["settings"], self.tree["shapes"][pretrained.shape]])
        if "after" in chosen:
            tree["pretrain"]["encoder"] = str(self.folder(Model(chosen["after"], "teacher")))
        return make_recipe(tree, where="strength.toml")

    def covered(self, pretrained: Model) -> list[Path]:
        """The prepared folders of the datasets whose students start from a pretrained one."""
        return [
            self.data(name)
            for name, one in self.tree["sets"].items()
            if one.get("pretraining") == pretrained.row
        ]


def _apply(tree: dict[str, Any], parts: Sequence[Mapping[str, Any]]) -> None:
    """Put settings of dotted keys into a recipe's tree, one part over the other."""
    for part in parts:
        for key, value in part.items():
            *sections, last = key.split(".")
            node = tree
            for section in sections:
                node = node.setdefault(section, {})
            node[last] = value
