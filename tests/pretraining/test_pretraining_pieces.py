import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import DataError
from attar.pretraining import pieces as pieces_module
from attar.pretraining.pieces import prepare_pieces
from attar.pretraining.texts import distinct, read_texts, text_key
from attar.recipe.load import SourceRecipe
from attar.task import Task
from attar.text.encoding import InputSpec, TextEncoder
from attar.text.window import clause_pieces


@pytest.fixture(scope="module")
def encoder(tiny_tokenizer):
    task = Task("test", ("a", "b"), style="single")
    return TextEncoder(tiny_tokenizer, InputSpec.for_task(task, 12, token_types=True))


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 12))
def test_pieces_are_the_text_and_end_with_clauses(ids, budget):
    cut = clause_pieces(ids, budget, {0})
    assert [token for piece in cut for token in piece] == ids
    assert all(0 < len(piece) <= budget for piece in cut)
    for piece, after in itertools.pairwise(cut):
        # Cut inside a clause only where the clause fills the piece; never where one more would fit.
        assert piece[-1] == 0 or (len(piece) == budget and 0 not in piece)
        clause = after.index(0) + 1 if 0 in after else len(after)
        assert len(piece) == budget or len(piece) + clause > budget


def test_what_is_written_is_read(encoder, make_examples, tmp_path, monkeypatch):
    monkeypatch.setattr(pieces_module, "_SHARD_TOKENS", 100)
    texts = [f"{e.text}，{e.text}，很香" for e in make_examples(60)]
    found = prepare_pieces(iter(texts), encoder, 0.2, tmp_path / "ids")
    whole = {tuple(piece.ids.tolist()) for pieces in encoder.pieces(texts) for piece in pieces}
    read = [tuple(piece.ids.tolist()) for piece in found]
    assert set(read) == whole
    assert len(read) == len(whole), "none twice"
    assert len(list((tmp_path / "ids").glob("ids-*.npy"))) > 3
    assert [len(ids) for ids in read] == found.lengths.tolist()
    assert 0 < found.num_train == len(found.train) < len(found)
    assert [e.ids.tolist() for e in found.train] == [list(ids) for ids in read[: found.num_train]]
    assert found.used_ids().tolist() == sorted({token for ids in read for token in ids})
    again = prepare_pieces(iter(()), encoder, 0.2, tmp_path / "ids")
    assert [tuple(piece.ids.tolist()) for piece in again] == read


def test_a_text_is_on_one_side(encoder, make_examples, tmp_path):
    texts = [f"{e.text}，{e.text}，{e.text}" for e in make_examples(80)]
    found = prepare_pieces(distinct(iter(texts), ()), encoder, 0.3, tmp_path / "ids")
    held = {tuple(found[i].ids.tolist()) for i in range(found.num_train, len(found))}
    seen = set()
    for pieces in encoder.pieces(list(distinct(iter(texts), ()))):
        new = {tuple(piece.ids.tolist()) for piece in pieces} - seen
        assert new <= held or not new & held
        seen |= new


def test_other_ids(encoder, make_examples, tmp_path):
    found = prepare_pieces((e.text for e in make_examples(40)), encoder, 0.3, tmp_path / "ids")
    shift = np.arange(encoder.tokenizer.get_vocab_size(), dtype=np.int32) + 7
    moved = found.in_vocabulary(shift)
    assert (moved[3].ids == found[3].ids + 7).all()
    assert moved[3].second == found[3].second == len(found[3].ids)


def test_an_unfinished_folder_is_written_anew(encoder, make_examples, tmp_path):
    folder = tmp_path / "ids"
    folder.mkdir()
    (folder / "ids-00000.npy").write_bytes(b"half")
    found = prepare_pieces((e.text for e in make_examples(40)), encoder, 0.3, folder)
    assert len(found) > 10
    assert json.loads((folder / "pieces.json").read_text())["num_train"] == found.num_train


def test_nothing_to_train_on(encoder, tmp_path):
    with pytest.raises(DataError, match=r"0 distinct texts give 0 pieces .* raise pretrain\.held_out"):
        prepare_pieces(iter(()), encoder, 0.3, tmp_path / "ids")


def test_texts_of_any_source(tmp_path):
    (tmp_path / "a.txt").write_text("好用，推荐\n\n  \n买 一_口红_ 推荐\n", "utf-8")
    (tmp_path / "b.csv").write_text("cat,review\n1,很香\n2,\n", "utf-8")
    (tmp_path / "c.jsonl").write_text('{"text": "油", "label": 1}\n{"text": 3}\n', "utf-8")
    sources = [
        SourceRecipe(path=str(tmp_path / "a.txt")),
        SourceRecipe(path=str(tmp_path / "b.csv"), columns={"text": "review"}),
        SourceRecipe(path=str(tmp_path / "c.jsonl")),
    ]
    assert list(read_texts(sources, {}, tmp_path))[:4] == ["好用，推荐", "买 一_口红_ 推荐", "很香", "油"]


def test_texts_that_say_the_same_are_one():
    texts = ["好用，推荐！", "好用 推荐", "ＡＢＣ", "abc", "很香", "不"]
    assert list(distinct(iter(texts), {text_key("很香。")})) == ["好用，推荐！", "ＡＢＣ", "不"]


@pytest.mark.parametrize("name", ["pieces.json", "ids-00000.npy", "lengths-00000.npy"])
@pytest.mark.parametrize("damage", ["cut", "empty", "flip", "missing"])
def test_damaged_pieces_are_made_again(encoder, make_examples, tmp_path, caplog, name, damage):
    texts = [f"{e.text}，很香" for e in make_examples(40)]
    wanted = [piece.ids.tolist() for piece in prepare_pieces(iter(texts), encoder, 0.2, tmp_path / "ids")]
    path = tmp_path / "ids" / name
    was = path.read_bytes()
    changed = {"cut": was[: len(was) // 2], "empty": b"", "flip": was[:-3] + bytes([was[-3] ^ 1]) + was[-2:]}
    path.unlink()
    if damage != "missing":
        path.write_bytes(changed[damage])
    found = prepare_pieces(iter(texts), encoder, 0.2, tmp_path / "ids")
    assert [piece.ids.tolist() for piece in found] == wanted
    assert "made again" in caplog.text or (name, damage) == ("pieces.json", "missing")
