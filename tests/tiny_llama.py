"""A Llama small enough to train in seconds, with a tokenizer of its own, and examples for it."""

import json
import random
from pathlib import Path
from typing import Any

WORDS = "the paper shows that water flows through soil and measured rate of decay was high in every sample".split()
MARKERS = ["<s>", "</s>", "<unk>"]


def make_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=350, special_tokens=MARKERS,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())  # fmt: skip
    tokenizer.train_from_iterator([make_text(random.Random(0), 400)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def write_model(folder: Path, **changes: Any) -> Path:
    """A random model and its tokenizer, as transformers saves them; `changes` are of its LlamaConfig."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer()
    sizes = {"vocab_size": 384, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
             "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 1}  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**{**sizes, **changes})).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_text(generator: random.Random, num_words: int) -> str:
    return " ".join(generator.choices(WORDS, k=num_words))


def write_examples(path: Path, number: int = 16, seed: int = 0) -> Path:
    generator = random.Random(seed)
    records = [{"instruction": "Ask.", "input": make_text(generator, generator.randint(3, 20)),
                "output": make_text(generator, 6)} for _ in range(number)]  # fmt: skip
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path
