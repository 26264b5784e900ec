"""Train a generator on papers and their question-answer pairs: one process on a CPU, or torchrun on many machines.

    python train.py params/train.question_writing.yaml
    torchrun --nproc_per_node=8 train.py params/train.generator.yaml
    torchrun --nproc_per_node=8 train.py --model_name_or_path vicuna-7b-v1.5-16k --bf16 True --data_path DATA.json ...

The last form takes the published flags of SciQAG, SciRIFF and SciGLM and every argument of transformers'
TrainingArguments; --help explains them all. The same command again resumes from the last checkpoint. The output folder
then holds the model (or LoRA adapter), checkpoint-N, run.json, log.jsonl and figures/loss.png.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing.errors import record

from sciqag_lib.errors import InputError
from sciqag_lib.paths import resolve_path
from sciqag_lib.training.arguments import Arguments, parse_arguments


@record  # torchrun then says which process failed, and why
def main() -> None:
    try:
        train(parse_arguments(sys.argv[1:]))
    except InputError as error:
        raise SystemExit(f"train.py: {error}") from error


def train(arguments: Arguments) -> None:
    """Parse -> data -> will it fit? -> model -> Trainer -> save. InputError says what is wrong, and what to do."""
    import transformers

    from sciqag_lib.engines.loading import scale_positions
    from sciqag_lib.training import attention, checkpoints, machine, model, monitor, run_data, summary
    from sciqag_lib.training.trainer import GeneratorTrainer

    run, settings = arguments.run, complete_settings(arguments)
    notes = arguments.notes + machine.prepare_machine(settings)
    cache_dir, output_dir = resolve_path("runs/cache"), Path(settings["output_dir"])
    transformers.set_seed(settings["seed"])

    source = model.prepare_source(run, cache_dir / "models")
    config, tokenizer = model.open_config(source, run.cache_dir), model.open_tokenizer(source, run.cache_dir)
    length = model.choose_length(run, config)
    scaled = scale_positions(config, length, run.rope_scaling, run.rope_factor, run.rope_parameters)
    data = run_data.load_data(run, tokenizer, length, settings["seed"], cache_dir)
    attention_name, attention_text = model.choose_attention(run, data.packed)
    attention.register_attentions()
    if attention_name in attention.ATTENTIONS:
        attention.check_attention(config, attention_name)
    size = summary.measure_model(config, run, settings)
    estimate = summary.estimate_memory(size, run, settings, settings["per_device_train_batch_size"] * data.row_tokens)
    notes += summary.refuse_too_large(estimate)

    shared = {"data_path": data.tokens.fingerprint, "processes": machine.count_processes()}
    identity = {**dataclasses.asdict(run), **settings, **shared}
    training_arguments = machine.make_training_arguments(settings)  # the processes meet here
    resume, is_finished = checkpoints.open_run(output_dir, identity)
    if is_finished:
        say([f"{output_dir}: this run is finished; for another, name another output_dir"])
        return
    if scaled and run.method != "full":
        source = model.link_with_config(source, config, output_dir / "base_model", run.cache_dir)
    generator = model.load_for_training(source, config, run, settings, attention_name)
    given = {"train_dataset": data.train, "eval_dataset": data.validation, "data_collator": data.collator}
    trainer = GeneratorTrainer(model=generator, args=training_arguments, processing_class=tokenizer, **given)
    trainer.remove_callback(transformers.PrinterCallback)
    if machine.is_main():
        trainer.add_callback(monitor.Monitor(output_dir, checkpoints.read_step(resume)))
    notes += [*summary.describe_model(source, size, generator, attention_text, scaled), *data.describe()]
    notes += [*summary.describe_schedule(trainer), f"estimated memory per process: {estimate.describe()}"]
    say([*notes, f"resuming from {resume.name}" if resume else f"writing to {output_dir}"])
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    trainer.save_result()
    if machine.is_main():
        checkpoints.finish_run(output_dir, monitor.save_loss(output_dir))


def complete_settings(arguments: Arguments) -> dict[str, Any]:
    """The settings of TrainingArguments with this program's defaults, and what it decides itself."""
    rows = arguments.trainer.get("per_device_train_batch_size", 8)
    defaults = {
        "seed": 42,
        "per_device_train_batch_size": rows,
        "per_device_eval_batch_size": rows,
        "logging_steps": 10,
        "logging_nan_inf_filter": False,
        "report_to": "none",
    }
    if arguments.run.eval_data_path and arguments.trainer.get("eval_strategy", "epoch") != "no":
        defaults |= {"eval_strategy": "epoch", "eval_on_start": True}
    decided = {
        "output_dir": str(resolve_path(arguments.trainer["output_dir"])),
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "include_num_input_tokens_seen": "non_padding",
    }
    return {**defaults, **arguments.trainer, **decided}


def say(lines: list[str]) -> None:
    """Print, in one process of all."""
    from sciqag_lib.training.machine import is_main

    if is_main():
        print("\n".join(filter(None, lines)), flush=True)


if __name__ == "__main__":
    main()
