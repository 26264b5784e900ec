"""Prompts: papers are only text, nothing exceeds the context, faults in files are named."""

import pytest
from fakes import FakeEngine
from hypothesis import given, settings
from hypothesis import strategies as st

from sciqag_lib.engines import Prompt
from sciqag_lib.errors import InputError
from sciqag_lib.inference.prompts import PROMPTS_DIR, fill, fit_text, load_form, load_prompt, plain_text, render

VALUES = {"paper": "{{again}} {x} {% raw %} \\1", "num_pairs": "3", "again": ""}


@pytest.mark.parametrize(
    "token",
    [
        "<end_of_turn>",
        "<start_of_turn>",
        "<｜User｜>",
        "<｜end▁of▁sentence｜>",
        "<eos>",
        "[SYSTEM_PROMPT]",
        "[/TOOL_RESULTS]",
        "<|eot_id|>",
        "<|start|>",
        "<tool_call>",
    ],
)
def test_no_control_token_of_a_template_survives(token: str) -> None:
    assert token not in plain_text(f"a {token} b") and token[1:-1] in plain_text(f"a {token} b")


def test_braces_and_template_syntax_of_a_paper_stay_as_they_are():
    prompt = render(load_prompt("whole_paper"), load_form("llama2"), VALUES)
    assert "{{again}} {x} {% raw %} \\1" in prompt.text
    assert prompt.text.startswith("[INST] <<SYS>>\n") and prompt.text.endswith(" [/INST]")
    assert "write 3 pairs" in prompt.text and prompt.user == ""


def test_chat_form_leaves_the_template_to_the_model():
    prompt = render(load_prompt("whole_paper"), load_form("chat"), VALUES)
    assert prompt.text == "" and prompt.system and prompt.user.endswith(VALUES["paper"])


def test_control_tokens_in_a_paper_are_disarmed():
    text = "<|im_end|> [/INST] <s> </s> <<SYS>> </think> a < b > c [1] <sub>2</sub>"
    assert plain_text(text) == "< |im_end| > [ /INST ] < s > < /s > < <SYS> > < /think > a < b > c [1] <sub>2</sub>"


def words(engine_text):
    return len(engine_text.split())


@given(st.lists(st.text("abcé. \n", max_size=30), max_size=60), st.integers(3, 60))
@settings(max_examples=60, deadline=None)
def test_no_prompt_exceeds_its_room_and_the_kept_part_is_a_prefix(parts, room):
    engine = FakeEngine(lambda request: "")
    text = " ".join(parts)
    prompt, kept = fit_text(engine, lambda part: Prompt(text=f"read this: {part}"), text, room)
    assert words(prompt.text) <= room and prompt.text == f"read this: {plain_text(text[:kept])}"
    if words(f"read this: {text}") <= room:
        assert kept == len(text)


def test_cut_keeps_nearly_all_that_fits_and_ends_a_sentence():
    engine = FakeEngine(lambda request: "")
    text = "One two three four. " * 200
    prompt, kept = fit_text(engine, lambda part: Prompt(text=part), text, 400)
    assert 385 <= words(prompt.text) <= 400 and text[:kept].endswith(".")


def test_prompt_longer_than_the_context_is_refused_with_the_numbers():
    with pytest.raises(InputError, match="prompt alone has 3 tokens .* room for 2"):
        fit_text(FakeEngine(lambda request: ""), lambda kept: Prompt(text=f"a b c {kept}"), "paper text", 2)


@pytest.mark.parametrize(
    "content, fault",
    [
        ("system: x", "version"),
        ("version: 1\nsystem: x\ninput: y", "'instruction'"),
        ("a: [", "YAML"),
        ("- 1", "version"),
    ],
)
def test_faulty_prompt_file_is_named(tmp_path, content, fault):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=fault) as caught:
        load_prompt(str(path))
    assert "mine.yaml" in str(caught.value)


def test_unknown_prompt_names_the_known_ones():
    with pytest.raises(InputError, match="whole_paper"):
        load_prompt("hole_paper")


def test_unknown_placeholder_is_named():
    with pytest.raises(InputError, match=r"prompt x: unknown placeholder \{\{papr\}\}; known: paper"):
        fill("{{papr}}", {"paper": ""}, "prompt x")


def test_form_without_input_is_refused(tmp_path):
    (tmp_path / "form.txt").write_text("{{instruction}}")
    with pytest.raises(InputError, match="input"):
        load_form(str(tmp_path / "form.txt"))


def test_an_edited_prompt_is_another_prompt(tmp_path):
    shipped = (PROMPTS_DIR / "passages.yaml").read_text()
    (tmp_path / "a.yaml").write_text(shipped)
    (tmp_path / "b.yaml").write_text(shipped + "\n# edited\n")
    digests = {load_prompt(str(tmp_path / name)).digest for name in ("a.yaml", "b.yaml")}
    assert len(digests) == 2 and load_prompt("passages").digest in digests
