"""Training data: files in and out, exact boundaries in tokens, the shared cache, packing without attention across.

The tokenizer is byte-level: it knows every character and has a merge "]K", which would straddle prompt and answer.
"""

import json
import multiprocessing
import os
import pickle
import tempfile
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.inference.prompts import load_form, load_prompt, render
from sciqag_lib.training import tokenized
from sciqag_lib.training.data import Example, make_generator_data, read_examples
from sciqag_lib.training.encoding import TOO_LONG, ExampleEncoder, find_endings, split_input
from sciqag_lib.training.packing import PackedDataset, collate_packed, collate_padded, pack_examples
from sciqag_lib.training.tokenized import tokenize_file

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer(closes_texts: bool = False) -> PreTrainedTokenizerFast:
    special = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]  # bytes that stand for themselves
    alphabet = [chr(code) for code in [*visible, *range(256, 256 + 256 - len(visible))]]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    frame = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    frame += [{"SpecialToken": {"id": "</s>", "type_id": 0}}] if closes_texts else []
    added = [{"id": number, "content": token, "special": True, "normalized": False, "single_word": False,
              "lstrip": False, "rstrip": False} for number, token in enumerate(special)]  # fmt: skip
    vocab = {token: number for number, token in enumerate([*special, *alphabet, "]K"])}
    written = {"version": "1.0", "added_tokens": added, "normalizer": None, "pre_tokenizer": level, "decoder": level,
               "post_processor": {"type": "TemplateProcessing", "single": frame, "pair": frame, "special_tokens": {
                   token: {"id": token, "ids": [vocab[token]], "tokens": [token]} for token in special}},
               "model": {"type": "BPE", "vocab": vocab, "merges": [["]", "K"]]}}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        path.write_text(json.dumps(written), encoding="utf-8")
        return PreTrainedTokenizerFast(tokenizer_file=str(path), bos_token="<s>", eos_token="</s>")


TOKENIZER = make_tokenizer()


def write(path, records, lines: bool = False):
    texts = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("\n".join(texts) if lines else "[" + ",".join(texts) + "]", encoding="utf-8")
    return path


def read(tmp_path, records, lines: bool = False, **columns) -> list:
    return list(read_examples(write(tmp_path / "train.json", records, lines), **columns))


def split(encoded, tokenizer=TOKENIZER) -> tuple[str, str]:
    """Prompt and answer, decoded."""
    return tuple(tokenizer.decode(ids) for ids in (encoded.ids[: encoded.prompt_length],
                                                   encoded.ids[encoded.prompt_length :]))  # fmt: skip


@pytest.mark.parametrize("lines", [False, True])
def test_every_shape_of_record_is_read(tmp_path, lines):
    turns = [("user", "Q1?"), ("assistant", "A1."), ("user", "Q2?"), ("assistant", "A2.")]
    found = read(tmp_path, [
        {"instruction": "Do.", "input": "Paper.", "output": "Out.", "more": 1},
        {"instruction": "Do.", "output": "Out."},
        {"messages": [{"role": "system", "content": "Be."}, *({"role": r, "content": t} for r, t in turns)]},
        {"conversations": [{"from": "human", "value": "Q?"}, {"from": "gpt", "value": "A."}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Q"}, {"type": "text", "text": "?"}]},
                      {"role": "assistant", "content": "A."}]},
        {"content": "Q?", "summary": "A."},
    ], lines)  # fmt: skip
    name = "line" if lines else "record"
    assert found == [
        Example("Do.", "Paper.", "Out.", where=f"{name} 1"),
        Example("Do.", "", "Out.", where=f"{name} 2"),
        Example("", "Q1?", "A1.", "Be.", (), f"{name} 3"),
        Example("", "Q2?", "A2.", "Be.", (("Q1?", "A1."),), f"{name} 3"),
        Example("", "Q?", "A.", where=f"{name} 4"),
        Example("", "Q?", "A.", where=f"{name} 5"),
        Example("", "Q?", "A.", where=f"{name} 6"),
    ]


def test_columns_have_the_names_that_are_given(tmp_path):
    columns = {"prompt_column": "question", "response_column": "solution"}
    [example] = read(tmp_path, [{"question": "Q?", "solution": "S."}], **columns)
    assert example == Example("", "Q?", "S.", where="record 1")
    [bad] = read(tmp_path, [{"question": "Q?", "summary": "S."}], **columns)
    assert bad.field == "solution" and "missing" in bad.message


@pytest.mark.parametrize("record, field, message", [
    ({"instruction": "Do.", "input": "P."}, "output", "missing"),
    ({"instruction": "Do.", "input": "P.", "output": "  "}, "output", "empty"),
    ({"instruction": "Do.", "input": ["P."], "output": "O."}, "input", "found list"),
    ({"instruction": "", "input": "P.", "output": "O."}, "instruction", "empty"),
    ({"content": "Q?", "summary": None}, "summary", "missing"),
    ({"prompt": "Q?", "answer": "A."}, "", "found only 'prompt', 'answer'"),
    ({"messages": "Q?"}, "messages", "expected a list"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages", "message 1: expected the role system or user"),
    ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, "messages", "message 2"),
    ({"conversations": [{"from": "human", "value": 3}]}, "conversations", "message 1: its text"),
    ({"messages": [{"role": "user", "content": "a"}]}, "messages", "has no reply"),
    ({"messages": ["a"]}, "messages", "expected an object"),
    ({"messages": [{"role": ["user"], "content": "a"}]}, "messages", "found ['user']"),
])  # fmt: skip
def test_a_bad_record_is_named_and_the_rest_goes_on(tmp_path, record, field, message):
    good = {"instruction": "Do.", "input": "P.", "output": "O."}
    bad, example = read(tmp_path, [record, good])
    assert isinstance(bad, BadRecord) and (bad.record, bad.field) == ("record 1", field)
    assert bad.file.endswith("train.json") and message in bad.message
    assert example == Example("Do.", "P.", "O.", where="record 2")


def test_half_a_surrogate_pair_is_refused(tmp_path):
    [bad] = read(tmp_path, ['{"content": "Q\\ud800?", "summary": "A."}'], lines=True)
    assert bad.field == "content" and "surrogate" in bad.message


def test_a_torn_file_gives_what_stands_before_the_tear(tmp_path):
    path = tmp_path / "torn.json"
    path.write_text('[{"content": "Q?", "summary": "A."}, {"content": "Q')
    example, bad = read_examples(path)
    assert example.output == "A." and bad.record == "record 2" and "broken JSON" in bad.message


PAPER = {"source": "", "doi": "10.1/a", "abstract": "", "keywords": ["gold", "films"], "txt": "Gold </s> films. {{x}}",
         "title": "T", "num_Q&A": 2, "Q&A": [{"Q": "Why?", "A": "So."}, {"Q": "How?", "A": "Thus."}]}  # fmt: skip


def test_generator_data_shows_the_model_what_inference_shows_it(tmp_path):
    source = write(tmp_path / "processed.json", [PAPER, {**PAPER, "doi": "10.1/b", "txt": " "}, {**PAPER, "Q&A": 3}])
    made = make_generator_data(source, tmp_path / "train.json")
    [record] = json.loads((tmp_path / "train.json").read_text(encoding="utf-8"))
    assert list(record) == ["instruction", "input", "output"]
    assert record["output"] == "Keywords: gold, films\n\nQ1: Why?\nA1: So.\n\nQ2: How?\nA2: Thus."
    assert made.written == 1 and [bad.field for bad in made.bad_records] == ["txt", "Q&A"]
    prompt = load_prompt("whole_paper")
    encoder = ExampleEncoder(TOKENIZER, 10_000, "llama2", prompt.texts["system"])
    [example] = read_examples(tmp_path / "train.json")
    values = {"paper": "Gold < /s > films. {{x}}", "num_pairs": "2", "again": ""}  # disarmed, as fit_text does it
    expected = render(prompt, load_form("llama2"), values).text
    assert encoder.render(example) == expected
    [encoded] = encoder.encode([example])
    assert encoded.ids[: encoded.prompt_length] == TOKENIZER(expected)["input_ids"]
    assert split(encoded) == (f"<s>{expected}", record["output"] + "</s>")


def test_keywords_may_be_a_string(tmp_path):
    source = write(tmp_path / "processed.json", [{**PAPER, "keywords": "gold, films"}], lines=True)
    make_generator_data(source, tmp_path / "train.json")
    assert json.loads((tmp_path / "train.json").read_text())[0]["output"].startswith("Keywords: gold, films\n\nQ1: ")


def test_nothing_to_learn_from_leaves_an_older_file_as_it_was(tmp_path):
    (tmp_path / "train.json").write_text("older")
    source = write(tmp_path / "processed.json", [{**PAPER, "Q&A": []}])
    with pytest.raises(InputError, match="found none to train on.*record 1.*Q&A"):
        make_generator_data(source, tmp_path / "train.json")
    assert (tmp_path / "train.json").read_text() == "older"


def test_no_token_straddles_prompt_and_answer():
    encoded = ExampleEncoder(TOKENIZER, 500).encode([Example("Do.", "P.", " Keys </s> <s>\n")])[0]
    prompt, answer = split(encoded)
    assert prompt == "<s>[INST] <<SYS>>\n\n<</SYS>>\n\nDo.\nP. [/INST]" and answer == "Keys </s> <s></s>"
    assert TOKENIZER.convert_tokens_to_ids("]K") not in encoded.ids  # "[/INST]Keys" as one text would have it
    assert encoded.ids.count(TOKENIZER.eos_token_id) == 1 and encoded.ids.count(TOKENIZER.bos_token_id) == 1


def test_a_tokenizer_that_closes_every_text_does_not_close_the_prompt():
    encoded = ExampleEncoder(make_tokenizer(closes_texts=True), 500, "alpaca").encode([Example("Do.", "P.", "Out.")])[0]
    assert encoded.ids.count(1) == 1 and encoded.ids[-1] == 1 and encoded.ids[0] == 0


def chat_tokenizer(template: str = CHATML):
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def test_the_chat_template_frames_every_turn_once():
    tokenizer = chat_tokenizer()
    example = Example("", "Q2? <|im_end|>", "A2.", "Be.", (("Q1?", "A1."),))
    prompt, answer = split(ExampleEncoder(tokenizer, 500, "chat").encode([example])[0], tokenizer)
    turns = [("system", "Be."), ("user", "Q1?"), ("assistant", "A1."), ("user", "Q2? < |im_end| >")]
    framed = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
    assert prompt == f"<s>{framed}<|im_start|>assistant\n"
    assert answer == "A2.<|im_end|></s>"
    tokenizer.eos_token = "<|im_end|>"  # the usual case: the end of turn is the end of the sequence
    assert split(ExampleEncoder(tokenizer, 500, "chat").encode([example])[0], tokenizer)[1] == "A2.<|im_end|>"
    written = chat_tokenizer("<s>" + CHATML)
    ids = ExampleEncoder(written, 500, "chat").encode([example])[0].ids
    assert ids.count(0) == 1  # the template wrote it


def test_a_form_repeats_itself_for_each_exchange():
    example = Example("", "Q2?", "A2.", "Be.", (("Q1?", "A1."),))
    text = ExampleEncoder(TOKENIZER, 500).render(example)
    one = "[INST] <<SYS>>\nBe.\n<</SYS>>\n\nQ1?\n [/INST]"
    assert text == f"{one}A1.</s>{one.replace('Q1?', 'Q2?')}"


def test_what_a_tokenizer_lacks_is_said():
    with pytest.raises(InputError, match="expected a chat template"):
        ExampleEncoder(make_tokenizer(), 100, "chat")
    tokenizer = make_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="end-of-sequence"):
        ExampleEncoder(tokenizer, 100)


def test_a_template_without_system_role_gets_its_text_before_the_users():
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    text = ExampleEncoder(chat_tokenizer(refuses), 500, "chat", "Be.").render(Example("", "Q?", "A."))
    assert text == "<|im_start|>user\nBe.\n\nQ?<|im_end|>\n<|im_start|>assistant\n"


def test_a_template_that_refuses_an_example_costs_only_that_example(tmp_path):
    refuses = "{% if messages|length > 2 %}{{ raise_exception('one question only') }}{% endif %}" + CHATML
    messages = [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A."}]
    records = [{"messages": messages * 2}, {"messages": messages}]
    encoder = ExampleEncoder(chat_tokenizer(refuses), 100, "chat")
    made = tokenize_file(write(tmp_path / "t.json", records), tmp_path / "cache", encoder)
    assert (len(made.examples), len(made.bad_records)) == (2, 1)
    assert "record 1: the tokenizer's chat template" in made.bad_records[0]


@given(st.integers(60, 400), st.lists(st.text("ab é.\n", max_size=40), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_paper_is_cut_and_never_the_answer_or_the_instruction(max_length, parts):
    example = Example("Instruction.", "PAPER " + " ".join(parts) + "\n\nThe query?", "The answer.")
    whole, encoded = (ExampleEncoder(TOKENIZER, length).encode([example])[0] for length in (10_000, max_length))
    if encoded.fault:
        # Frame, instruction, query and answer have 76 tokens: with a word of the paper they would not have fitted.
        assert encoded.fault == TOO_LONG and max_length < 76 + len("PAPER") + 1
        return
    prompt, answer = split(encoded)
    assert answer == "The answer.</s>" and len(encoded.ids) <= max_length
    assert prompt.endswith("\n\nThe query? [/INST]") and "\n\nInstruction.\nP" in prompt
    assert encoded.cut_tokens == whole.prompt_length - encoded.prompt_length
    kept = prompt.removesuffix("\n\nThe query? [/INST]").removeprefix("<s>")
    assert split(whole)[0].removeprefix("<s>").startswith(kept)
    if len(whole.ids) <= max_length:
        assert encoded == whole


def test_nearly_all_that_fits_is_kept():
    example = Example("Do.", "one two three four " * 100 + "\nWhy?", "The answer.")
    encoded = ExampleEncoder(TOKENIZER, 600).encode([example])[0]
    assert 594 <= len(encoded.ids) <= 600  # a word more would be 4 to 6 tokens, a space among them
    assert split(encoded)[0].endswith(("one\nWhy? [/INST]", "two\nWhy? [/INST]", "three\nWhy? [/INST]"))
    for max_length in (600, 601, 602):  # three tokens a character, which is not to be cut in two, and no spaces
        encoded = ExampleEncoder(TOKENIZER, max_length).encode([Example("Do.", "no " + "中" * 500, "The answer.")])[0]
        assert max_length - 8 <= len(encoded.ids) <= max_length and "\N{REPLACEMENT CHARACTER}" not in split(encoded)[0]


def test_the_longest_text_of_a_conversation_is_cut():
    example = Example("", "And why?", "So.", "", (("paper " * 100, "Read."),))
    prompt, _ = split(ExampleEncoder(TOKENIZER, 300).encode([example])[0])
    assert "And why?" in prompt and "Read.</s>" in prompt and 20 < prompt.count("paper") < 40


def test_a_query_that_many_papers_share_is_found_and_kept():
    query = "\n\nTwo steps:\n1. Keywords.\n\n2. Pairs.\n\n" + "Rules. " * 400  # longer than a last paragraph may be
    inputs = [f"Paper {number}, its text ends in {number}5 words.{query}" for number in range(20)]
    assert find_endings(inputs) == (query,)
    assert split_input(inputs[3], (query,)) == ("Paper 3, its text ends in 35 words.", query)
    assert find_endings(["One.\nSame paper. " * 300] * 5 + ["a\nshared", "b\nshared"]) == ()
    assert split_input("word " * 1000) == ("word " * 1000, "")


RECORDS = [
    {"instruction": "Do.", "input": f"Paper {number}. " * (number + 1), "output": f"Out {number}."}
    for number in range(150)
]  # more than two batches


def test_the_cache_holds_every_example_and_counts_what_it_does_not(tmp_path):
    bad = [{"instruction": "Do."}, {"instruction": "Do." * 100, "input": "P.", "output": "O."}]
    encoder = ExampleEncoder(TOKENIZER, 256)
    made = tokenize_file(write(tmp_path / "t.json", RECORDS[:75] + bad + RECORDS[75:]), tmp_path / "cache", encoder)
    expected = encoder.encode([Example(**record) for record in RECORDS])
    assert len(made.examples) == 150
    assert [item["input_ids"].tolist() for item in made.examples] == [one.ids for one in expected]
    for item, one in zip(made.examples, expected):
        assert item["labels"].tolist() == [-100] * one.prompt_length + one.ids[one.prompt_length :]
        assert item["labels"].dtype == item["input_ids"].dtype == np.int64
    assert len(made.examples) == 150 and len(made.left_out) == len(made.bad_records) == 1
    assert "record 77: " in made.left_out[0] and "record 76, field 'output'" in made.bad_records[0]
    assert made.cut == sum(one.cut_tokens > 0 for one in expected) > 100
    assert made.cut_tokens == sum(one.cut_tokens for one in expected)
    assert sum(made.lengths) == sum(len(one.ids) for one in expected)
    assert made.answer_tokens == sum(len(f"Out {n}.") + 1 for n in range(150)) and max(made.lengths) == 256
    counts, dropped = made.describe()[:2]
    assert counts.startswith(f"examples: 150, {sum(made.lengths):,} tokens") and counts.endswith("longest has 256")
    assert "dropped: 1 examples too long even without their paper, 1 bad records" in dropped


def test_the_cache_is_mapped_not_loaded_and_travels_by_name(tmp_path):
    made = tokenize_file(write(tmp_path / "t.json", RECORDS * 9), tmp_path / "cache", ExampleEncoder(TOKENIZER, 256))
    [cache] = made.examples.cache_files
    assert cache["filename"] == str(tmp_path / "cache" / f"{made.fingerprint}.arrow")
    sent = pickle.dumps(made.examples)
    assert len(sent) < sum(made.lengths)  # of four bytes
    assert pickle.loads(sent)[-1]["input_ids"].tolist() == made.examples[1349]["input_ids"].tolist()


def test_memory_does_not_grow_with_the_number_of_examples(tmp_path):
    def peak(times: int) -> int:
        path = write(tmp_path / f"{times}.jsonl", RECORDS[:10] * times, lines=True)
        tracemalloc.start()
        try:
            # One thread: how many calls meet, and so the peak, is else a matter of chance.
            tokenize_file(path, tmp_path / "cache", ExampleEncoder(TOKENIZER, 128), num_workers=1)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(20) and peak(200) < 1.5 * peak(40)  # five times the examples


def test_what_changes_a_token_makes_another_cache(tmp_path):
    path = write(tmp_path / "t.json", RECORDS[:3])

    def name(length=256, form="llama2", system="", tokenizer=TOKENIZER):
        return tokenize_file(path, tmp_path / "cache", ExampleEncoder(tokenizer, length, form, system)).fingerprint

    names = [name(), name(length=200), name(form="alpaca"), name(system="Be."), name(tokenizer=make_tokenizer(True))]
    assert len(set(names)) == 5 and name(tokenizer=make_tokenizer()) == names[0]
    TOKENIZER("ab", truncation=True, max_length=1)  # leaves its mark in the backend
    assert name() == names[0]
    write(path, RECORDS[:2])
    assert name() not in names


def test_a_whole_cache_is_used_as_it_is(tmp_path, monkeypatch):
    path, encoder = write(tmp_path / "t.json", RECORDS[:3]), ExampleEncoder(TOKENIZER, 256)
    first = tokenize_file(path, tmp_path / "cache", encoder)
    monkeypatch.setattr(ExampleEncoder, "encode", lambda self, examples: pytest.fail("tokenized twice"))
    assert tokenize_file(path, tmp_path / "cache", encoder).fingerprint == first.fingerprint


def test_a_failed_or_killed_build_leaves_no_cache(tmp_path, monkeypatch):
    path, encoder, cache = write(tmp_path / "t.json", RECORDS), ExampleEncoder(TOKENIZER, 256), tmp_path / "cache"
    encode, calls = ExampleEncoder.encode, []

    def fail_at_second(self, examples):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return encode(self, examples)

    monkeypatch.setattr(ExampleEncoder, "encode", fail_at_second)
    with pytest.raises(InputError, match="could not be written .No space left"):
        tokenize_file(path, cache, encoder)
    assert [file.suffix for file in cache.iterdir()] == [".lock"]
    monkeypatch.undo()
    name = f"{tokenize_file(path, cache, encoder).fingerprint}.arrow"
    left_behind = cache / f".{name}.killed"
    left_behind.touch()
    (cache / name).rename(tmp_path / "elsewhere")
    assert len(tokenize_file(path, cache, encoder).examples) == 150 and not left_behind.exists()


def test_a_damaged_cache_is_refused_by_name(tmp_path):
    path, cache, encoder = write(tmp_path / "t.json", RECORDS), tmp_path / "cache", ExampleEncoder(TOKENIZER, 256)
    file = cache / f"{tokenize_file(path, cache, encoder).fingerprint}.arrow"
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(InputError, match=f"{file.name}: expected a token cache, found a broken one"):
        tokenize_file(path, cache, encoder)


def test_a_file_without_a_usable_example_is_refused_with_the_reason(tmp_path):
    path = write(tmp_path / "t.json", [{"instruction": "Do."}])
    with pytest.raises(InputError, match="none that can be used; .*record 1, field 'output'"):
        tokenize_file(path, tmp_path / "cache", ExampleEncoder(TOKENIZER, 256))
    with pytest.raises(InputError, match="longer than max_length .* 30 tokens"):
        tokenize_file(write(path, RECORDS[:2]), tmp_path / "cache", ExampleEncoder(TOKENIZER, 30))
    with pytest.raises(InputError, match="cannot be read"):
        tokenize_file(tmp_path / "none.json", tmp_path / "cache", ExampleEncoder(TOKENIZER, 30))


def test_the_cache_is_the_same_whatever_the_number_of_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenized, "BATCH_CHARACTERS", 2000)  # chunks of one long record and of many short ones
    faults = [{"instruction": "Do."}, {"instruction": "Do." * 100, "input": "P.", "output": "O."}]
    records = [record for number in range(0, 150, 3) for record in (*RECORDS[number : number + 3], faults[number % 2])]
    path = write(tmp_path / "t.json", records)

    def read_cache(num_workers):
        encoder, cache = ExampleEncoder(TOKENIZER, 256), tmp_path / f"cache{num_workers}"
        made = tokenize_file(path, cache, encoder, num_workers=num_workers)
        assert len(set(made.bad_records)) == 25
        return (cache / f"{made.fingerprint}.arrow").read_bytes()

    assert read_cache(1) == read_cache(2) == read_cache(7) == read_cache(None)


def test_as_many_examples_are_tokenized_at_once_as_there_are_threads(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    path, encode = write(tmp_path / "t.json", RECORDS * 2), ExampleEncoder.encode
    meeting = threading.Barrier(4)  # 300 examples are five calls; the fifth is the first one's thread again

    def meet(self, examples):
        assert os.environ["TOKENIZERS_PARALLELISM"] == "false"  # else the library has threads of its own beside
        if examples[0].input != RECORDS[(4 * 64) % 150]["input"]:
            meeting.wait(timeout=30)
        names.add(threading.current_thread().name)
        return encode(self, examples)

    names: set[str] = set()
    monkeypatch.setattr(ExampleEncoder, "encode", meet)
    made = tokenize_file(path, tmp_path / "cache", ExampleEncoder(TOKENIZER, 256), num_workers=4)
    assert len(made.examples) == 300 and len(names) == 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tokenizing")]


def test_no_more_is_read_than_is_soon_worked_on(monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    read = []
    chunks = ([read.append(number) or Example("Do.", "P.", "O.")] for number in range(100))
    results = tokenized._encode_chunks(chunks, "t.json", ExampleEncoder(TOKENIZER, 100), 3)
    for taken in range(1, 95):
        next(results)
        assert len(read) <= taken + 5  # six chunks for three threads, the one that is handed out among them
    results.close()
    assert len(read) == 99


def test_a_chunk_of_long_papers_is_small_and_nothing_is_left_out(monkeypatch):
    monkeypatch.setattr(tokenized, "BATCH_CHARACTERS", 1000)
    bad = BadRecord("t.json", "record 4", "", "broken")
    items = [Example("", "x" * 600, "O."), Example("", "x" * 600, "O."), Example("", "x", "y" * 1000), bad,
             Example("", "", "O.", "", (("q" * 500, "a" * 500),)), *[bad] * 65]  # fmt: skip
    chunks = list(tokenized._split_chunks(iter(items)))
    assert [len(chunk) for chunk in chunks] == [2, 1, 2, 64, 1] and sum(chunks, []) == items
    assert list(tokenized._split_chunks(iter([]))) == []


def test_an_encoder_and_the_tokenizers_other_users_leave_each_other_alone():
    tokenizer = make_tokenizer()
    encoder, example = ExampleEncoder(tokenizer, 200), Example("Do.", "Paper.", "An </s> in an answer.")
    before = encoder.encode([example])[0]
    tokenizer("abc", truncation=True, max_length=1)  # a setting that stays in the tokenizer
    assert encoder.encode([example])[0] == before and len(before.ids) > 20
    assert list(before.ids).count(tokenizer.eos_token_id) == 1  # the one in the answer is text
    assert tokenizer.backend_tokenizer.truncation["max_length"] == 1
    assert tokenizer.backend_tokenizer.encode_special_tokens is False


def test_of_a_book_only_what_may_be_kept_is_tokenized_again(monkeypatch):
    sizes, encode_head = [], ExampleEncoder._encode_head
    monkeypatch.setattr(
        ExampleEncoder,
        "_encode_head",
        lambda self, *arguments: sizes.append(len(head := encode_head(self, *arguments))) or head,
    )
    book = "é" * 500 + "one two " * 5000  # its beginning has more tokens a character than the rest
    encoded = ExampleEncoder(TOKENIZER, 500).encode([Example("Do.", book, "The answer.")])[0]
    assert 492 <= len(encoded.ids) <= 500 and sizes[0] < 1200
    late = "one two " * 5000 + "é" * 50_000  # and here fewer: all is looked at rather than too little kept
    encoded = ExampleEncoder(TOKENIZER, 30_000).encode([Example("Do.", late, "The answer.")])[0]
    assert 29_992 <= len(encoded.ids) <= 30_000


def tokenize_in_process(path, cache, counter):
    encode = ExampleEncoder.encode

    def counted(self, examples):
        with counter.get_lock():
            counter.value += 1
        return encode(self, examples)

    ExampleEncoder.encode = counted
    assert len(tokenize_file(path, cache, ExampleEncoder(make_tokenizer(), 256)).examples) == 150


def test_two_processes_at_once_tokenize_once(tmp_path):
    context = multiprocessing.get_context("fork")  # quick: the libraries are loaded
    counter = context.Value("i", 0)
    path = write(tmp_path / "t.json", RECORDS)
    arguments = (path, tmp_path / "cache", counter)
    processes = [context.Process(target=tokenize_in_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0] and counter.value == 3  # batches of 64


@given(st.lists(st.integers(1, 50), max_size=80), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_packing_uses_every_example_once_and_fits(lengths, seed):
    packs = pack_examples(lengths, 50, seed)
    assert sorted(number for pack in packs for number in pack) == list(range(len(lengths)))
    assert all(sum(lengths[number] for number in pack) <= 50 for pack in packs)
    fills = sorted(sum(lengths[number] for number in pack) for pack in packs)
    assert len(fills) < 2 or fills[0] + fills[1] > 50  # no two rows could have been one


def test_packing_fills_its_rows():
    lengths = np.random.default_rng(0).integers(100, 1000, 3000)
    packs = pack_examples(lengths, 4096, seed=1)
    assert lengths.sum() / (len(packs) * 4096) > 0.99
    assert packs == pack_examples(lengths, 4096, seed=1) != pack_examples(lengths, 4096, seed=2)
    assert sorted(map(len, pack_examples([6, 5, 4, 5], 10, 0))) == [2, 2]  # first come, first served would take 3
    with pytest.raises(InputError, match="example 1: expected at most 10 tokens to pack, found 11"):
        pack_examples([3, 11], 10, 0)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_packed_loss_is_the_unpacked_one(tmp_path, attention):
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(TOKENIZER), hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, attn_implementation=attention)  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    assert model.config.use_cache  # which would switch the isolation off, were the batch not to say otherwise
    encoder = ExampleEncoder(TOKENIZER, 128)
    made = tokenize_file(write(tmp_path / "t.json", RECORDS[:12]), tmp_path / "cache", encoder)
    dataset, packs = made.examples, pack_examples(made.lengths, 512, seed=0)
    packed_dataset = PackedDataset(dataset, packs)
    assert 1 < len(packed_dataset) < 6
    with torch.no_grad():
        for pack, items in zip(packs, packed_dataset):
            batch = collate_packed([items])
            assert batch["input_ids"].shape == (1, made.lengths[pack].sum())
            alone = [collate_padded([dataset[number]], 0) for number in pack]
            counts = [int((row["labels"] != -100).sum()) for row in alone]
            expected = sum(model(**row).loss * count for row, count in zip(alone, counts)) / sum(counts)
            assert abs(float(model(**batch).loss - expected)) < 1e-5
            mixed = {**batch, "position_ids": torch.arange(batch["input_ids"].shape[1])[None]}
            assert abs(float(model(**mixed).loss - expected)) > 1e-4  # so the comparison can fail
        together = model(**collate_padded([dataset[number] for number in range(12)], 0)).loss
        whole = model(**collate_packed(list(packed_dataset))).loss
        assert abs(float(together - whole)) < 1e-5


def test_a_batch_says_where_examples_begin_and_predicts_nothing_across():
    items = [{"input_ids": np.array(ids), "labels": np.array(ids)} for ids in ([5, 6, 7], [8], [9, 10])]
    batch = collate_packed([items[:2], items[2:]])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 10]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 0, 1]]
    assert batch["labels"].tolist() == [[-100, 6, 7, -100, -100, 10]] and batch["use_cache"] is False
    assert "attention_mask" not in batch and items[0]["labels"].tolist() == [5, 6, 7]
    padded = collate_padded(items, pad_token_id=3)
    assert padded["input_ids"].tolist() == [[5, 6, 7], [8, 3, 3], [9, 10, 3]]
    assert padded["labels"].tolist()[1] == [8, -100, -100] and padded["attention_mask"].tolist()[1] == [1, 0, 0]
