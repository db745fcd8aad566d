"""The original's flags with its defaults, and the combinations that are errors.

First step of every command line: ``argv -> Namespace``. Flags that the original parsed but never used
have an effect here: see the help of each.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from attar.distillation.matches import PRESET_MATCHES
from original import values
from original.tasks import TASKS

__all__ = ["Script", "parse_arguments"]

Script = Literal["trainer", "distill", "multiteacher"]

_DEFAULT_TOKENS = 416
_SCHEDULES = (
    "slanted_triangular", "warmup_linear_release", "warmup_step", "warmup_cosine", "warmup_constant",
    "warmup_linear",
)  # fmt: skip
_ROOT = Path("data_root_dir")  # the folder of the data folders in the README


def parse_arguments(script: Script, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read a command line of the original.

    Args:
        script: Which of the three it is for.
        argv: The flags; None takes those of this process.

    Returns:
        The flags by name; ``teachers`` is the list of the teachers' weights.
    """
    parser = _parser(script)
    args = parser.parse_args(argv)
    args.script = script
    single = [args.tuned_checkpoint_T] if args.tuned_checkpoint_T else []
    args.teachers = list(args.tuned_checkpoint_Ts or []) if script == "multiteacher" else single
    if args.data_dir is None and args.task_name:
        args.data_dir = _ROOT / args.task_name
    if args.max_seq_length is None:
        args.max_seq_length = TASKS[args.task_name].max_tokens if args.task_name else _DEFAULT_TOKENS
    problem = _general_problem(args) or (_distillation_problem(args) if script != "trainer" else None)
    if problem:
        parser.error(problem)
    return args


def _parser(script: Script) -> argparse.ArgumentParser:
    parser = values.Parser(prog=f"main.{script}.py", description="The original's command line, run by attar.")
    _add_files(parser)
    _add_training(parser)
    _add_distillation(parser)
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    add, known = parser.add_argument, list(TASKS)
    add("--vocab_file", type=Path, required=True, help="vocab.txt of the student (and of the teachers)")
    add("--output_dir", type=Path, required=True, help="folder for checkpoints and results")
    add("--data_dir", type=Path, help="folder with train, dev and test; default: data_root_dir/TASK")
    add("--task_name", choices=known, help="the task")
    add("--aux_task_name", choices=known, help="a task whose train set is added")
    add("--aux_data_dir", type=Path, help="folder of that task")
    add("--bert_config_file_T", nargs="+", required=True, metavar="CONFIG",
        help="config.json of the teacher, or of each teacher; none in the trainer")  # fmt: skip
    add("--bert_config_file_S", type=Path, required=True, help="config.json of the trained model")
    add("--vocab_file_T", nargs="+", type=Path, metavar="VOCAB",
        help="vocab.txt of the teacher, or of each teacher, if it is another one (new here)")  # fmt: skip
    add("--model_architecture", choices=("bert", "electra", "albert"), default="bert",
        help="of the trained model; a teacher's is told by its weights")  # fmt: skip
    add("--tuned_checkpoint_T", type=Path, help="the teacher's weights")
    add("--tuned_checkpoint_Ts", nargs="*", type=Path, help="the weights of several teachers")
    add("--tuned_checkpoint_S", type=Path, help="weights of the whole model, for --load_model_type all")
    add("--init_checkpoint_S", type=Path, help="weights of the encoder, for --load_model_type bert")
    add(
        "--load_model_type",
        choices=("bert", "all", "none"),
        default="bert",
        help="initial weights of the model",
    )
    add("--only_load_embedding", action="store_true", help="load the embeddings of the encoder alone")
    add("--do_lower_case", action="store_true", help="lower-case the text")
    add("--marks", choices=("auto", "on", "off"), default="auto",
        help="_ around the keyword (new here); auto: by the number of columns")  # fmt: skip
    add("--max_seq_length", type=values.length, help=f"longest input in tokens; default {_DEFAULT_TOKENS}")
    add("--do_train", action="store_true", help="train")
    add("--do_predict", action="store_true", help="evaluate on dev")
    add("--predict_batch_size", type=values.whole_number, default=8, help="batch size of the evaluation")


def _add_training(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--train_batch_size", type=values.whole_number, default=32, help="examples per optimiser step")
    add(
        "--gradient_accumulation_steps",
        type=values.whole_number,
        default=1,
        help="forward passes per optimiser step",
    )
    add("--learning_rate", type=values.above_0, default=3e-5, help="peak of the schedule")
    add("--num_train_epochs", type=values.above_0, default=3.0, help="passes over the train set")
    add(
        "--warmup_proportion",
        type=values.share,
        default=0.1,
        help="share of the steps with a rising learning rate",
    )
    add("--weight_decay_rate", type=values.from_0, default=0.01, help="decoupled decay of the weights")
    add("--schedule", choices=_SCHEDULES, default="warmup_linear_release", help="of the learning rate")
    add(
        "--s_opt1", type=values.finite, default=1.0, help="release start / first step / peak over lowest rate"
    )
    add("--s_opt2", type=values.finite, default=0.0, help="release level / second step")
    add("--s_opt3", type=values.finite, default=1.0, help="decay at each step of warmup_step")
    add("--random_seed", type=values.seed, default=10236797, help="of weights, dropout and order")
    add(
        "--ckpt_frequency",
        type=values.whole_number,
        default=2,
        help="checkpoints (and evaluations) per epoch",
    )
    add("--PRINT_EVERY", type=values.whole_number, default=200, help="steps between logged losses")
    add("--verbose_logging", action="store_true", help="log every row that is not used, and why")
    add("--fp16", action="store_true", help="half precision on a GPU; bf16 on a CPU that has it")
    add("--bf16", action="store_true", help="bf16 (new here)")
    add("--local_rank", "--local-rank", type=int, default=-1,
        help="as the launcher passes it; torchrun alone is enough")  # fmt: skip


def _add_distillation(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--temperature", type=values.above_0, default=1.0, help="of teacher and student")
    add("--matches", nargs="*", default=[], metavar="PRESET", help="layer matches, by attar's preset names")
    add("--weight", type=values.from_0, default=1.0, help="factor of the losses of --matches")
    add("--no_inputs_mask", action="store_true", help="padding counts in the matches")
    add("--no_logits", action="store_true", help="no loss on the logits, matches alone")
    add("--teacher_cached", action="store_true", help="cache the teacher's outputs on disk")
    shown = "false" if parser.prog == "main.trainer.py" else "true"
    for name, default, what in (
        ("output_att_score", "true", "attentions before the softmax"),
        ("output_att_sum", "false", "attentions summed over the heads"),
        ("output_encoded_layers", "true", "matches may compare hidden states"),
        ("output_attention_layers", "true", "matches may compare attentions"),
    ):
        add(f"--{name}", choices=("true", "false"), default=default, help=f"{what} (used: {shown})")


def _general_problem(args: argparse.Namespace) -> str | None:
    missing = {
        "bert": args.init_checkpoint_S is None and "--init_checkpoint_S",
        "all": args.tuned_checkpoint_S is None and "--tuned_checkpoint_S",
        "none": False,
    }[args.load_model_type]
    ranked = "RANK" in os.environ
    checks = (
        (not args.do_train and not args.do_predict, "give at least one of --do_train and --do_predict"),
        (args.task_name is None, f"give --task_name, one of {', '.join(TASKS)}"),
        (missing, f"--load_model_type {args.load_model_type} needs {missing}"),
        (
            args.only_load_embedding and args.load_model_type != "bert",
            "--only_load_embedding goes with --load_model_type bert",
        ),
        (
            (args.aux_task_name is None) != (args.aux_data_dir is None),
            "--aux_task_name and --aux_data_dir go together",
        ),
        (args.fp16 and args.bf16, "--fp16 and --bf16: choose one"),
        (
            args.schedule == "slanted_triangular" and args.s_opt1 <= 0,
            f"--s_opt1 {args.s_opt1:g}: --schedule slanted_triangular needs it above 0 (peak / lowest rate)",
        ),
        (
            args.marks != "auto" and args.task_name is not None and not TASKS[args.task_name].task.has_term,
            f"--marks is of keywords, and {args.task_name} has none",
        ),
        (
            args.gradient_accumulation_steps > args.train_batch_size,
            "--gradient_accumulation_steps is larger than --train_batch_size",
        ),
        (
            args.local_rank != -1 and not ranked,
            "--local_rank is for a launcher: torchrun --nproc-per-node N main.*.py ...",
        ),
    )
    return next((message for wrong, message in checks if wrong), None)


def _distillation_problem(args: argparse.Namespace) -> str | None:
    """Why the teachers and matches of a training are not valid; None if they are."""
    is_multi = args.script == "multiteacher"
    flag = "--tuned_checkpoint_Ts" if is_multi else "--tuned_checkpoint_T"
    other = args.tuned_checkpoint_T if is_multi else args.tuned_checkpoint_Ts
    unknown = [name for name in args.matches if name not in PRESET_MATCHES]
    compared = {
        one.feature for name in args.matches if name in PRESET_MATCHES for one in PRESET_MATCHES[name]
    }
    checks = [
        (
            not is_multi and other,
            "--tuned_checkpoint_Ts is main.multiteacher.py's; main.distill.py takes --tuned_checkpoint_T",
        ),
        (
            is_multi and other and not args.teachers,
            "--tuned_checkpoint_T is main.distill.py's; main.multiteacher.py has --tuned_checkpoint_Ts",
        ),
        (args.do_train and not args.teachers, f"a student needs a teacher: give {flag}"),
        (unknown, f"--matches {' '.join(unknown)}: there are {', '.join(PRESET_MATCHES)}"),
        (
            "hidden" in compared and args.output_encoded_layers == "false",
            "--matches compares hidden states and needs --output_encoded_layers true",
        ),
        (
            "attention" in compared and args.output_attention_layers == "false",
            "--matches compares attentions and needs --output_attention_layers true",
        ),
        (
            args.do_train and args.no_logits and not args.matches,
            "--no_logits without --matches leaves no loss",
        ),
    ]
    for name in ("bert_config_file_T", "vocab_file_T"):
        given = len(getattr(args, name) or [""])
        wrong = args.do_train and given not in (1, len(args.teachers))
        checks.append((wrong, f"--{name}: give one for all {len(args.teachers)} teachers, or one for each"))
    return next((message for wrong, message in checks if wrong), None)
