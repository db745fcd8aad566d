"""The words that must not come back: names of our own where the field has one.

Each row of ``WORDS`` is a pattern and what is said instead; a third entry limits it to the paths that
match. A word that also has an honest sense is caught only where it has the other one: a random ``seed``
is fine, "as the seed ran it" is not.
"""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GLOBS = """
    src/**/*.py src/**/*.j2 benchmarks/**/*.py benchmarks/**/*.toml classic/**/*.py classic/**/*.sh
    classic/**/*.md tests/**/*.py docs/**/*.md docs/*.py recipes/**/*.toml recipes/*.md corpus/*.md
    README*.md CONTRIBUTING.md Makefile .ci/run pyproject.toml
"""
FILES = sorted(path for pattern in GLOBS.split() for path in ROOT.glob(pattern))
EXEMPT = {
    "src/attar/recipe/renamed.py": "maps the old names of recipe keys to those of today",
    "tests/architecture/test_architecture_words.py": "holds the list",
    "tests/test_pipeline_upgrade.py": "resumes runs that have the old names",
}
CODE = r"\.(py|j2)$"
CHINESE = r"\.(md|j2)$|^src/"  # a review in a test may praise a formula (配方)

WORDS = (
    # The system that attar replaces.
    (r"(?i)\bseed's\b|\bas[ _]the[ _]seed\b", "the original system"),
    (r"\bthe seed (runs?|ran|does|did|ha[sd]|used?|wrote|marked|trained|read)\b", "the original system"),
    # Teachers and what they say.
    (r"\b(Speaker|AskedTeacher)s?\b", "LogitProvider"),
    (r"\bLiveTeacher\b", "OnlineTeacher"),
    (r"\bKeptLogits\b", "CachedLogits"),
    (r"\balready_asked\b|\bheard\b", "with cached logits"),
    (
        r"\b(class|import|->) Answers?\b|\bAnswers?[(\[|]|[\[|] ?Answers?\b|: Answers?(?=[,)=]| [=|])",
        "one name each: TeacherOutput, ModelPredictions, ...",
        CODE,
    ),
    (r"\bteacher answers\b", "teacher outputs"),  # teacher-answers is a folder of runs that exist
    (r"\bmore_examples\b", "transfer set"),
    # Passes over rows.
    (r"\b(fine|first|second) looks?\b|\.look\(", "first pass, high-precision pass"),
    (r"\bnear_ties\b", "low-margin rows"),
    # Quantisation.
    (r"\bLayerGrids?\b", "QuantParams"),
    (r"\bTaps\b|\btaps_", "Observers"),
    (r"\btune_form\b", "train_quantization_aware"),
    (r"\bchoose_form\b", "post_training_quantize"),
    (r"\bInt8Form\b", "QuantizedModel"),
    (r"\blearn(s|t|ed|ing)? the rounding\b", "quantisation-aware training, GPTQ"),
    (r"\b(num_)?copies\s*[=:\[]|\bof copies\b", "outlier channel splitting", r"/export/|precision\.py"),
    (r"\bshifts\b", "equalisation scales", r"/export/|precision\.py"),
    (r"\bcodes\b", "quantised weights", r"/export/|precision\.py"),
    # Training.
    (r"\bquick_on_cpu\b|\bquick=", "fast CPU kernels, bf16"),
    (r"\bdraw_apart\b", "seed_per_rank"),
    (r"\bplace_training\b", "make_accelerator"),
    (r"\breads\s*=", 'pooling = "entity_start"'),
    (r"\bhead\s*=\s*\\?['\"]probe", 'head_init = "linear_probe"'),
    (r"(?<![.\w])accumulate\s*=|(recipe|settings)\.accumulate\b", "gradient_accumulation_steps"),
    (r"(?<![.\w])clip\s*=|recipe\.clip\b", "max_grad_norm"),
    (r"\blog_every\b(?!` \|)", "log_interval"),  # the reference has a table of old and new keys
    # Files and formats.
    (r"\bform_of\b|\bforms\.py\b|\bFORMS?\b|\bForm\b(?! of)", "detect_format, format", CODE),
    (r"(?<![.\w])form\s*=(?!=)", "format"),
    (r"\bPlaces\b", "ColumnNames", CODE),
    (r"\bwhole_file\b", "atomic_write"),
    (r"\bidentity_of\b", "fingerprint"),
    (r"\bunlike\(", "drop_near_duplicates"),
    (r"\bgroups\.py\b", "near_duplicates.py"),
    # Measuring.
    (r"\bfresh_process(es)?\b|\bclass Fresh\b|\bFresh\(", "cold_start, ColdStart"),
    (r"\bfresh process(es)?\b", "new process, cold start"),
    (r"\bsynthetic_mix\b", "synthetic_examples"),
    (r"(?<!platform\.)\bmachine\(\)", "system_info()"),
    (r"\bbeside=|\bbeside: Path\b", "download_dir", CODE),
    # Serving: the gate is the threshold that a model passes, alone.
    (r"(?i)\bgates?\b", "admission queue", r"^(src/attar|tests)/serving/"),
    # The project itself.
    (r"(?i)(?<!in-)\bhouse\b|\bhouse'?s\b", "package, architecture"),
    (r"(?i)\brooms\b|\b(a|each|every|one|test) room\b|\broom's\b|\broom_of\b|\b(as|in) room\b", "package"),
    (r"(?i)\b(story|stories)\b", "experiment, run"),
    # What a stage says.
    (r"\bgo(es|ing)? on where\b|%s: going on in\b", "resumes"),
    (r"\banew\b", "again: rebuilding, inputs changed"),
    (r"%s: kept\b", "up to date"),
    # Chinese.
    (r"打分器", "情感分类模型", CHINESE),
    (r"打分", "推理, 预测", CHINESE),
    (r"配方", "配置文件", CHINESE),
    (r"部署件", "模型产物", CHINESE),
    (r"邻居", "同批样本", CHINESE),
    (r"向教师学", "蒸馏", CHINESE),
    (r"答案", "预测结果", CHINESE),
)  # fmt: skip


def hits(path):
    """``path:line: what stands there -> what to say`` for each word that a file must not have."""
    name = path.relative_to(ROOT).as_posix()
    if name in EXEMPT:
        return []
    text = path.read_text("utf-8").replace("\\n", " ")
    return [
        f"{name}:{number}: {found[0]!r} -> {instead}"
        for pattern, instead, *where in WORDS
        if (not where or re.search(where[0], name)) and re.search(pattern, text)
        for number, line in enumerate(text.splitlines(), 1)
        for found in re.finditer(pattern, line)
    ]


def test_the_fields_words():
    assert len(FILES) > 100
    assert [hit for path in FILES for hit in hits(path)] == []


def test_a_word_is_found_with_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("x = 1\nloud = heard\n# a\\nstory\n", "utf-8")
    assert hits(tmp_path / "a.py") == [
        "a.py:2: 'heard' -> with cached logits",
        "a.py:3: 'story' -> experiment, run",
    ]


def test_every_pattern_finds_something_to_say():
    assert all(re.compile(pattern) and instead for pattern, instead, *_ in WORDS)


@pytest.mark.parametrize(
    ("line", "is_wrong"),
    [
        ("a checkpoint as the seed runs it", True),
        ("decided by the seed of the recipe", False),
        ("train.head = 'probe'", True),
        ("np.clip(x, 0, 1)", False),
        ("one room of the house", True),
        ("a text that leaves no room for the term", False),
        ("a warehouse, an in-house tool", False),
        ("it goes on where it was", True),
    ],
)
def test_the_other_sense_of_a_word_is_fine(line, is_wrong):
    assert any(re.search(pattern, line) for pattern, _, *where in WORDS if not where) == is_wrong
