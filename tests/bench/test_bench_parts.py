"""What ``attar bench`` is made of: synthetic examples, the machine, cold starts, the picture."""

import math
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.bench.chart import bench_svg
from attar.bench.cold_start import cold_starts
from attar.bench.synthetic import synthetic_examples
from attar.errors import DataError
from attar.system_info import system_info
from attar.task import Example

SVG = "{http://www.w3.org/2000/svg}"
EXAMPLES = [Example("口红很好", 0, 2), Example("口红", 0, 0, second="很好"), Example("好", 0, 1)]


@pytest.mark.parametrize("style", ["marked_pair", "pair", "single", "sentence_pair"])
def test_synthetic_examples_have_12_to_70_tokens_and_38_on_average(style):
    beside = {"marked_pair": 5, "pair": 3, "single": 2, "sentence_pair": 3}[style]
    made = synthetic_examples(4000, style)
    # A term is read twice.
    lengths = [len(e.text) + len(e.second) + beside + (e.end - e.start) for e in made]
    assert min(lengths) == 12
    assert 68 <= max(lengths) <= 70
    assert 37 < np.mean(lengths) < 39
    assert all(0 <= e.start <= e.end <= len(e.text) for e in made)
    assert {len(e.term) for e in made} == ({2} if style in ("marked_pair", "pair") else {0})
    assert bool(made[0].second) == (style == "sentence_pair")
    assert made == synthetic_examples(4000, style)
    assert made != synthetic_examples(4000, style, seed=1)


def test_an_encoder_counts_the_tokens_that_synthetic_examples_promise(make_tokenizer):
    from attar.text.encoding import InputSpec, TextEncoder

    made = synthetic_examples(300, "marked_pair")
    chars = sorted({char for e in made for char in e.text})
    tokenizer = make_tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "_", *chars])
    encodings = TextEncoder(tokenizer, InputSpec("marked_pair", 70)).encode(made)
    assert [len(e.ids) for e in encodings] == [len(e.text) + 7 for e in made]


def test_system_info(tmp_path):
    here = system_info()
    assert here["cores"] >= 1
    assert here["cpu"]
    assert here["python"] == ".".join(map(str, sys.version_info[:3]))
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("model name\t: Fast One\nflags\t\t: fpu avx2 avx512_vnni\n\nmodel name\t: Second\n")
    assert system_info(cpuinfo) | {"cpu": "Fast One", "flags": ["avx2", "avx512_vnni"]} == system_info(
        cpuinfo
    )
    cpuinfo.write_text("Features\t: fp asimddp i8mm\n")
    assert system_info(cpuinfo)["flags"] == ["asimddp", "i8mm"]
    unknown = system_info(tmp_path / "nowhere")
    assert unknown["cpu"]
    assert unknown["flags"] == []


def test_a_cold_start_is_timed_and_its_memory_counted():
    program = (
        "import time\ntime.sleep(0.2)\nheld = bytearray(64_000_000)\n"
        "def score(examples):\n    assert examples[0].term == '口红', examples\n"
        "    assert len(examples) in (1, 3)\n    assert len(examples) == 1 or examples[1].second == '很好'\n"
    )
    found = cold_starts(program, EXAMPLES, 2)
    assert 0.2 < found.start_up_seconds_low <= found.start_up_seconds <= found.start_up_seconds_high
    assert 64_000_000 < found.resident_bytes < 200_000_000


def test_memory_is_that_of_the_process_alone():
    mine = np.ones(40_000_000)  # 320 MB here, none of it there
    found = cold_starts("score = len\n", EXAMPLES, 1)
    assert found.resident_bytes < mine.nbytes / 2


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("raise SystemExit('no such model')\n", "code 1: no such model"),
        ("import sys\nsys.exit(3)\n", "code 3: no message"),
        ("def score(examples):\n    if len(examples) > 1: raise ValueError('late')\n", "ValueError: late"),
    ],
)
def test_a_model_process_that_fails_says_why(program, said):
    with pytest.raises(DataError, match=said):
        cold_starts(program, EXAMPLES * 20_000, 1)


def figures(**models):
    """Figures of models by (examples a second, ms)."""

    def speed(rate, latency):
        return {
            "examples_per_second": rate,
            "examples_per_second_low": rate * 0.9,
            "examples_per_second_high": rate * 1.1,
            "latency_ms_p50": latency,
            "latency_ms_p99": 2 * latency,
        }

    return {
        "machine": {"cpu": "Fast & <One>", "cores": 2, "flags": ["avx2"], "onnxruntime": "1"},
        "workers": 2,
        "data": {"mean_tokens": 38.2},
        "rounds": 5,
        "models": {
            name: {"all_cores": speed(rate, latency), "one_core": speed(rate / 2, latency)}
            for name, (rate, latency) in models.items()
        },
    }


def test_the_picture_shows_every_model_its_figures_and_the_machine():
    svg = bench_svg(figures(学生=(1468, 1.2), teacher=(14.1, 188), **{"a" * 60: (9, 300)}))
    root = ET.fromstring(svg)  # noqa: S314 - our own
    said = [text.text for text in root.iter(f"{SVG}text")]
    for wanted in ("学生", "teacher", "1,468", "14.1", "1.2", "188", "a" * 39 + "…"):
        assert wanted in said, wanted
    assert any("Fast & <One>, 2 cores (avx2)" in one for one in said)
    circles = list(root.iter(f"{SVG}circle"))
    assert len(circles) == 9
    rates = [c for c in circles if float(c.get("cx")) < 400 and "stroke" not in c.get("style")]
    assert [float(c.get("cx")) for c in rates] == sorted((float(c.get("cx")) for c in rates), reverse=True)
    assert ["accent" in c.get("style") for c in rates] == [True, False, False]


@given(st.lists(st.tuples(st.floats(1e-2, 1e6), st.floats(1e-3, 1e5)), min_size=1, max_size=5))
def test_everything_is_within_the_picture(models):
    svg = bench_svg(figures(**{f"m{i}": model for i, model in enumerate(models)}))
    root = ET.fromstring(svg)  # noqa: S314 - our own
    _, _, width, height = map(float, root.get("viewBox").split())
    for element in (*root.iter(f"{SVG}line"), *root.iter(f"{SVG}circle"), *root.iter(f"{SVG}text")):
        across = [float(element.get(name)) for name in ("x", "x1", "x2", "cx") if element.get(name)]
        down = [float(element.get(name)) for name in ("y", "y1", "y2", "cy") if element.get(name)]
        assert all(math.isfinite(value) and 0 <= value <= width for value in across)
        assert all(0 <= value <= height for value in down)
