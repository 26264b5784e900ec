"""The Trainer of transformers, with saves that load and a validation loss over tokens.

The loop, the schedule and the optimizer are transformers'. Changed are only: under DeepSpeed stage 3 the weights are
gathered for every save, whatever stage3_gather_16bit_weights_on_model_save says; checkpoints are atomic; the validation
loss is the mean over answer tokens, not over batches.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.trainer_utils import rotate_checkpoints

from sciqag_lib.errors import InputError
from sciqag_lib.training.checkpoints import SAVING, check_saved, find_last_checkpoint, settle_files, settle_folder
from sciqag_lib.training.machine import is_main, is_node_main, wait_for_all

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class GeneratorTrainer(transformers.Trainer):
    def _init_training_state(
        self, max_steps: int, steps_an_epoch: int, num_epochs: int, resume: Any, trial: Any
    ) -> Any:
        """With this command's save_steps, logging_steps and eval_steps, which transformers takes from the checkpoint;
        and where all steps are done, no further one, which it would take within an epoch."""
        found = super()._init_training_state(max_steps, steps_an_epoch, num_epochs, resume, trial)
        self.state.compute_steps(self.args, max_steps)
        return (num_epochs, 0) if self.state.global_step >= max_steps else found

    # Saving ----------------------------------------------------------------------------------------------------------

    def _get_output_dir(self, trial: Any) -> str:
        """Where checkpoints are written; they are moved to output_dir when complete."""
        return str(Path(self.args.output_dir) / SAVING)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder, name = Path(self.args.output_dir), f"checkpoint-{self.state.global_step}"
        staged = folder / SAVING / name
        with self._clear_when_failing(f"{name} could not be written"):
            super()._save_checkpoint(model, trial)
            if is_main():
                check_saved(staged)
            if self.state.best_global_step:
                self.state.best_model_checkpoint = str(folder / f"checkpoint-{self.state.best_global_step}")
                if self.args.should_save:
                    self.state.save_to_json(str(staged / "trainer_state.json"))
            wait_for_all()
            if is_main():
                settle_folder(staged, folder / name)
            wait_for_all()
            if is_node_main() and staged.exists():  # another machine with a file system of its own
                if self.is_deepspeed_enabled:  # DeepSpeed leaves this to the first machine alone
                    (staged / "latest").write_text(f"global_step{self.state.global_step}")
                settle_folder(staged, folder / name)
            wait_for_all()
        if is_node_main():
            rotate_checkpoints(str(folder), self.args.save_total_limit, self.state.best_model_checkpoint)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write weights or adapter, configuration and tokenizer to `output_dir`. All processes must call it."""
        target = output_dir or self.args.output_dir
        if self.is_deepspeed_enabled and self.accelerator.deepspeed_config["zero_optimization"]["stage"] == 3:
            is_adapter = hasattr(self.model, "peft_config")
            weights = self.model_wrapped._zero3_consolidated_16bit_state_dict(exclude_frozen_parameters=is_adapter)
            if is_main():  # the others, the first of another machine too, have none of them
                self._save(target, state_dict=weights)
        else:
            super().save_model(target, _internal_call)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        if self.args.save_on_each_node:  # transformers asks for it and then writes no weights on the other machines
            self.model.should_save_on_this_rank = bool
        self.model.config.use_cache = True  # off while training; whoever loads the model wants it
        try:
            super()._save(output_dir, state_dict)
        finally:
            self.model.config.use_cache = False

    def save_result(self) -> None:
        """The final weights into output_dir, atomically, checked. All processes must call it."""
        folder = Path(self.args.output_dir)
        staged = folder / SAVING / "final"
        with self._clear_when_failing("the final weights could not be written"):
            self.save_model(str(staged))
            if is_main():
                check_saved(staged, is_trained=True)
            for settles in (is_main(), is_node_main()):  # another machine may have a file system of its own
                if settles and staged.exists():
                    settle_files(staged, folder)
                wait_for_all()

    @contextmanager
    def _clear_when_failing(self, what: str) -> Iterator[None]:
        """While a save is written: where it fails, its half is removed and the error says what is still there."""
        folder = Path(self.args.output_dir)
        (folder / SAVING).mkdir(parents=True, exist_ok=True)
        try:
            yield
        except Exception as error:
            shutil.rmtree(folder / SAVING, ignore_errors=True)
            last = find_last_checkpoint(folder)
            kept = f"{last.name} is complete" if last else "there is no earlier checkpoint"
            is_full = getattr(error, "errno", None) in FULL or os.strerror(errno.ENOSPC) in str(error)
            advice = "free some space and " if is_full else ""
            raise InputError(
                f"{folder}: {what}: {error}; {kept}; {advice}give the same command again to resume"
            ) from error

    def _track_num_input_tokens(self, inputs: dict[str, Any]) -> None:
        """Tokens without padding. transformers, where there is no mask, leaves out every token that is also used to
        pad, such as the end of each packed example."""
        mask = inputs.get("attention_mask")
        num_tokens = inputs["input_ids"].numel() if mask is None else int(mask.sum())
        counts = self.accelerator.gather(torch.tensor(num_tokens, device=self.args.device))
        self.state.num_input_tokens_seen += int(counts.sum())

    # Evaluation ------------------------------------------------------------------------------------------------------

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The validation loss, nats per answer token over all examples of all processes: each is counted once."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        model, size = self.model_wrapped, self.args.eval_batch_size
        starts = range(0, len(dataset), size)
        rank, num_ranks = self.args.process_index, self.args.world_size
        sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)  # loss, tokens
        model.eval()
        for turn in range(-(-len(starts) // num_ranks)):
            number = turn * num_ranks + rank
            start = starts[number % len(starts)]  # past the end it takes part in the gathering, uncounted
            batch = self.data_collator([dataset[index] for index in range(start, min(start + size, len(dataset)))])
            num_tokens = int((batch["labels"][:, 1:] != -100).sum()) * (number < len(starts))
            with torch.no_grad(), self.compute_loss_context_manager():
                loss = model(**self._prepare_inputs(batch)).loss
            if num_tokens:
                sums += torch.tensor([float(loss) * num_tokens, num_tokens], dtype=torch.float64, device=sums.device)
        model.train()
        loss, num_tokens = self.accelerator.gather(sums[None]).sum(dim=0).tolist()
        metrics = {f"{metric_key_prefix}_loss": loss / num_tokens, f"{metric_key_prefix}_tokens": int(num_tokens)}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics
