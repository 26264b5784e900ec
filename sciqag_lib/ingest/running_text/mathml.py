"""Formulas as one line of text: MathML (as in JATS and HTML5) and TeX, close to how one types them.

<msup><mn>10</mn><mn>5</mn></msup>  ->  10^5
<mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac>  ->  a/(b + 1)
"""

import re
from typing import Any

from sciqag_lib.ingest.running_text.nodes import child_elements, local_name, resolve_entity

_ACCENTS = {"^": "hat", "ˆ": "hat", "̂": "hat", "~": "tilde", "˜": "tilde", "¯": "bar", "‾": "bar", "_": "bar",
            "→": "vec", "⃗": "vec", "˙": "dot", ".": "dot", "¨": "ddot",
            "\u0303": "tilde", "\u0304": "bar", "\u0305": "bar", "\u0307": "dot", "\u0308": "ddot"}  # fmt: skip
# Operators written without spaces around them, or with one after: the rest ("=", "+", "<") get both.
_TIGHT = set("()[]{}|‖⌈⌉⌊⌋〈〉⟨⟩!'′″.:/_^%°∂∇√∑∏∫\u2061\u2062\u2063\u2064")
_FRACTION_END = "\u2005"  # after a fraction: a space where a factor follows, 1/V ∑x, that is not below the line
_END = "\u2006"  # after a script: a space where a letter or digit follows, x_i y
_INVISIBLE = {"\u2061": "", "\u2062": " ", "\u2063": "", "\u2064": ""}


def mathml_text(math: Any) -> str:
    """A <math> element (or any part of one) as one line of text."""
    text = re.sub(rf"{_END}(?=[^\W_])|{_FRACTION_END}{_END}*(?=[\w(∑∏∫√∂∇])", " ", _math(math))
    text = re.sub(r"\s+", " ", text.replace(_END, "").replace(_FRACTION_END, "")).strip()
    text = re.sub(r"\s?: =", " :=", text)
    return re.sub(r"((?:^|[=<>≤≥≈≡∼∈→(\[{,;])\s?)([−+-]) (?=[^\s=])", r"\1\2", text)  # a sign, not an operator


def _math(node: Any) -> str:
    name = local_name(node)
    if name in ("mi", "mn", "mtext", "ms"):
        text = _token(node)
        return f" {text} " if name == "mi" and len(text) > 1 and text.isalpha() else text  # "log", "threshold"
    if name == "mo":
        return _operator(_token(node).strip())
    if name in ("annotation", "annotation-xml", "maligngroup", "malignmark", "mphantom", "none", "mprescripts"):
        return ""
    if name == "mspace":
        return " "
    parts = [_math(child) for child in child_elements(node)]
    layout = _LAYOUTS.get(name)
    if layout and len(parts) >= layout[0]:
        return layout[1](node, parts)
    return "".join(parts)


def _token(node: Any) -> str:
    text = node.text or ""
    for child in node:
        text += resolve_entity(child) + (child.tail or "")
    return text.strip() if local_name(node) != "mtext" else text


def _operator(sign: str) -> str:
    if sign in _INVISIBLE:
        return _INVISIBLE[sign]
    if sign in (",", ";"):
        return sign + " "
    return sign if not sign or set(sign) <= _TIGHT else f" {sign} "


def wrap(text: str) -> str:
    """Brackets around anything that is not a single symbol, number or already bracketed."""
    text = re.sub(r"^([−+-])\s+", r"\1", text.strip())
    if re.fullmatch(r"[−+-]?[\w.∞′'*†∗]+|\([^()]*\)|[^\s\w]", text) or not text:
        return text
    return f"({text})"


def _fraction(node: Any, parts: list[str]) -> str:
    return f"{wrap(parts[0])}/{wrap(parts[1])}{_FRACTION_END}"


def _script(base: str, below: str, above: str) -> str:
    below, above = below.strip(), above.strip()
    if above in ("′", "″", "'"):
        below, above, base = below, "", base + above
    # x_(i_0) is not x_i_0: an index that has one itself is bracketed
    below, above = (f"({part})" if re.fullmatch(r"[^()]*_.*", part) else part for part in map(wrap, (below, above)))
    return base.rstrip() + (f"_{below}" if below else "") + (f"^{above}" if above else "") + _END


def _over(base: str, above: str) -> str:
    accent = _ACCENTS.get(above.strip())
    return f"{accent}({base.strip()})" if accent else _script(base, "", above)


def _under_over(node: Any, parts: list[str]) -> str:
    return _script(parts[0], parts[1], parts[2]) + " "


def _fenced(node: Any, parts: list[str]) -> str:
    separators = node.get("separators", ",").strip()
    joined = f"{separators[:1]} ".join(part.strip() for part in parts) if separators else "".join(parts)
    return node.get("open", "(") + joined + node.get("close", ")")


def _table(node: Any, parts: list[str]) -> str:
    rows = [part.strip() for part in parts if part.strip()]
    return "".join(row + (" " if row.endswith((".", ",", ";", ":")) else "; ") for row in rows).rstrip("; ")


def _row(node: Any, parts: list[str]) -> str:
    return " ".join(part.strip() for part in parts if part.strip())


_LAYOUTS = {  # by element: children it needs, and how they are put together
    "mfrac": (2, _fraction),
    "msup": (2, lambda node, parts: _script(parts[0], "", parts[1])),
    "msub": (2, lambda node, parts: _script(parts[0], parts[1], "")),
    "msubsup": (3, lambda node, parts: _script(*parts[:3])),
    "munder": (2, lambda node, parts: _script(parts[0], parts[1], "") + " "),
    "mover": (2, lambda node, parts: _over(*parts[:2])),
    "munderover": (3, _under_over),
    "msqrt": (1, lambda node, parts: f"sqrt({''.join(parts).strip()})"),
    "mroot": (2, lambda node, parts: f"root_{wrap(parts[1])}({parts[0].strip()})"),
    "mfenced": (0, _fenced),
    "mtable": (0, _table),
    "mtr": (0, _row),
    "mlabeledtr": (1, lambda node, parts: _row(node, parts[1:]) + f" {parts[0]}"),
    "mtd": (0, lambda node, parts: "".join(parts)),
}


def tex_text(tex: str) -> str:
    """A formula in TeX without its document around it: the body, `$` signs and layout commands gone.

    >>> tex_text(r"\\documentclass{minimal}\\begin{document}$$ E = m\\,c^2 $$\\end{document}")
    'E = m c^2'
    """
    body = re.search(r"\\begin\{document\}(.*?)\\end\{document\}", tex, re.DOTALL)
    text = body.group(1) if body else tex
    text = re.sub(
        r"\\(?:begin|end)\{[^{}]*\}(?:\{[^{}]*\})?|\\(?:nonumber|displaystyle|limits|label\{[^{}]*\})", " ", text
    )
    text = re.sub(r"\\(?:left|right|[bB]igg?)(?![a-zA-Z])|\$+|\\[()\[\]]", "", text)
    text = re.sub(r"\\(?:mathrm|mathit|mathbf|text|textrm|textit|rm|it|bf)\s*\{([^{}]*)\}", r"\1", text)
    text = text.replace(r"\\", "; ")
    return re.sub(r"\\[,;:!>]|~|&|\s+", " ", text).replace("  ", " ").strip()
