"""Sentences, words, numbers and checks of text in other scripts and languages than English."""

import time

import pytest
from test_strategies import drive

from sciqag_lib.checks.duplicates import digest_question
from sciqag_lib.checks.grounding import check_numbers, find_evidence
from sciqag_lib.checks.questions import is_not_question, is_not_self_contained
from sciqag_lib.checks.rules import check_pair, is_duplicate, is_empty_talk
from sciqag_lib.dataset.lm_eval_task import score_texts
from sciqag_lib.metrics.text_overlap import WordScorer
from sciqag_lib.records.papers import Paper, QAPair
from sciqag_lib.text.quantities import find_quantities
from sciqag_lib.text.scripts import count_words
from sciqag_lib.text.sentences import list_content_words, list_words, split_sentences


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
    assert list_content_words("유속은 수온보다 카드뮴을 흡수하여") == ["유속", "수온", "카드", "드뮴", "흡수"]
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


JA_TEXT = (
    "夏季の長江の流速は3.5 m/sであった。土砂の堆積は主に流速の低下によって起こる。"
    "水温が上昇すると、溶存酸素濃度は9 mg/Lから6 mg/Lに減少した。"
)
KO_TEXT = (
    "여름철 강의 유속은 3.5 m/s였다. 토사의 퇴적은 주로 유속 감소로 인해 발생한다. "
    "갈대 뿌리는 카드뮴을 흡수하여 농도를 40% 낮추었다."
)


@pytest.mark.parametrize(
    ("text", "question", "answer", "reason"),
    [
        (JA_TEXT, "土砂の堆積は何によって起こるか？", "流速が低下することで土砂が堆積する。", ""),
        (JA_TEXT, "土砂の堆積は何によって起こるか？", "地震による斜面崩壊と火山の噴火が原因である。", "unsupported"),
        (JA_TEXT, "長江の流速はいくつか？", "流速は4.5 m/sである。", "wrong_number"),
        (KO_TEXT, "토사의 퇴적은 무엇으로 인해 발생하는가?", "유속이 감소하여 토사가 퇴적된다.", ""),
        (KO_TEXT, "토사의 퇴적은 무엇으로 인해 발생하는가?", "지진과 화산 폭발이 원인이다.", "unsupported"),
        (KO_TEXT, "여름철 강의 유속은 얼마인가?", "유속은 4.5 m/s이다.", "wrong_number"),
    ],
)
def test_japanese_and_korean_pairs_are_judged(text: str, question: str, answer: str, reason: str) -> None:
    assert check_pair(QAPair(question, answer), text, []) == reason


def test_a_rise_is_no_fall_in_chinese() -> None:
    assert find_evidence("镉浓度上升。", "镉浓度下降。")[1] < find_evidence("镉浓度降低。", "镉浓度下降。")[1]


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
