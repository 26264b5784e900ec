"""train.py's command line: the three published commands, flat params files, and what the DeepSpeed file may say."""

import inspect
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from sciqag_lib.errors import InputError
from sciqag_lib.training.arguments import Arguments, RunArguments, make_parser, parse_arguments
from sciqag_lib.training.deepspeed import MIRRORED, read_deepspeed, resolve_deepspeed
from sciqag_lib.training.flags import LEFT_OUT, RENAMED, PublishedFlags

ROOT = Path(__file__).resolve().parents[1]
PARAMS = sorted((ROOT / "params").glob("train.*.yaml"))

# The commands as they are printed; SciGLM's has placeholders (E, LR, LST, WR), filled in where it is used.
SCIQAG = """--model_name_or_path vicuna-7b-v1.5-16k --bf16 True --output_dir OUT --model_max_length 12288
--use_flash_attn True --data_path DATA.json --low_rank_training False --num_train_epochs 15
--per_device_train_batch_size 1 --per_device_eval_batch_size 1 --gradient_accumulation_steps 8
--evaluation_strategy "no" --save_strategy "steps" --save_steps 500 --save_total_limit 2 --learning_rate 2e-5
--weight_decay 0.0 --warmup_steps 20 --lr_scheduler_type "constant_with_warmup" --logging_steps 1
--deepspeed "ds_configs/stage3.json" --tf32 False"""
SCIRIFF = """--model_name_or_path llama_2_7b --use_flash_attn --dataset_name allenai/SciRIFF-train-mix
--use_slow_tokenizer --max_seq_length 4096 --preprocessing_num_workers 16 --per_device_train_batch_size 2
--gradient_accumulation_steps 8 --learning_rate 2e-5 --lr_scheduler_type linear --warmup_ratio 0.03 --weight_decay 0.
--num_train_epochs 2 --with_tracking --report_to tensorboard --logging_steps 1"""
SCIGLM = """--do_train --train_file SciInstruct.json --eval_steps 200 --prompt_column content --response_column summary
--overwrite_cache --overwrite_output_dir --max_source_length 128 --max_target_length 512
--per_device_train_batch_size 4 --per_device_eval_batch_size 4 --gradient_accumulation_steps 2 --predict_with_generate
--num_train_epochs E --logging_steps 20 --save_strategy epoch --learning_rate LR --lr_scheduler_type LST
--warmup_ratio WR --fp16"""
SCIGLM_VALUES = {" E ": " 2 ", " LR ": " 3e-6 ", " LST": " linear", " WR ": " 0 "}
LEAST = "--model_name_or_path m --data_path d.json"


def parse(command: str) -> Arguments:
    return parse_arguments(shlex.split(command))


def refusal(command: str) -> str:
    with pytest.raises(InputError) as caught:
        parse(command)
    return str(caught.value)


def write_params(folder: Path, text: str) -> str:
    path = folder / "train.try.yaml"
    path.write_text(f"model_name_or_path: m\ndata_path: d.json\n{text}\n")
    return str(path)


def notes_with(arguments: Arguments, *words: str) -> list[str]:
    return [note for note in arguments.notes if all(word in note for word in words)]


def make_transformers_arguments(trainer: dict[str, Any], folder: Path) -> Any:
    """The real class accepts what was parsed; without DeepSpeed and bf16, which want processes and hardware."""
    from transformers import TrainingArguments

    changed = {"output_dir": str(folder), "use_cpu": True, "deepspeed": None, "bf16": False, "fp16": False}
    return TrainingArguments(**trainer | changed)


# The published commands ----------------------------------------------------------------------------------------------


def test_published_sciqag(tmp_path: Path) -> None:
    found = parse(SCIQAG)
    assert found.run == RunArguments(
        model_name_or_path="vicuna-7b-v1.5-16k", data_path="DATA.json", model_max_length=12288, method="full",
        attention="s2", use_flash_attn=True,
    )  # fmt: skip
    assert {name: value for name, value in found.trainer.items() if name != "deepspeed"} == {
        "bf16": True, "output_dir": "OUT", "num_train_epochs": 15, "per_device_train_batch_size": 1,
        "per_device_eval_batch_size": 1, "gradient_accumulation_steps": 8, "eval_strategy": "no",
        "save_strategy": "steps", "save_steps": 500, "save_total_limit": 2, "learning_rate": 2e-5,
        "weight_decay": 0.0, "warmup_steps": 20, "lr_scheduler_type": "constant_with_warmup", "logging_steps": 1,
        "tf32": False, "activation_checkpointing": True,
    }  # fmt: skip
    assert len(found.notes) == 5
    assert notes_with(found, "evaluation_strategy", "eval_strategy")
    assert notes_with(found, "low_rank_training", "method: full")
    assert notes_with(found, "attention: s2", "use_full_attn True")
    assert notes_with(found, "activation_checkpointing: True")
    assert notes_with(found, "constant_with_warmup overrides", "WarmupDecayLR")
    real = make_transformers_arguments(found.trainer, tmp_path)
    assert (real.get_warmup_steps(1000), real.lr_scheduler_type) == (20, "constant_with_warmup")


def test_published_deepspeed_file_stays_but_for_its_schedule() -> None:
    printed = json.loads((ROOT / "ds_configs" / "stage3.json").read_text())
    assert printed["scheduler"]["type"] == "WarmupDecayLR"  # as published
    assert printed["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] is False
    del printed["scheduler"]
    assert parse(SCIQAG).trainer["deepspeed"] == printed


def test_longlora_further_flags() -> None:
    command = SCIQAG.replace("--low_rank_training False", "--low_rank_training True")
    found = parse(command + ' --trainable_params "embed,norm" --use_full_attn True --cache_dir there')
    assert (found.run.method, found.run.attention, found.run.cache_dir) == ("lora", "full", "there")
    assert found.run.trainable_params == ["embed", "norm"]
    assert notes_with(found, "use_full_attn", "attention: full")
    assert parse(command + ' --trainable_params ""').run.trainable_params == []
    assert not notes_with(found, "no effect")
    assert notes_with(parse(SCIQAG + " --trainable_params embed"), "no effect", "trainable_params")
    assert parse(LEAST + " --use_full_attn False").run.attention == "s2"


def test_published_sciriff(tmp_path: Path) -> None:
    found = parse(SCIRIFF)
    assert found.run == RunArguments(
        model_name_or_path="llama_2_7b", dataset_name="allenai/SciRIFF-train-mix", model_max_length=4096,
        preprocessing_num_workers=16, attention="full", use_flash_attn=True,
    )  # fmt: skip
    assert found.trainer == {
        "per_device_train_batch_size": 2, "gradient_accumulation_steps": 8, "learning_rate": 2e-5,
        "lr_scheduler_type": "linear", "warmup_steps": 0.03, "weight_decay": 0.0, "num_train_epochs": 2,
        "report_to": "tensorboard", "logging_steps": 1, "output_dir": "runs/train",
    }  # fmt: skip
    for word in (
        "max_seq_length",
        "use_slow_tokenizer",
        "with_tracking",
        "warmup_steps: 0.03",
        "output_dir: runs/train",
    ):
        assert notes_with(found, word), word
    assert len(found.notes) == 5
    assert make_transformers_arguments(found.trainer, tmp_path).get_warmup_steps(1000) == 30


def test_published_sciglm() -> None:
    command = SCIGLM.replace("\n", " ")
    assert "--num_train_epochs" in refusal(command) and "invalid float value: 'E'" in refusal(command)
    for placeholder, value in SCIGLM_VALUES.items():
        command = command.replace(placeholder, value)
    assert refusal(command) == "model_name_or_path is missing: give a model's folder, or its id on the hub"
    # As the deepspeed launcher starts it.
    found = parse("--local_rank=3 " + command + " --model_name_or_path m --deepspeed ds_configs/stage3.json")
    assert found.run == RunArguments(model_name_or_path="m", data_path="SciInstruct.json", prompt_column="content",
                                     response_column="summary", model_max_length=128 + 512 + 1)  # fmt: skip
    config = found.trainer.pop("deepspeed")
    assert found.trainer == {
        "do_train": True, "eval_steps": 200, "per_device_train_batch_size": 4, "per_device_eval_batch_size": 4,
        "gradient_accumulation_steps": 2, "num_train_epochs": 2, "logging_steps": 20, "save_strategy": "epoch",
        "learning_rate": 3e-6, "lr_scheduler_type": "linear", "warmup_steps": 0, "fp16": True,
        "output_dir": "runs/train",
    }  # fmt: skip
    assert config["fp16"] == config["bf16"] == {"enabled": "auto"}
    for word in (
        "train_file",
        "overwrite_cache",
        "overwrite_output_dir",
        "predict_with_generate",
        "local_rank",
        "model_max_length: 641",
        "warmup_steps: 0",
        "linear overrides WarmupDecayLR",
    ):
        assert notes_with(found, word), word


@pytest.mark.parametrize(
    ("flags", "name", "value"),
    [
        ("--with_tracking", "report_to", "tensorboard"),
        ("--with_tracking False --report_to wandb", "report_to", "none"),
        ("--report_to wandb,tensorboard", "report_to", ["wandb", "tensorboard"]),
        ("--gradient_checkpointing True", "activation_checkpointing", True),
        ("--no_cuda", "use_cpu", True),
        ("--no_average_tokens_across_devices", "average_tokens_across_devices", False),
        ("--tf32 false", "tf32", False),
        ("--tf32 None", "tf32", None),
        ("--learning-rate 1E-4", "learning_rate", 1e-4),
        ("--max_steps -1", "max_steps", -1),
        ("--lr_scheduler_kwargs '{\"min_lr\": 1}'", "lr_scheduler_kwargs", {"min_lr": 1}),
    ],
)
def test_flag_of_transformers(flags: str, name: str, value: Any) -> None:
    assert parse(f"{LEAST} {flags}").trainer[name] == value


def test_every_translation_leads_to_a_name_that_exists() -> None:
    from transformers import TrainingArguments

    own, older, theirs = (set(inspect.signature(kind).parameters) for kind in
                          (RunArguments, PublishedFlags, TrainingArguments))  # fmt: skip
    assert not own & theirs and not older & (own | theirs)
    assert set(RENAMED.values()) <= own | theirs
    assert {name for names in MIRRORED.values() for name in names} <= theirs
    # Nothing is translated or left out that train.py or transformers knows, but these.
    assert (set(RENAMED) | set(LEFT_OUT)) & (own | theirs) == {
        "gradient_checkpointing", "gradient_checkpointing_kwargs", "local_rank", "resume_from_checkpoint"}  # fmt: skip


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--learning_rat 1", "unknown setting 'learning_rat'; did you mean 'learning_rate'?"),
        ("--attn full", "unknown setting 'attn'"),
        ("--zzz 1", "unknown setting 'zzz'; see train.py --help"),
        ("--save_steps many", "--save_steps/--save-steps: invalid float value: 'many'"),
        ("--save_total_limit 1.5", "--save_total_limit/--save-total-limit: invalid int value: '1.5'"),
        ("--bf16 maybe", "--bf16: Truthy value expected: got maybe"),
        ("--learning_rate", "--learning_rate/--learning-rate: expected one argument"),
        ("--learning_rate None", "invalid float value: 'None'"),
        ("--output_dir --bf16", "--output_dir/--output-dir: expected one argument"),
        ("--lr_scheduler_type cosin", "invalid choice: 'cosin' (choose from 'linear', 'cosine'"),
        ("--method lowrank", "invalid choice: 'lowrank' (choose from 'full', 'lora', 'qlora')"),
        ("--rope_scaling ntk", "invalid choice: 'ntk' (choose from 'linear', 'dynamic'"),
        ("--lr_scheduler_kwargs {1", "--lr_scheduler_kwargs/--lr-scheduler-kwargs: invalid str value: '{1'"),
        ("--bf16 --bf16", "bf16 appears twice"),
        ("--report_to wandb tensorboard", "found 'tensorboard'; a params file comes first, a list is one value"),
        ("--warmup_ratio 3", "warmup_ratio: expected from 0 to less than 1, found 3"),
        ("--warmup_ratio 0.1 --warmup_steps 3", "and warmup_steps mean the same"),
        ("--evaluation_strategy no --eval_strategy no", "eval_strategy appears twice, or under an older name too"),
        ("--max_source_length 12", "expected both max_source_length and max_target_length"),
        ("--max_source_length 12 --max_target_length x", "invalid int value: 'x'"),
        ("--model_max_length 0", "model_max_length: expected at least 1, found 0"),
        ("--lora_dropout 1", "lora_dropout: expected from 0 to less than 1, found 1"),
        ("--dataset_name a", "data_path (a JSON or JSONL file) or dataset_name (on the hub), found both"),
        ("--prompt_column content", "prompt_column and response_column"),
        ("--deepspeed none.json", "no such DeepSpeed file"),
    ],
)
def test_refused(flags: str, expected: str) -> None:
    assert expected in refusal(f"{LEAST} {flags}")


def test_missing_settings_and_unknown_names_are_listed_at_once() -> None:
    assert [line.split()[2] for line in refusal("--learning_rat 1 --bf 2").splitlines()] == ["'learning_rat';", "'bf';"]
    assert refusal("").splitlines()[1].endswith("found neither")


def test_a_secret_is_refused_and_not_repeated() -> None:
    message = refusal(LEAST + " --hub_token hf_abc")
    assert "hub_token: secrets are not allowed" in message and "hf_abc" not in message


def test_help_explains_every_flag() -> None:
    actions = {action.dest: action for action in make_parser()._actions}
    assert {*inspect.signature(RunArguments).parameters, *LEFT_OUT, "learning_rate"} <= actions.keys()
    assert [name for name, action in actions.items() if not action.help] == []


# Params files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PARAMS, ids=lambda path: path.name)
def test_params_file(path: Path, tmp_path: Path) -> None:
    header = re.match(r"(#.*\n)+", path.read_text())
    assert header and re.search(r"Hardware: .*\b(GPUs?|CPU cores)\b", header[0])
    launch = rf"Launch: (torchrun --nproc_per_node=\d+|python) train.py params/{re.escape(path.name)}\n"
    assert re.search(launch, header[0])
    found = parse_arguments([str(path)])
    assert "seed" in found.trainer and found.trainer["output_dir"].startswith("runs/")
    # Written in the names of today: all that is said concerns the output folder and the published schedule.
    assert all(note.startswith(("output_dir:", "lr_scheduler_type:")) for note in found.notes)
    make_transformers_arguments(found.trainer, tmp_path)


def test_the_recipes_are_the_published_ones() -> None:
    assert [path.name for path in PARAMS] == [
        "train.generator.yaml", "train.qa_only.yaml", "train.question_writing.yaml", "train.sciinstruct.yaml",
        "train.sciriff.yaml"]  # fmt: skip
    for name, command in (("generator", SCIQAG), ("sciriff", SCIRIFF)):
        published, recipe = parse(command), parse(f"params/train.{name}.yaml")
        for key in published.trainer.keys() - {"output_dir"}:
            assert recipe.trainer[key] == published.trainer[key], (name, key)
        for key in ("model_name_or_path", "dataset_name", "model_max_length", "method", "attention", "prompt_form"):
            assert getattr(recipe.run, key) == getattr(published.run, key), (name, key)
    qa_only, glm = parse("params/train.qa_only.yaml"), parse("params/train.sciinstruct.yaml")
    assert (qa_only.run.prompt_form, qa_only.run.model_max_length) == ("alpaca", 512)
    assert [qa_only.trainer[key] for key in ("num_train_epochs", "per_device_train_batch_size", "learning_rate",
            "gradient_accumulation_steps", "warmup_steps")] == [2, 1, 2e-5, 2, 20]  # fmt: skip
    assert (glm.run.model_max_length, glm.run.prompt_column, glm.run.response_column) == (641, "content", "summary")
    assert [glm.trainer[key] for key in ("fp16", "learning_rate", "save_strategy")] == [True, 3e-6, "epoch"]
    assert glm.trainer["deepspeed"]["zero_optimization"]["stage"] == 2


def test_flags_win_over_the_params_file(tmp_path: Path) -> None:
    lines = "save_steps: 5  # a comment\nseed: 1\nevaluation_strategy: no\nlora_targets: [q_proj]"
    path = write_params(tmp_path, lines)
    found = parse(f"{path} --save_steps 7 --seed 1")
    assert (found.trainer["save_steps"], found.trainer["eval_strategy"]) == (7, "no")
    assert found.run.lora_targets == ["q_proj"] and found.trainer["output_dir"] == "runs/train.try"
    assert "save_steps: 7 overrides 5 from the params file" in found.notes and not notes_with(found, "seed")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("learning_rat: 1.0e-5", "unknown setting 'learning_rat'; did you mean 'learning_rate'?"),
        ("seed: 1\nseed: 2", "the key 'seed' is on line 3 and again on line 4"),
        ("seed: 1.5", "invalid int value: '1.5'"),
        ("seed: true", "invalid int value: 'True'"),
        ("bf16: 3", "--bf16: Truthy value expected: got 3"),
        ("model_name: x", "did you mean"),
        ("method: null", "invalid choice: 'None' (choose from 'full', 'lora', 'qlora')"),
        ("warmup_ratio: 2", "warmup_ratio: expected from 0 to less than 1"),
        ("hub_token: abc", "secret"),
    ],
)
def test_refused_in_a_params_file(line: str, expected: str, tmp_path: Path) -> None:
    message = refusal(write_params(tmp_path, line))
    assert expected in message and "train.try.yaml: " in message


def test_values_of_a_params_file_are_read_as_flags_are(tmp_path: Path) -> None:
    lines = "learning_rate: 1e-5\nsave_steps: 500\nwarmup_steps: 0.5\ntrainable_params: []\nsave_total_limit: null"
    found = parse(write_params(tmp_path, lines + "\nlr_scheduler_kwargs: {min_lr: 1}"))
    trainer = found.trainer
    assert trainer["learning_rate"] == 1e-5  # text to YAML
    assert isinstance(trainer["save_steps"], int) and trainer["warmup_steps"] == 0.5
    assert trainer["save_total_limit"] is None and trainer["lr_scheduler_kwargs"] == {"min_lr": 1}
    assert found.run.trainable_params == []


# The DeepSpeed file --------------------------------------------------------------------------------------------------


def write_config(folder: Path, **config: Any) -> Path:
    path = folder / "ds.json"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("name", ["stage3", "stage3_cpu", "stage2"])
@pytest.mark.parametrize("given", [{}, {"lr_scheduler_type": "cosine", "learning_rate": 1e-3, "max_grad_norm": 0.5}])
def test_shipped_files_agree_with_transformers(name: str, given: dict[str, Any], tmp_path: Path) -> None:
    from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

    config, from_file, _ = resolve_deepspeed(read_deepspeed(ROOT / "ds_configs" / f"{name}.json"), given)
    assert "scheduler" not in config and config["zero_optimization"]["stage"] == int(name[5])
    real = HfTrainerDeepSpeedConfig(config)
    real.trainer_config_process(make_transformers_arguments(given | from_file, tmp_path))
    assert real.mismatches == [] and real.config["gradient_clipping"] == given.get("max_grad_norm", 1.0)
    assert real.config["train_micro_batch_size_per_gpu"] == 8


def test_the_flag_wins_over_the_file(tmp_path: Path) -> None:
    path = write_config(
        tmp_path, train_micro_batch_size_per_gpu=4, gradient_accumulation_steps=2, train_batch_size=64,
        gradient_clipping=0.5, fp16={"enabled": True, "loss_scale": 0},
        optimizer={"type": "AdamW", "params": {"lr": 1e-3, "betas": [0.8, 0.99], "weight_decay": 0.1}},
        scheduler={"type": "WarmupLR", "params": {"warmup_max_lr": 0.1, "warmup_num_steps": "auto"}},
    )  # fmt: skip
    found = parse(f"{LEAST} --deepspeed {path} --per_device_train_batch_size 1 --learning_rate 2e-5 --bf16 "
                  "--lr_scheduler_type cosine --adam_beta1 0.8")  # fmt: skip
    assert found.trainer.pop("deepspeed") == {
        "train_micro_batch_size_per_gpu": "auto", "gradient_accumulation_steps": "auto", "train_batch_size": "auto",
        "gradient_clipping": "auto", "fp16": {"enabled": "auto", "loss_scale": 0}, "bf16": {"enabled": "auto"},
        "optimizer": {"type": "AdamW", "params": {"lr": "auto", "betas": "auto", "weight_decay": "auto"}},
    }  # fmt: skip
    del found.trainer["output_dir"]
    assert found.trainer == {
        "per_device_train_batch_size": 1, "learning_rate": 2e-5, "bf16": True, "lr_scheduler_type": "cosine",
        "adam_beta1": 0.8, "gradient_accumulation_steps": 2, "max_grad_norm": 0.5, "adam_beta2": 0.99,
        "weight_decay": 0.1,
    }  # fmt: skip
    for words in (
        ("per_device_train_batch_size: 1 overrides 4",),
        ("learning_rate: 2e-05 overrides 0.001",),
        ("cosine overrides WarmupLR and its params",),
        ("fp16: False overrides True",),
        ("train_batch_size of the DeepSpeed file is left out",),
        ("gradient_accumulation_steps: 2, from",),
        ("max_grad_norm: 0.5, from",),
        ("adam_beta2: 0.99, from",),
        ("weight_decay: 0.1, from",),
    ):
        assert notes_with(found, *words), words
    assert len(found.notes) == 10  # and the output folder
    assert json.loads(path.read_text())["gradient_clipping"] == 0.5


def test_what_only_the_file_says() -> None:
    read = {"scheduler": {"type": "WarmupDecayLR"}, "bf16": {"enabled": True}, "optimizer": {"type": "Adam"}}
    config, from_file, notes = resolve_deepspeed(read, {})
    assert read["optimizer"] == {"type": "Adam"} and "scheduler" in read  # it works on a copy
    assert from_file == {"lr_scheduler_type": "linear", "bf16": True}
    # DeepSpeed's own learning rate and batch would be taken where the file has none.
    assert config["optimizer"] == {"type": "Adam", "params": {"lr": "auto", "weight_decay": "auto"}}
    assert config["train_micro_batch_size_per_gpu"] == config["gradient_clipping"] == "auto"
    assert len(notes) == 2
    assert resolve_deepspeed({"bf16": {"enabled": True}}, {"bf16": False})[1] == {}
    config, _, _ = resolve_deepspeed({"optimizer": {"type": "Adam"}}, {"adam_epsilon": 1e-6})
    assert config["optimizer"]["params"]["eps"] == "auto" and "betas" not in config["optimizer"]["params"]


def test_another_optimizer_takes_the_block_out() -> None:
    given = {"optim": "adafactor", "lr_scheduler_type": "constant"}
    config, _, notes = resolve_deepspeed({"optimizer": {"type": "AdamW", "params": {"lr": 1.0}}}, given)
    assert "optimizer" not in config and len(notes) == 1 and "adafactor overrides AdamW" in notes[0]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"zero_optimisation": {"stage": 3}}, "no key 'zero_optimisation' (did you mean 'zero_optimization'?)"),
        ({"zero_optimization": {"stagee": 3}}, "'zero_optimization.stagee' (did you mean 'zero_optimization.stage'?)"),
        (
            {"activation_checkpointing": {"partition_activationz": True}},
            "'activation_checkpointing.partition_activationz'",
        ),
        ({"zero_optimization": {"offload_param": {"devise": "cpu"}}}, "'zero_optimization.offload_param.devise'"),
        ({"bf16": {"enable": True}}, "did you mean 'bf16.enabled'?"),
        ({"bf16": True}, "bf16: expected a block {...}, found True"),
        ({"optimizer": {"type": "AdamW", "lr": 1}}, "no key 'optimizer.lr'"),
        ({"optimizer": {"type": "AdamW", "params": 3}}, "optimizer.params: expected a block"),
        ({"gradient_clipping": "yes"}, "gradient_clipping: expected a number or \"auto\", found 'yes'"),
        ({"optimizer": {"params": {"betas": [1]}}}, "optimizer.params.betas: expected 2 numbers"),
        ({"fp16": {"enabled": "on"}}, "fp16.enabled: expected true, false or \"auto\", found 'on'"),
        ({"scheduler": {"type": "OneCycle"}}, "or give lr_scheduler_type as a flag"),
    ],
)
def test_refused_deepspeed_file(config: dict[str, Any], expected: str, tmp_path: Path) -> None:
    path = write_config(tmp_path, **config)
    message = refusal(f"{LEAST} --deepspeed {path}")
    assert message.startswith(f"{path}: ") and expected in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"bf16": {}, "bf16": {}}', "Duplicate keys in DeepSpeed config: ['bf16']"),
        ("{", "expected a JSON file"),
        ("[]", "found list"),
    ],
)
def test_torn_deepspeed_file(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "ds.json"
    path.write_text(text)
    assert expected in refusal(f"{LEAST} --deepspeed {path}")


def test_shipped_files_name_no_unknown_key_and_the_list_is_deepspeeds() -> None:
    """A key of the list that no module of DeepSpeed holds would be a typo of ours."""
    import deepspeed

    from sciqag_lib.training.deepspeed import KNOWN_KEYS

    root = Path(deepspeed.__file__).parent
    source = "".join(path.read_text(errors="replace") for path in root.rglob("*.py"))
    assert [key for key in KNOWN_KEYS[""].split() if not re.search(rf"""["'{{ ]{key}["'\s:=]""", source)] == []
