"""Flags of the original: defaults, what makes no sense together, and the recipe that they become."""

import importlib
import json
import tomllib
from pathlib import Path

import pytest

from attar.errors import CheckpointError
from attar.recipe.load import make_recipe

CLASSIC = Path(__file__).parents[2] / "classic"
NEEDED = "--vocab_file v.txt --output_dir out --bert_config_file_T none --bert_config_file_S s.json"
TRAINER = f"{NEEDED} --do_train --task_name cosmetics --init_checkpoint_S m/pytorch_model.bin"
DISTILL = f"{NEEDED} --do_train --task_name cosmetics --load_model_type none --tuned_checkpoint_T t.pkl"
# As the original's parser had them.
DEFAULTS = {
    "max_seq_length": 416, "model_architecture": "bert", "train_batch_size": 32, "predict_batch_size": 8,
    "learning_rate": 3e-5, "num_train_epochs": 3.0, "warmup_proportion": 0.1,
    "gradient_accumulation_steps": 1,
    "random_seed": 10236797, "load_model_type": "bert", "weight_decay_rate": 0.01, "PRINT_EVERY": 200,
    "weight": 1.0, "ckpt_frequency": 2, "temperature": 1, "s_opt1": 1.0, "s_opt2": 0.0, "s_opt3": 1.0,
    "schedule": "warmup_linear_release", "output_att_score": "true", "output_att_sum": "false",
    "output_encoded_layers": "true", "output_attention_layers": "true", "local_rank": -1,
    "do_lower_case": False, "fp16": False, "teacher_cached": False, "no_inputs_mask": False,
    "no_logits": False, "verbose_logging": False, "only_load_embedding": False,
}  # fmt: skip


@pytest.fixture
def original(monkeypatch):
    """``original(module)``: a module of classic/original."""
    monkeypatch.syspath_prepend(str(CLASSIC))
    return lambda name: importlib.import_module(f"original.{name}")


@pytest.fixture
def parse(original):
    def go(text, script="trainer"):
        return original("arguments").parse_arguments(script, text.split())

    return go


@pytest.fixture
def recipe_of(original, parse, tmp_path):
    """``recipe_of(flags, script)``: the recipe that a command line becomes."""
    from attar.recipe.load import SourceRecipe

    (tmp_path / "s.json").write_text(
        json.dumps({"num_hidden_layers": 4, "hidden_size": 312, "hidden_dropout_prob": 0.2}), "utf-8"
    )

    def go(text, script="trainer", splits=("train", "dev", "test"), *, marks=True):
        args = parse(text.replace("s.json", str(tmp_path / "s.json")), script)
        sources = [SourceRecipe(path=f"data/{name}.json", format="rows", split=name) for name in splits]
        return original("translate").to_recipe(args, sources, marks=marks)

    return go


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_defaults_are_the_originals(parse, name, value):
    assert getattr(parse(TRAINER), name) == value


def test_the_data_folder_defaults_to_that_of_the_readme(parse):
    assert parse(TRAINER).data_dir == Path("data_root_dir/cosmetics")
    assert parse(TRAINER.replace("cosmetics", "caiye")).max_seq_length == 30


@pytest.mark.parametrize(
    ("script", "flags", "said"),
    [
        ("trainer", f"{NEEDED} --task_name cosmetics --load_model_type none", "--do_train and --do_predict"),
        ("trainer", f"{NEEDED} --do_train --load_model_type none", "give --task_name"),
        ("trainer", f"{NEEDED} --do_train --task_name newcos", "bert needs --init_checkpoint_S"),
        (
            "trainer",
            f"{NEEDED} --do_predict --task_name newcos --load_model_type all",
            "--tuned_checkpoint_S",
        ),
        ("trainer", f"{TRAINER} --aux_task_name newcos", "go together"),
        ("trainer", f"{TRAINER} --only_load_embedding --load_model_type none", "--load_model_type bert"),
        ("trainer", f"{TRAINER} --fp16 --bf16", "choose one"),
        ("trainer", f"{TRAINER} --local_rank 0", "torchrun"),
        ("trainer", f"{TRAINER} --gradient_accumulation_steps 33", "larger than --train_batch_size"),
        ("trainer", f"{TRAINER} --ckpt_frequency 0", "--ckpt_frequency 0 is not a whole number of 1 or more"),
        ("trainer", f"{TRAINER} --learning_rate -1", "--learning_rate -1 is not a number above 0"),
        ("trainer", f"{TRAINER} --num_train_epochs nan", "--num_train_epochs nan is not a number above 0"),
        (
            "trainer",
            f"{TRAINER} --warmup_proportion 1.5",
            "--warmup_proportion 1.5 is not a number from 0 to 1",
        ),
        ("trainer", f"{TRAINER} --weight_decay_rate x", "--weight_decay_rate x is not a number of 0 or more"),
        ("trainer", f"{TRAINER} --random_seed -3", "--random_seed -3 is not a whole number from 0 to"),
        (
            "trainer",
            f"{TRAINER} --max_seq_length 7",
            "--max_seq_length 7 is not a whole number from 8 to 512",
        ),
        (
            "trainer",
            f"{TRAINER} --schedule slanted_triangular --s_opt1 0",
            "--s_opt1 0: --schedule slanted_t",
        ),
        (
            "trainer",
            f"{TRAINER.replace('cosmetics', 'rte')} --marks on",
            "--marks is of keywords, and rte has",
        ),
        (
            "distill",
            f"{DISTILL} --tuned_checkpoint_Ts a b",
            "--tuned_checkpoint_Ts is main.multiteacher.py's",
        ),
        (
            "multiteacher",
            DISTILL,
            "--tuned_checkpoint_T is main.distill.py's; main.multiteacher.py has --tuned_checkpoint_Ts",
        ),
        ("trainer", f"{TRAINER} --schedule warmup_linearly", "invalid choice"),
        (
            "distill",
            f"{NEEDED} --do_train --task_name newcos --load_model_type none",
            "give --tuned_checkpoint_T",
        ),
        ("distill", f"{DISTILL} --matches L4_hidden_smd", "--matches L4_hidden_smd: there are L3_"),
        (
            "distill",
            f"{DISTILL} --matches L4_hidden_smmd --output_encoded_layers false",
            "needs --output_encoded_layers true",
        ),
        (
            "distill",
            f"{DISTILL} --matches L4_attention_mse --output_attention_layers false",
            "needs --output_attention_layers true",
        ),
        ("distill", f"{DISTILL} --no_logits", "leaves no loss"),
        ("distill", f"{DISTILL} --temperature 0", "above 0"),
        (
            "multiteacher",
            f"{DISTILL} --tuned_checkpoint_Ts a b c --bert_config_file_T x y",
            "one for all 3 teachers",
        ),
    ],
)
def test_a_bad_combination_of_flags_is_one_line(parse, capsys, script, flags, said):
    with pytest.raises(SystemExit) as left:
        parse(flags, script)
    assert left.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"main.{script}.py: error: ")
    assert said in last


def test_a_launcher_may_pass_its_rank(parse, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    assert parse(f"{TRAINER} --local_rank 0").local_rank == parse(f"{TRAINER} --local-rank=0").local_rank == 0


def test_training_flags_become_a_recipe(recipe_of):
    recipe = recipe_of(
        f"{TRAINER} --schedule slanted_triangular --s_opt1 30 --ckpt_frequency 3 --learning_rate 2e-5 "
        "--gradient_accumulation_steps 4 --PRINT_EVERY 7 --max_seq_length 70"
    )
    fit = recipe.train
    assert (fit.schedule, fit.schedule_options, fit.optimiser) == (
        "slanted_triangular", (30, 0, 1), "bert_adam",
    )  # fmt: skip
    assert (fit.batch_size, fit.gradient_accumulation_steps, fit.drop_last, fit.evaluations_per_epoch) == (
        32,
        4,
        True,
        3,
    )
    assert (fit.learning_rate, fit.log_interval, fit.dropout, fit.head_init) == (2e-5, 7, 0.2, "random")
    assert (fit.class_weights, fit.precision, fit.max_grad_norm, fit.epochs) == ("none", "fp32", 1.0, 3.0)
    assert (recipe.encode.max_tokens, recipe.encode.pooling, recipe.seed) == (70, "cls", 10236797)
    assert Path(fit.encoder) == Path("m").resolve()
    assert (fit.keep, fit.freeze, fit.token_dropout) == ("best", None, 0)


def test_distillation_flags_become_a_recipe(recipe_of):
    flags = f"{DISTILL} --temperature 8 --matches L4t_hidden_mse L4_hidden_smmd --weight 0.5"
    taught = recipe_of(flags, "distill").distill
    assert (taught.soft_loss, taught.soft_weight, taught.hard_weight, taught.temperature) == ("ce", 1, 0, 8)
    assert [(m.preset, m.weight) for m in taught.matches] == [
        ("L4t_hidden_mse", 0.5),
        ("L4_hidden_smmd", 0.5),
    ]
    assert (taught.match_scale, taught.mask_padding, taught.cache) == ("textbrewer", True, "none")
    assert (taught.keep, taught.freeze, taught.token_dropout, taught.more_teachers) == ("best", None, 0, ())
    assert recipe_of(f"{flags} --no_logits --no_inputs_mask", "distill").distill.soft_weight == 0
    assert not recipe_of(f"{flags} --no_inputs_mask", "distill").distill.mask_padding
    assert recipe_of(f"{flags} --teacher_cached", "distill").distill.cache == "features"
    assert recipe_of(f"{flags} --teacher_cached --no_inputs_mask", "distill").distill.cache == "logits"
    assert recipe_of(DISTILL, "distill").distill.cache == "logits"


@pytest.mark.parametrize(
    ("flags", "form"),
    [
        ("", "scores"),
        ("--output_att_sum true", "scores_sum"),
        ("--output_att_score false", "probs"),
        ("--output_att_score false --output_att_sum true", "probs_sum"),
    ],
)
def test_attention_flags_become_one_setting(recipe_of, flags, form):
    assert recipe_of(f"{DISTILL} --matches L4_attention_mse {flags}", "distill").distill.attention == form


@pytest.mark.parametrize("splits", [("train", "dev", "test"), ("train", "dev")])
@pytest.mark.parametrize(("script", "flags"), [("trainer", TRAINER), ("distill", DISTILL)])
def test_the_recipe_that_is_shown_is_the_recipe(original, recipe_of, script, flags, splits):
    recipe = recipe_of(f"{flags} --matches L4_hidden_smmd", script, splits)
    shown = make_recipe(tomllib.loads(original("toml").recipe_toml(recipe)))
    assert shown == recipe
    held_out = {source.split for source in shown.data.sources}
    assert held_out == ({"train", "dev", "test"} if "test" in splits else {None, "dev"})
    assert shown.data.test == (0 if "test" in splits else 0.1)


def test_any_text_goes_through_toml(original, recipe_of):
    recipe = recipe_of(TRAINER)
    train = recipe.train.model_copy(update={"encoder": 'a"b\\c\n\x7f\x01中'})
    shown = original("toml").recipe_toml(recipe.model_copy(update={"train": train}))
    assert make_recipe(tomllib.loads(shown)).train == train


def test_fp16_without_a_gpu_is_bf16_where_that_is_native(original, recipe_of, monkeypatch):
    translate = original("translate")
    monkeypatch.setattr(translate.torch.cuda, "is_available", lambda: False)
    for native, precision in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(translate, "computes_in_bf16", lambda native=native: native)
        assert recipe_of(f"{TRAINER} --fp16").train.precision == precision
    monkeypatch.setattr(translate.torch.cuda, "is_available", lambda: True)
    assert recipe_of(f"{TRAINER} --fp16").train.precision == "fp16"


def test_a_config_that_cannot_be_read_is_an_error(original, parse, tmp_path):
    args = parse(TRAINER.replace("s.json", str(tmp_path / "none.json")))
    with pytest.raises(CheckpointError, match="cannot read the config"):
        original("translate").to_recipe(args, [], marks=True)


@pytest.mark.parametrize("name", ["L3", "L3n", "L4t", "L6"])
def test_the_shapes_are_configs(name):
    config = json.loads((CLASSIC / f"config/chinese_bert_config_{name}.json").read_text("utf-8"))
    shape = {key: config[key] for key in ("num_hidden_layers", "hidden_size", "intermediate_size")}
    assert tuple(shape.values()) == {
        "L3": (3, 768, 3072), "L3n": (3, 384, 1536), "L4t": (4, 312, 1200), "L6": (6, 768, 3072),
    }[name]  # fmt: skip
    assert (config["num_attention_heads"], config["vocab_size"]) == (12, 21128)
