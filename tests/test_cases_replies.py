"""Replies as models write them: LaTeX in JSON, and labels of other languages."""

import json
import time
from pathlib import Path

import pytest

from sciqag_lib.generation.parsing import parse_reply, split_keywords
from sciqag_lib.inference.judge import find_entries
from sciqag_lib.inference.latex_escapes import escape_latex
from sciqag_lib.inference.replies import read_answer as read_label
from sciqag_lib.text.scripts import ends_as_question

CASES = Path(__file__).parent / "cases"


def read_answer(answer: str) -> str:
    """What parse_reply makes of an answer whose JSON spelling is `answer`."""
    reply = parse_reply('{"pairs": [{"question": "How fast is the river?", "answer": "' + answer + '"}]}')
    assert reply.problems == []
    return reply.pairs[0].answer


def test_single_backslashes_of_a_json_reply_are_kept() -> None:
    reply = parse_reply((CASES / "latex_reply.txt").read_text(encoding="utf-8"))
    assert reply.problems == []
    assert [pair.answer for pair in reply.pairs] == [
        r"The ratio is 3 \times 10^{4} at \rho = 2, \nu = 5 and \theta = 1, with \text{pH} 7, \beta = 1 and "
        r"\frac{a}{b} \neq 0."
    ]


def test_line_breaks_and_tabs_of_a_json_reply_are_kept() -> None:
    reply = parse_reply((CASES / "json_newline.txt").read_text(encoding="utf-8"))
    assert [pair.answer for pair in reply.pairs] == ["First it settles.\nThen it is buried.\tBoth take a year."]


@pytest.mark.parametrize(
    "answer",
    [
        r"At \tau = 3 and \tilde{x}, \nabla T is \notin A.",
        r"\rho is low, \rm{m} and \rightarrow it falls.",
        r"A \bar{x}, \bf{b}, \forall x, \upsilon, \uparrow and \underline{x}.",
        r"It is 5\,\% at \Delta T, \{a\} and \mu m.",
        r"So \(x \ne y\) and $x\to\infty$ and $a \ni b$.",
        r"The viscosity \nu of silt is low.",
        r"The energy h\nu is high, E = h\nu.",
        r"As x \to 0 and y \to \infty, a \ne b and c \neg d hold.",
        r"The slope is \tan\theta or \tan x or \tan(x).",
        r"In ($\nu$) and (\nu, \tau) it is \textbf{high} \text {pH}.",
        r"3\times10^5 \triangleq \nu_{max} \neq\nu^2.",
        r"$2\nu = 5$ and $\top$ hold.",
    ],
)
def test_commands_with_one_backslash_stay_as_written(answer: str) -> None:
    assert read_answer(answer) == answer
    assert read_answer(answer.replace("\\", r"\\")) == answer


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (r"It settles.\nThen it is buried.", "It settles.\nThen it is buried."),
        (r"Two:\n\n- silt\n- sand", "Two:\n\n- silt\n- sand"),
        (r"a\tBoth\tThe\ttable\ttext\ttime", "a\tBoth\tThe\ttable\ttext\ttime"),
        (r"Silt.\r\nSand.\r\nreeds", "Silt.\r\nSand.\r\nreeds"),
        (r"Silt.\nnext\nnote\nrho\nonly\ntested", "Silt.\nnext\nnote\nrho\nonly\ntested"),
        (r"First.\nu is its speed.", "First.\nu is its speed."),
        (r"v = 3 m/s\nu = 5 m/s", "v = 3 m/s\nu = 5 m/s"),
        (r"where:\n\nu is its speed", "where:\n\nu is its speed"),
        (r"Areia\ne silte", "Areia\ne silte"),
        (r"a) silt\nb) sand\ne) reeds\ni) mud", "a) silt\nb) sand\ne) reeds\ni) mud"),
        (r"Silt \tan experiment", "Silt \tan experiment"),
        (r"It costs $5 and\ne costs $6.", "It costs $5 and\ne costs $6."),
        (r"At \\alpha and \\tau it rises \nu is low", "At \\alpha and \\tau it rises \nu is low"),
        (r"A \u0394 and \/ and \"b\" and \\ here", 'A \u0394 and / and "b" and \\ here'),
        (r"3 \times 10 at \\alpha.\nThen \\theta.", "3 \\times 10 at \\alpha.\nThen \\theta."),
        (r"A \\\\ b \\\times c", r"A \\ b \\times c"),
    ],
)
def test_line_breaks_tabs_and_doubled_backslashes(answer: str, wanted: str) -> None:
    assert read_answer(answer) == wanted


def test_keywords_and_judges_read_latex_alike() -> None:
    reply = parse_reply(r'{"keywords": ["\theta-phase", "\alpha"], "qa": [{"Q": "Is \tau low?", "A": "Yes."}]}')
    assert (reply.keywords, reply.pairs[0].question) == ([r"\theta-phase", r"\alpha"], r"Is \tau low?")
    found = find_entries(r'{"scores": [{"score": 3, "reasons": "Names \alpha and \times.\nGood."}]}', {"score"})
    assert found == [{"score": 3, "reasons": "Names \\alpha and \\times.\nGood."}]


def test_escapes_take_linear_time() -> None:
    for part in ("$\\nu", "\\(\\ne ", "\\n\\nu ", "\\\\", "\\[", "$ $a "):
        begin = time.perf_counter()
        escape_latex(part * 50_000)
        assert time.perf_counter() - begin < 3


def test_strict_json_comes_through_as_a_json_parser_reads_it() -> None:
    text = '\\alpha\\nu \\times 3.\nThen\tthe\nriver; \\text{pH}\n\n- silt \\\\ "x" / \u00e9 \U0001f9ea\r\n'
    assert json.loads(escape_latex(json.dumps({"A": text})))["A"] == text


# ---------------------------------------------------------------------------------------------- labels

ZH = [("河流的流速是多少？", "流速为3.5米每秒。"), ("为什么泥沙沉积？", "因为流速下降。")]
(ZQ1, ZA1), (ZQ2, ZA2) = ZH
FORMS = {
    "zh": f"问题1：{ZQ1}\n答案1：{ZA1}\n\n问题2：{ZQ2}\n答案2：{ZA2}",
    "zh, spaces, half-width colon": f"问题 1: {ZQ1}\n答案 1: {ZA1}\n问题 2: {ZQ2}\n答案 2: {ZA2}",
    "zh, no numbers": f"问：{ZQ1}\n答：{ZA1}\n问：{ZQ2}\n答：{ZA2}",
    "zh, numerals": f"问题一：{ZQ1}\n答案一：{ZA1}\n问题二：{ZQ2}\n答案二：{ZA2}",
    "zh, traditional": f"問題1：{ZQ1}\n回答1：{ZA1}\n問題2：{ZQ2}\n回答2：{ZA2}",
    "zh, brackets": f"【问题1】{ZQ1}\n【答案1】{ZA1}\n\n【问题2】：{ZQ2}\n【答案2】：{ZA2}",
    "zh, bold": f"**问题1：** {ZQ1}\n**答案1：** {ZA1}\n\n**问题2**：{ZQ2}\n**答案2**：{ZA2}",
    "zh, headings": f"### 问题 1\n{ZQ1}\n### 答案 1\n{ZA1}\n### 问题 2\n{ZQ2}\n### 答案 2\n{ZA2}",
    "zh, enumeration comma": f"问题1、{ZQ1}\n答案1、{ZA1}\n问题2、{ZQ2}\n答案2、{ZA2}",
    "zh, numbered lines": f"1、{ZQ1}\n答：{ZA1}\n2、{ZQ2}\n答：{ZA2}",
    "zh, numbered lines with full-width dots": f"１．{ZQ1}\n答案：{ZA1}\n２．{ZQ2}\n答案：{ZA2}",
    "zh, one line": f"问题1：{ZQ1}答案1：{ZA1}\n问题2：{ZQ2} 答案2：{ZA2}",
    "zh, no answer labels": f"问题1：{ZQ1}\n{ZA1}\n\n问题2：{ZQ2}\n{ZA2}",
    "zh, indented": f"\u3000\u3000问题1：{ZQ1}\n\u3000答案1：{ZA1}\n\u3000问题2：{ZQ2}\n\u3000答案2：{ZA2}",
    "full-width letters": f"Ｑ１：{ZQ1}\nＡ１：{ZA1}\nＱ２：{ZQ2}\nＡ２：{ZA2}",
    "full-width brackets": f"【Q1】{ZQ1}\n【A1】{ZA1}\n【Q2】{ZQ2}\n【A2】{ZA2}",
    "full-width digits": f"Q１：{ZQ1}\nA１：{ZA1}\nQ２：{ZQ2}\nA２：{ZA2}",
    "ja": f"質問1：{ZQ1}\n回答1：{ZA1}\n質問2：{ZQ2}\n回答2：{ZA2}",
    "ja, answer with okurigana": f"質問：{ZQ1}\n答え：{ZA1}\n質問：{ZQ2}\n答え：{ZA2}",
    "ja, ideographic space": f"問1\u3000{ZQ1}\n答1\u3000{ZA1}\n問2\u3000{ZQ2}\n答2\u3000{ZA2}",
    "ko": f"질문 1: {ZQ1}\n답변 1: {ZA1}\n질문 2: {ZQ2}\n답변 2: {ZA2}",
    "es": f"Pregunta 1: {ZQ1}\nRespuesta 1: {ZA1}\nPREGUNTA 2: {ZQ2}\nRESPUESTA 2: {ZA2}",
    "pt": f"**Pergunta:** {ZQ1}\n**Resposta:** {ZA1}\n**Pergunta:** {ZQ2}\n**Resposta:** {ZA2}",
    "fr": f"Question 1 : {ZQ1}\nRéponse 1 : {ZA1}\nQuestion 2 : {ZQ2}\nRéponse 2 : {ZA2}",
    "de": f"Frage 1: {ZQ1}\nAntwort 1: {ZA1}\nFrage 2: {ZQ2}\nAntwort 2: {ZA2}",
    "ru": f"Вопрос 1: {ZQ1}\nОтвет 1: {ZA1}\nВопрос 2: {ZQ2}\nОтвет 2: {ZA2}",
    "vi": f"Câu hỏi 1: {ZQ1}\nTrả lời 1: {ZA1}\nCâu hỏi 2: {ZQ2}\nCâu trả lời 2: {ZA2}",
    "ar": f"السؤال 1: {ZQ1}\nالجواب 1: {ZA1}\nسؤال 2: {ZQ2}\nإجابة 2: {ZA2}",
    "fr, narrow spaces": f"Question\u00a01\u202f: {ZQ1}\nRéponse\u00a01\u00a0: {ZA1}\nQ2\u00a0: {ZQ2}\nA2\u00a0: {ZA2}",
    "fr, letters": f"Q1 : {ZQ1}\nR1 : {ZA1}\n\nQ2 : {ZQ2}\nR2 : {ZA2}",
    "es, letters": f"**P1:** {ZQ1}\n**R1:** {ZA1}\n\n**P2:** {ZQ2}\n**R2:** {ZA2}",
    "de, letters": f"F1: {ZQ1}\nA1: {ZA1}\nF2: {ZQ2}\nA2: {ZA2}",
    "table": f"| 编号 | 问题 | 答案 |\n|---|---|---|\n| 1 | {ZQ1} | {ZA1} |\n| 2 | {ZQ2} | {ZA2} |",
    "json": json.dumps([{"问题": ZQ1, "答案": ZA1}, {"问题": ZQ2, "答案": ZA2}], ensure_ascii=False),
    "json, numbers": json.dumps(
        {"质问": 1, "質問1": ZQ1, "回答1": ZA1, "質問2": ZQ2, "回答2": ZA2}, ensure_ascii=False
    ),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_labels_of_other_languages(text: str) -> None:
    reply = parse_reply(text)
    assert [(pair.question, pair.answer) for pair in reply.pairs] == ZH
    assert reply.problems == []


@pytest.mark.parametrize(
    "label",
    [
        "关键词：", "關鍵詞: ", "关键字：", "【关键词】", "**关键词**：", "キーワード：", "키워드: ", "핵심어: ",
        "Palabras clave: ", "Palavras-chave: ", "PALAVRAS-CHAVE: ", "Mots-clés : ", "Mots clés: ", "Schlüsselwörter: ",
        "Ключевые слова: ", "Parole chiave: ", "Từ khóa: ", "Keywords：",
    ],
)  # fmt: skip
def test_keyword_labels_of_other_languages(label: str) -> None:
    reply = parse_reply(f"{label}河流、流速；1,2-二氯乙烷，泥沙。\n\n问题1：{ZQ1}\n答案1：{ZA1}")
    assert reply.keywords == ["河流", "流速", "1,2-二氯乙烷", "泥沙"]
    assert [(pair.question, pair.answer) for pair in reply.pairs] == ZH[:1]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("河流,湖泊,流速", ["河流", "湖泊", "流速"]),
        ("核磁（氢，碳）、光谱", ["核磁（氢，碳）", "光谱"]),
        ("・河流\n・湖泊", ["河流", "湖泊"]),
        ("1、河流\n2、湖泊", ["河流", "湖泊"]),
        ("α,β-unsaturated, N,N-dimethyl", ["α,β-unsaturated", "N,N-dimethyl"]),
    ],
)
def test_keywords_in_full_width(line: str, wanted: list[str]) -> None:
    assert split_keywords(line) == wanted


def test_letters_in_an_answer_are_no_labels() -> None:
    answer = "Two parts:\nP1: the pump\nR1: the resistor"
    reply = parse_reply(f"Q1: Which parts?\nA1: {answer}")
    assert [pair.answer for pair in reply.pairs] == [answer]


def test_json_keywords_in_chinese() -> None:
    reply = parse_reply(json.dumps({"关键词": "河流、泥沙", "问答": [{"问": ZQ1, "答": ZA1}]}, ensure_ascii=False))
    assert reply.keywords == ["河流", "泥沙"]
    assert [(pair.question, pair.answer) for pair in reply.pairs] == ZH[:1]


@pytest.mark.parametrize(
    "answer",
    [
        "两种状态：\n问题：水少。\n答：无。",
        "其中：\n1、泥沙\n2、水",
        "见下：\n问\n答",
        "A frase é boa.\nFrage dich nicht.\nRespuesta inmune: alta.",
    ],
)
def test_words_in_an_answer_are_no_labels(answer: str) -> None:
    reply = parse_reply(f"问题1：{ZQ1}\n答案1：{answer}\n问题2：{ZQ2}\n答案2：{ZA2}")
    assert [pair.answer for pair in reply.pairs] == [answer, ZA2]


@pytest.mark.parametrize(
    "label", ["答案：", "答：", "【答案】", "回答: ", "Respuesta: ", "**Antwort:** ", "Answer: ", "A: "]
)
def test_an_answers_label_is_left_out(label: str) -> None:
    assert read_label(f"{label}流速下降。") == "流速下降。"


def test_an_answer_that_begins_like_a_label_is_whole() -> None:
    for text in ("答案在于流速。", "Antwort der Zelle: hoch", "A river: it flows."):
        assert read_label(text) == text


@pytest.mark.parametrize("mark", ["?", "？", "؟", "?”", "？」", "?)", "？）", "？”", "?»", "?**", "? "])
def test_marks_that_end_a_question(mark: str) -> None:
    assert ends_as_question(f"What is it{mark}")
    assert not ends_as_question(f"What is it{mark} It is.")
