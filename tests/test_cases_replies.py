"""Replies and sentences of other kinds than English plain text: LaTeX in JSON, other scripts, captions."""

import json
import time
from pathlib import Path

import pytest
from test_strategies import drive

from sciqag_lib.checks.duplicates import digest_question
from sciqag_lib.checks.grounding import check_numbers, find_evidence
from sciqag_lib.checks.questions import is_not_question, is_not_self_contained
from sciqag_lib.checks.rules import check_pair, is_duplicate, is_empty_talk
from sciqag_lib.dataset.lm_eval_task import score_texts
from sciqag_lib.generation.evidence_first import find_sentences, load_kinds
from sciqag_lib.generation.parsing import parse_reply, split_keywords
from sciqag_lib.generation.recipe import make_recipe
from sciqag_lib.inference.judge import find_entries
from sciqag_lib.inference.latex_escapes import escape_latex
from sciqag_lib.inference.replies import read_answer as read_label
from sciqag_lib.metrics.text_overlap import WordScorer
from sciqag_lib.records.papers import Paper, QAPair
from sciqag_lib.text.captions import find_captions
from sciqag_lib.text.quantities import find_quantities
from sciqag_lib.text.scripts import count_words, ends_as_question
from sciqag_lib.text.sentences import list_content_words, list_words, split_sentences

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


# ---------------------------------------------------------------------------------------------- sentences and words


@pytest.mark.parametrize(
    "sentences",
    [
        ["河流的流速为3.5米。", "温度升高！", "为什么？", "因为水少。"],
        ["他问：“为什么？”", "她答：“不知道。”", "结束。"],
        ["他问“为什么？”的时候，水少。", "好。"],
        ["《为什么？》是一本书。", "真的？！", "对！！"],
        ["「測定した。」", "その後、乾燥した（図１参照。）。", "次に測る．"],
        ["「何？」と聞いた。", "値は３．５である．", "次"],
        ["流速下降（见图1。泥沙增多。）。", "然后上升。"],
        ["流速下降。[3]", "温度[4,5]升高。", "(见图1。)", "结束。"],
        ["等等……然后下降。", "最后。"],
        ["測定した｡", "次に乾燥した｡"],
        ["温度升高.", "然后下降."],
    ],
    ids=lambda sentences: sentences[0],
)
def test_sentences_without_spaces(sentences: list[str]) -> None:
    text = "".join(sentences)
    assert [text[start:end] for start, end in split_sentences(text)] == sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["The rate fell.", "河流很快。", "It rose again.", "河流"],
        ["値は3.5 m/sである。", "Fig. 3に示す。", "H. pyloriは細菌である。"],
        ["강은 빠르다.", "유속은 3.5 m/s이다.", "왜인가?"],
        ["यह नदी है।", "पानी बहता है।", "क्या?"],
        ["هل هذا؟", "نعم.", "انتهى."],
        ["یہ دریا ہے۔", "پانی بہتا ہے۔"],
    ],
    ids=lambda sentences: sentences[0],
)
def test_sentences_of_other_scripts_and_mixed_ones(sentences: list[str]) -> None:
    text = " ".join(sentences)
    assert [text[start:end] for start, end in split_sentences(text)] == sentences


@pytest.mark.parametrize("part", ["河流很快。", "河", "「。」", "．３", "河…", "河.", "（。", "。[1", "。”的", "你？"])
def test_text_without_spaces_takes_linear_time(part: str) -> None:
    begin = time.perf_counter()
    text = part * (150_000 // len(part))
    split_sentences(text)
    list_content_words(text)
    find_quantities(text)
    assert time.perf_counter() - begin < 3


def test_words_without_spaces() -> None:
    assert list_words("TiO2薄膜的带隙是3.5 eV") == ["tio2", "薄膜", "的", "带隙", "是", "3.5", "ev"]
    assert list_content_words("河流的流速为什么下降？") == ["河流", "流速", "下降"]
    assert list_content_words("データを測定した") == ["データ", "測定"]
    assert list_content_words("유속은 빠르다") == ["유속", "속은", "빠르", "르다"]
    assert (count_words("河流的流速 is high"), count_words("It is high")) == (5, 3)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("流速为3.5米，温度25°C时为３．５ mg/L", [("3.5", ""), ("25", "C"), ("３．５", "mg L-1")]),
        ("从5到10 mg、上升到10％", [("5", "mg"), ("10", "mg"), ("10", "%")]),
        ("5～10 mg", [("5", "mg"), ("10", "mg")]),
        ("約3.5×10^5個、PM2.5とIL-6", [("3.5×10^5", "")]),
        ("2023년 유속은 3.5 m/s이다", [("2023", ""), ("3.5", "m s-1")]),
    ],
)
def test_numbers_without_spaces(text: str, wanted: list[tuple[str, str]]) -> None:
    assert [(found.text, " ".join(found.unit)) for found in find_quantities(text)] == wanted


# ---------------------------------------------------------------------------------------------- checks

ZH_TEXT = (
    "引言\n长江中游的河流流速在夏季为3.5 m/s，冬季为1.2 m/s。泥沙沉积主要由流速下降引起，因为水流的搬运能力减弱。"
    "芦苇根系能够吸收水中的镉，使镉浓度降低了40%。\n结果\n水温升高时，溶解氧浓度由9 mg/L降至6 mg/L。"
    "藻类在春季大量繁殖，这与磷的输入有关。"
)


def judge_pair(question: str, answer: str, accepted: list[str] = ()) -> str:
    return check_pair(QAPair(question, answer), ZH_TEXT, [QAPair(other, "是。") for other in accepted])


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("长江中游的河流流速在夏季是多少？", "夏季的河流流速为3.5 m/s。", ""),
        ("泥沙沉积的主要原因是什么？", "主要原因是流速下降，水流的搬运能力减弱。", ""),
        ("芦苇根系能否吸收水中的镉？", "是的，芦苇根系能够吸收镉，使其浓度下降40%。", ""),
        ("「溶解氧浓度如何随水温变化？」", "水温升高时，溶解氧浓度降至6 mg/L。", ""),
        ("长江中游的河流流速在夏季是多少？", "夏季的河流流速为4.5 m/s。", "wrong_number"),
        ("泥沙沉积的主要原因是什么？", "主要原因是地震造成的山体滑坡与火山喷发。", "unsupported"),
        ("泥沙沉积的主要原因。", "主要原因是流速下降。", "not_a_question"),
        ("为什么？", "流速下降。", "not_a_question"),
        ("本文研究了什么河流的流速？", "长江中游的河流流速。", "not_self_contained"),
        ("图2中的河流流速是多少？", "流速为3.5 m/s。", "not_self_contained"),
        ("泥沙沉积由流速下降引起吗，还是什么？", "文中未提及。", "not_self_contained"),
        ("藻类繁殖的地点在什么地方？", "没有提到。", "empty_talk"),
        ("什么使泥沙沉积主要由流速下降引起？", "泥沙沉积主要由流速下降引起。", "copies_answer"),
    ],
)
def test_chinese_pairs_are_judged(question: str, answer: str, reason: str) -> None:
    assert judge_pair(question, answer) == reason


def test_chinese_duplicates() -> None:
    asked = "长江中游的河流流速在夏季是多少？"
    assert is_duplicate("长江中游的河流流速在夏季为多少?", [asked])
    assert not is_duplicate("长江中游的河流流速在冬季是多少？", [asked])
    assert digest_question("流速是多少？") == digest_question("流速是多少?")


@pytest.mark.parametrize(
    ("question", "bad"),
    [
        ("流速の変化は何によって起こるか？", False),
        ("溶存酸素はなぜ減少しますか？」", False),
        ("유속은 왜 감소하는가?", False),
        ("¿Cuántos loci se genotiparon?", False),
        ("Em que temperatura o filme foi recozido?", False),
        ("Pourquoi la vitesse de la rivière diminue-t-elle ?", False),
        ("In welchem Monat sinkt der Sauerstoff?", False),
        ("Почему скорость реки падает?", False),
        ("What is the value of the flow (in m/s？)", False),
        ("Which word means flow in the paper of 河流?", False),
        ("The river 河流 is fast?", True),
        ("Nitrogen narrows the gap?", True),
        ("Comment on the flow of the river?", True),
        ("[question]是什么样的河流？", False),
    ],
)
def test_questions_of_other_languages(question: str, bad: bool) -> None:
    assert is_not_question(question) is bad


@pytest.mark.parametrize(
    "text", ["日本文化の特徴は何ですか？", "这代表三种河流吗？", "英文中的河流是什么？", "样本研究的目的？"]
)
def test_words_that_only_look_like_the_paper(text: str) -> None:
    assert not is_not_self_contained(text, "")


@pytest.mark.parametrize(
    "text", ["本研究の目的は何か？", "著者は何を測定したか？", "表 3 的流速？", "이 연구의 목적은?", "如图１所示？"]
)
def test_words_that_lean_on_the_paper(text: str) -> None:
    assert is_not_self_contained(text, "")


def test_shared_words_are_counted_in_scripts_without_spaces() -> None:
    for score in (WordScorer().score, score_texts):
        found = score("流速为3.5米", "流速是3.5 m")
        assert found["token_f1"] == pytest.approx(2 * 3 / (5 + 5))  # 流, 速, 3.5


def test_refusals_in_japanese_and_korean() -> None:
    assert is_empty_talk("流速は？", "論文には記載されていない。")
    assert is_empty_talk("유속은?", "알 수 없습니다.")
    assert not is_empty_talk("流速は何ですか？", "流速は3.5 m/sである。")


def test_evidence_and_numbers_of_a_chinese_answer() -> None:
    [(start, end)], [support] = find_evidence("镉浓度因芦苇根系吸收而下降40%。", ZH_TEXT)
    assert ZH_TEXT[start:end] == "芦苇根系能够吸收水中的镉，使镉浓度降低了40%。"
    assert support > 0.5
    assert [number["found"] for number in check_numbers("由9 mg/L降至5 mg/L", ZH_TEXT)] == [True, False]


@pytest.mark.parametrize("strategy", ["whole_paper", "passages"])
def test_a_chinese_paper_gives_pairs_with_evidence(strategy: str) -> None:
    paper = Paper("10.1/zh", ZH_TEXT, ["河流", "泥沙"], title="长江中游的泥沙")
    reply = (
        "关键词：河流、泥沙\n\n问题1：长江中游的河流流速在夏季是多少？\n答案1：夏季的河流流速为3.5 m/s。\n\n"
        "问题2：泥沙沉积的主要原因是什么？\n答案2：主要原因是地震造成的山体滑坡与火山喷发。\n\n"
        "问题3：溶解氧浓度在水温升高时如何变化？\n答案3：水温升高时，溶解氧浓度由9 mg/L降至6 mg/L。"
    )
    _, outcome = drive(strategy, lambda *_: reply, paper, n_qa=3)
    evidence = [[ZH_TEXT[start:end] for start, end in pair.evidence] for pair in outcome.pairs]
    assert evidence == [
        ["长江中游的河流流速在夏季为3.5 m/s，冬季为1.2 m/s。"],
        ["水温升高时，溶解氧浓度由9 mg/L降至6 mg/L。"],
    ]
    assert [pair.origin for pair in outcome.pairs] == ["generated", "extracted"]
    assert outcome.rejected["unsupported"] >= 1


# ---------------------------------------------------------------------------------------------- captions


@pytest.mark.parametrize(
    "sentences",
    [
        [
            "Figure 2.",
            "(A) Growth in broth.",
            "No growth was seen in LB.",
            "(F) Sterilization of LB.",
            "LB, lysogeny broth.",
        ],
        ["(A) Loss of p53-RHAMM.", "Lysates were blotted for GST.", "(B–D) The same for 16 h.", "(E, F) Controls."],
        ["(a) Growth at ELISA.", "After 48 h, cells fell.", "(b) Controls as in (a) and (C)."],
        ["Data are mean ± SEM.", "(C) Controls in K.", "(D) Others."],
        ["(A) Shells of Conus sp. 3 and Conus spp. 5 were found.", "Conus sp. is old."],
    ],
    ids=lambda sentences: sentences[1],
)
def test_panels_of_a_caption_are_sentences_of_their_own(sentences: list[str]) -> None:
    text = " ".join(sentences)
    assert [text[start:end] for start, end in split_sentences(text)] == sentences


CAPTIONS = [
    "Figure 2. Growth", "Fig. 2: Growth", "FIG. 2 | Growth", "Fig 2 Growth of cells", "Table 1. Growth rates",
    "Table S1. Growth", "TABLE II. Growth", "Table 1 Summary of growth", "Supplementary Figure 3. Growth",
    "Extended Data Fig. 1 | Growth", "Scheme 1. Growth", "Box 1. Growth", "S1 Fig. Growth", "Figure 4-1. Growth",
    "**Table 2.** Growth", "Abbildung 3: Growth", "Tabelle 2. Growth", "Figura 1. Growth", "Tabla 1. Growth",
    "Tabela 2 – Growth", "Tableau 1. Growth", "Рисунок 1. Growth", "Таблица 2. Growth", "图1 河流的流速", "表2：流速",
    "図３　河川", "표 1. 유속", "Figure 7", "Appendix Table A1. Growth",
]  # fmt: skip


@pytest.mark.parametrize("line", CAPTIONS)
def test_captions_in_plain_text(line: str) -> None:
    text = f"It grew.\n{line}\nIt fell."
    assert [text[start:end] for start, end in find_captions(text)] == [line]


@pytest.mark.parametrize(
    "line",
    [
        "Figure 2 shows that growth rose.", "Fig. 6 A shows growth.", "Table 1 lists growth.",
        "Figs. 5A–5D show growth.",
        "Table 2 and Figure 3 show growth.", "Figures show growth.", "Data from 2 rivers grew.", "Text 5 times longer.",
        "Box plots 2. Growth", "表面上升。", "图书馆", "S1 Text (Section 5) proposes growth.",
        "Fig. 2, A and B, shows growth.", "Tab 3 times daily.",
    ],
)  # fmt: skip
def test_lines_that_only_name_a_figure(line: str) -> None:
    assert find_captions(f"It grew.\n{line}\nIt fell.") == []


FACT = "The growth of the mutant strain was limited by the iron content of the river water."


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Table 1. ", ""),
        ("Figure 2. (A) ", " LB, lysogeny broth."),
        ("图1　", ""),
        ("(B) ", ""),
        ("Left panel: ", ""),
        ("* ", ""),
        ("LB, lysogeny broth; WT, wild type; ", ""),
        ("Strain | ", ""),
        ("| ", " |"),
    ],
)
def test_captions_and_their_parts_are_no_answers(before: str, after: str) -> None:
    assert find_answers(f"Growth\n{before}{FACT}{after}\nThe end came.") == []


def test_an_answer_beside_a_caption_is_without_its_parts() -> None:
    text = (
        f"Table 1. Growth rates.\nThis fell. {FACT}\nMutant strains\nTable 1 shows it. {FACT.replace('strain', 'line')}"
    )
    assert find_answers(text) == [FACT, FACT.replace("strain", "line")]


def find_answers(text: str) -> list[str]:
    kinds = load_kinds(make_recipe("evidence_first", context_size=2048).prompt)
    return [sentence.answer for sentence in find_sentences(Paper("10.1/x", text, []), kinds)]


def test_captions_take_linear_time() -> None:
    for part in ("Figure 1. a\n", "Figure ", "(A) ", "图1", "S1 Fig", "| ", " | \n", "Table 1 Aa"):
        begin = time.perf_counter()
        text = part * (150_000 // len(part))
        find_captions(text)
        split_sentences(text)
        assert time.perf_counter() - begin < 3
