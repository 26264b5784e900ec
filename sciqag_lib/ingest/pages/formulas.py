"""Formulas of a web page made plain before its text is read: one element of text or MathML for each.

    <span class="katex"><span class="katex-mathml"><math>...        its MathML, without what is drawn beside it
    <mjx-container><svg/><mjx-assistive-mml><math>...               its MathML
    <script type="math/tex">x^2</script>                            its TeX
    <img class="inline-formula" alt="n = 5">, <svg aria-label="x=1">  the words "n = 5", "x=1"
    <svg> in running text, an image of a formula without words      "[formula]", counted in `cut`

An SVG is no formula where it is hidden, an icon, in a link or a button, or has no words beside it.
"""

import re
from collections import Counter
from typing import Any

from lxml import etree
from lxml import html as lxml_html

from sciqag_lib.ingest.pages.tags import drop_controls
from sciqag_lib.ingest.running_text.inline import NO_FORMULA
from sciqag_lib.ingest.running_text.mathml import tex_text
from sciqag_lib.ingest.running_text.nodes import local_name

_RENDERED = re.compile(r"katex|mathjax(?:_svg|_chtml|_display|_preview)?|mwe-math-element|mjx-chtml", re.IGNORECASE)
_FORMULA = re.compile(r"formula|equation|inline-graphic|mwe-math|mathjax|\bmath\b")  # in a class
_FORMULA_FILE = re.compile(r"math|tex2gif|formula|equation|latex|(?:^|[^a-z])i?eqn?[-_]?\d|mml", re.IGNORECASE)
_FILE = re.compile(r"\S+\.(?:gif|png|jpe?g|svg|webp|tiff?)|https?://\S+", re.IGNORECASE)
_NO_WORDS = re.compile(
    r"(?:an? |the |inline |display(?:ed)? |math(?:ematical)? )*(?:graphic|formulas?|equations?|image|eqn?|expression"
    r"|math|unfig|img)?(?: image)?[\s.()\d]*",
    re.IGNORECASE,
)
_SIGNS = re.compile(r"[=<>≤≥≈≠±×÷∑∫√∞∂∇^_\\∈→−∼α-ωΔΓΛΣΦΨΩ]|^\W*[A-Za-z]['′]?\W*$")
_ICON = re.compile(r"icon|logo|badge|sprite|arrow|button|orcid|\bfa-")
_LINES = frozenset("p li td th dd dt figcaption caption h1 h2 h3 h4 h5 h6".split())
_NOTED = "data-line"
_NOT_TEXT = frozenset("a button label nav figure picture header footer aside head".split())


def set_formulas(root: Any, cut: Counter[str]) -> None:
    """Replace every formula below `root` by MathML or by text."""
    for node in [node for node in root.iter(etree.Element) if _is_rendered(node)]:
        if node.getparent() is not None:
            _set_rendered(node)
    for node in list(root.iter("script")):
        _set_script(node)
    for node in list(root.iter("svg", "img")):
        text = _read_svg(node) if node.tag == "svg" else _read_image(node)
        if text == NO_FORMULA:
            cut["formulas that are images (number)"] += 1
        if text:
            _replace(node, _make("span", f" {text} " if node.tag == "img" else text))


def _is_rendered(node: Any) -> bool:
    names = node.get("class", "").split()
    return node.tag == "mjx-container" or any(_RENDERED.fullmatch(name) for name in names)


def _set_rendered(node: Any) -> None:
    """One <math> instead of what a script has drawn; the TeX beside it goes where there is one."""
    math = next(node.iter("math"), None)
    if math is None:
        markup = next((part.get("data-mathml") for part in node.iter() if part.get("data-mathml")), "")
        math = _parse_math(markup)
    script = node.getnext()
    has_script = script is not None and script.tag == "script" and script.get("type", "").startswith("math/")
    if math is not None:
        math.tail = None
        _replace(node, math)
        if has_script:
            _replace(script, _make("span", ""))
    elif has_script:
        _replace(node, _make("span", ""))


def _set_script(node: Any) -> None:
    kind = node.get("type", "")
    if kind.startswith("math/tex"):
        _replace(node, _make("tex-math", node.text or ""))
    elif kind.startswith("math/mml"):
        math = _parse_math(node.text or "")
        if math is not None:
            _replace(node, math)


def _parse_math(markup: str) -> Any:
    if "<math" not in markup:
        return None
    return next(lxml_html.fragment_fromstring(markup, create_parent="div").iter("math"), None)


def _make(name: str, text: str) -> Any:
    node = etree.Element(name)
    node.text = drop_controls(text)
    return node


def _replace(node: Any, new: Any) -> None:
    new.tail = drop_controls(node.tail)
    node.getparent().replace(node, new)


def _read_image(node: Any) -> str:
    """The words of a formula that is an image, "[formula]", or "" where it is none."""
    words = node.get("alt", "")
    text = "" if _FILE.fullmatch(words.strip()) else tex_text(words)
    has_signs = _SIGNS.search(text) is not None and len(text) <= 500
    file = node.get("src", "").split("?")[0].rsplit("/", 1)[-1]
    if not _looks_like_formula(node) and not (_FORMULA_FILE.search(file) and _is_in_text(node)):
        return text if has_signs and _is_in_text(node) else ""
    if has_signs or (not _NO_WORDS.fullmatch(text) and len(text.split()) <= 3):
        return text
    return NO_FORMULA


def _read_svg(node: Any) -> str:
    is_formula = _looks_like_formula(node)
    labels = [node.get("aria-label", ""), node.get("data-tex", ""), node.get("data-latex", "")]
    labels += ["".join(part.itertext()) for part in node if local_name(part) in ("title", "desc")]
    label = next((tex_text(text) for text in labels if _SIGNS.search(text.strip())), "")
    if label and (is_formula or _is_in_text(node)):
        return label
    named = any(label.strip() for label in labels)  # "Open in a new tab"
    return NO_FORMULA if is_formula or (_is_in_text(node) and not named and not _is_icon(node)) else ""


def _looks_like_formula(node: Any) -> bool:
    parents = [node, node.getparent(), node.getparent().getparent()]
    return any(part is not None and _FORMULA.search(part.get("class", "").lower()) for part in parents)


def _is_icon(node: Any) -> bool:
    names = " ".join((node.get("class", ""), node.get("id", ""), node.getparent().get("class", ""))).lower()
    hidden = node.get("aria-hidden") == "true" or node.get("role") == "presentation" or node.get("hidden") is not None
    return hidden or _ICON.search(names) is not None or next(node.iter("use"), None) is not None


def _is_in_text(node: Any) -> bool:
    """Whether there are words beside it in its line, and neither a link nor a figure holds it."""
    parent = node.getparent()
    while parent is not None and parent.tag not in _LINES:
        if parent.tag in _NOT_TEXT:
            return False
        if parent.tag in ("div", "section", "article", "body", "main"):
            before = node.getprevious()
            beside = (before.tail if before is not None else parent.text) or ""
            return node.getparent() is parent and bool((beside + (node.tail or "")).strip())
        parent = parent.getparent()
    return parent is not None and _has_words(parent)


def _has_words(line: Any) -> bool:
    """Whether a line holds words; noted in the tree, which is asked for each of a line's many images."""
    noted = line.get(_NOTED)
    if noted is None:
        noted = "words" if any(text.strip() for text in line.itertext()) else "none"
        line.set(_NOTED, noted)
    return noted == "words"
