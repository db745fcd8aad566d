"""What is compared, and each question of it as a row: whatever it is written to.

``annotations -> cases -> Comparison -> workbook, table``. The columns that are the user's own are kept: one
column each where the files agree on it, one for each file where they do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

from attar.compare.join import Agreement, Annotation, Case, agreement
from attar.language.translator import ENGLISH, Translator
from attar.workbook.sheets import Cell, Column, Marked
from attar.workbook.tally import GROUPS, Tally

__all__ = ["Comparison", "figures_of"]


class _Own(NamedTuple):
    """A column of the user's own: its heading, its name in the files, and the side that it is of, or None."""

    heading: str
    name: str
    side: int | None


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        names: Of the sides.
        cases: Every question that one of them answered.
        labels: In the order of the tables.
        only_gold: Gold rows whose question nobody answered.
        notes: More for the summary, by what it says.
        tr: Of the language of headings; programs read the English ones.
    """

    names: tuple[str, ...]
    cases: Sequence[Case]
    labels: Sequence[str]
    only_gold: Sequence[Annotation] = ()
    notes: Mapping[str, Cell] = field(default_factory=dict)
    tr: Translator = ENGLISH

    @property
    def sides(self) -> range:
        """The places of the sides."""
        return range(len(self.names))

    @cached_property
    def tallies(self) -> list[Tally]:
        """Counts of each side's annotations."""
        tallies = [Tally(self.labels) for _ in self.names]
        for case in self.cases:
            for tally, annotation in zip(tallies, case.sides, strict=True):
                if annotation is not None and annotation.label is not None:
                    tally.add(annotation.label, case.gold, annotation.groups)
        return tallies

    @cached_property
    def columns(self) -> list[Column]:
        """The columns of a row, in order."""
        tr = self.tr
        columns = [Column(tr("text"), "text"), Column(tr("term"))]
        columns += [*(Column(tr(name)) for name in GROUPS), Column(tr("gold"))]
        for side in self.sides:
            columns += [
                Column(self._named(tr("label"), side)),
                Column(self._named(tr("prob"), side), "share"),
            ]
        for side, labels in enumerate(self._shown_probs):
            columns += [Column(self._named(self._prob_of(label), side), "share") for label in labels]
        columns += [Column(tr("start"), "number"), Column(tr("end"), "number")]
        return [*columns, *(Column(own.heading) for own in self._own)]

    def cells(self, case: Case, *, is_answered: bool = True) -> list[Cell]:
        """The cells of a case; ``is_answered`` is whether its annotations are answers, not gold labels."""
        asked = case.asked
        is_placed = asked.start is not None and asked.end is not None
        text = Marked(asked.text, asked.start or 0, asked.end or 0) if is_placed else asked.text
        there = [side for side in case.sides if side is not None]
        groups = {name: value for side in reversed(there) for name, value in side.groups.items()}
        cells: list[Cell] = [text, asked.term, *(groups.get(name) for name in GROUPS), case.gold]
        answers = [case.sides[side] if is_answered else None for side in self.sides]
        for annotation in answers:
            cells += [annotation.label, annotation.prob] if annotation else [None, None]
        for annotation, labels in zip(answers, self._shown_probs, strict=True):
            cells += [annotation.probs.get(label) if annotation else None for label in labels]
        return [*cells, asked.start, asked.end, *self._own_cells(case)]

    def agreement(self, first: int, second: int) -> Agreement:
        """How far two sides agree."""
        pairs = ((case.labels[first], case.labels[second]) for case in self.cases)
        return agreement((a, b) for a, b in pairs if a is not None and b is not None)

    @cached_property
    def _shown_probs(self) -> list[list[str]]:
        """The labels for which each side gives probs."""
        first = [next((a for case in self.cases if (a := case.sides[side])), None) for side in self.sides]
        return [[label for label in self.labels if one and label in one.probs] for one in first]

    @cached_property
    def _own(self) -> list[_Own]:
        """The columns that are the user's own."""
        unequal, known = set[str](), dict[str, dict[int, None]]()
        for case in self.cases:
            there = [(place, side.own) for place, side in enumerate(case.sides) if side is not None]
            for place, own in there:
                for name in own:
                    known.setdefault(name, {})[place] = None
            for (_, one), (_, other) in combinations(there, 2):
                unequal |= {name for name in one.keys() & other.keys() if _unlike(one[name], other[name])}
        ours = {column.name for column in self._our_columns()}
        found = list[_Own]()
        for name, places in known.items():
            for side in sorted(places) if name in unequal else [None]:
                heading = name if side is None else self._named(name, side)
                while heading in ours:
                    heading = f"input_{heading}"
                ours.add(heading)
                found.append(_Own(heading, name, side))
        return found

    def _our_columns(self) -> Iterator[Column]:
        tr = self.tr
        ours = (tr("text"), tr("term"), *map(tr, GROUPS), tr("gold"), tr("start"), tr("end"))
        yield from map(Column, ours)
        for side, labels in enumerate(self._shown_probs):
            for kind in (tr("label"), tr("prob"), *map(self._prob_of, labels)):
                yield Column(self._named(kind, side))

    def _own_cells(self, case: Case) -> Iterator[Any]:
        for _, name, place in self._own:
            sides = case.sides if place is None or len(case.sides) == 1 else (case.sides[place],)
            yield next((side.own[name] for side in sides if side is not None and name in side.own), None)

    def _prob_of(self, label: str) -> str:
        return f"{self.tr('prob')}_{label}"

    def _named(self, kind: str, side: int) -> str:
        """The heading of a column of one side; where there is only one it needs no name."""
        return f"{kind} {self.names[side]}" if len(self.names) > 1 else kind


def _unlike(one: object, other: object) -> bool:
    return one != other and (one == one or other == other)  # noqa: PLR0124 - NaN is unlike itself


def figures_of(comparison: Comparison) -> dict[str, Any]:
    """The main figures.

    Returns:
        ``sides``, by name: num, num_gold, accuracy, macro_f1 (over the labels that are gold somewhere), and
        ``without_gold``, the others; ``agreement``, of every two sides: first, second, num_both, num_same,
        share, kappa.
    """
    sides = {
        name: {
            "num": tally.predicted.total(),
            "num_gold": tally.num_gold,
            "accuracy": tally.accuracy if tally.num_gold else None,
            "macro_f1": tally.macro_f1 if tally.num_gold else None,
            "without_gold": tally.without_gold if tally.num_gold else [],
        }
        for name, tally in zip(comparison.names, comparison.tallies, strict=True)
    }
    agreed = []
    for first, second in combinations(comparison.sides, 2):
        found = comparison.agreement(first, second)
        agreed.append(
            {
                "first": comparison.names[first],
                "second": comparison.names[second],
                "num_both": found.num,
                "num_same": found.num_same,
                "share": found.share,
                "kappa": found.kappa,
            }
        )
    return {"sides": sides, "agreement": agreed}
