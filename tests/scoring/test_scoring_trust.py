"""What attar writes passes; for the rest see tests/benchmarks/test_benchmarks_torture_artifacts.py."""

from __future__ import annotations

import json
import shutil

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from attar.artifact import load_artifact
from attar.errors import ArtifactError
from attar.scoring.trust import check_model, load_tokenizer


def test_the_number_of_word_embeddings_is_returned(artifact_folder, single_folder):
    for folder in (artifact_folder, single_folder):
        artifact = load_artifact(folder)
        num_rows = check_model(artifact)
        assert load_tokenizer(artifact, num_rows).get_vocab_size() == num_rows
        with pytest.raises(ArtifactError, match=f"has rows for 0 to {num_rows - 2}"):
            load_tokenizer(artifact, num_rows - 1)


def tokenizers_of_families():
    """Of the kinds of encoders that transformers' Auto classes load."""
    roberta = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    roberta.pre_tokenizer = pre_tokenizers.ByteLevel()
    albert = Tokenizer(models.Unigram([("<unk>", 0.0), ("好", -1.0)], 0))
    albert.normalizer = normalizers.Sequence(
        [
            normalizers.Replace("``", '"'),
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    albert.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    return {"roberta": roberta, "albert": albert}


@pytest.mark.parametrize("family", ["roberta", "albert"])
def test_tokenizers_of_other_families_pass(artifact_folder, tmp_path, edit_card, family):
    folder = tmp_path / "artifact"
    shutil.copytree(artifact_folder, folder)
    made = tokenizers_of_families()[family]
    made.save(str(folder / "tokenizer.json"))
    edit_card(folder)
    found = load_tokenizer(load_artifact(folder), 100)
    assert json.loads(found.to_str()) == json.loads(made.to_str())
