r"""LaTeX commands that a model wrote with one backslash into a JSON reply.

JSON wants `\\times`. Where a model writes `\times`, a JSON parser reads a tab and "imes", without any complaint; and
`\alpha` is no JSON at all. The two are told apart by the letters after the backslash:

    {"A": "3 \times 10 at \alpha.\nThen"}   ->   {"A": "3 \\times 10 at \\alpha.\nThen"}

The rule, by the character after the backslash:

- `"`, `\`, `/`, and `u` with four hex digits are JSON's own and stay.
- `n`, `r` and `t` are LaTeX where the letters that follow make a whole command of COMMANDS (`\theta`), before a brace
  where it is one of BRACED (`\text{pH}`), and otherwise a line break or a tab (`\nThen`, `\tBoth`, `\next`).
- A command of WORDS without its first letter is itself a word, a letter or an item of a list: `\tan` is "an" after a
  tab, `\ne` is "e" on a new line. It is LaTeX inside `$...$` or `\(...\)`. Elsewhere it needs a formula on both sides:
  nothing that ends a sentence or a word before it, and after it a number, one letter, a sign or another command. `\nu`
  needs only the former, for no line begins with the word "u". A reply that doubles the backslashes of its other
  commands, and of all of them, means a line break.
- Any other is LaTeX: `\alpha`, `\%`, `\{`, and `\beta` and `\frac` too, since no text holds a backspace or form feed.
"""

import re
from bisect import bisect_left

COMMANDS = frozenset(
    # n
    "nabla natural ncong nearrow neq newline ngeq ngeqslant ngtr nleq nleqslant nLeftarrow nleftarrow nobreak "
    "noindent nolimits nonumber not notin nprec nRightarrow nrightarrow nleftrightarrow nsime nsubseteq nsucc "
    "nsupseteq nvdash nwarrow normalsize "
    # t
    "tanh tau theta therefore thickapprox thicksim thinspace tilde times tiny triangle triangledown triangleleft "
    "trianglelefteq triangleq triangleright trianglerighteq twoheadrightarrow textdegree textmu textmicro textohm "
    "texttimes textstyle textbackslash textperthousand textasciitilde "
    # r
    "rangle rbrace rbrack rceil rfloor rgroup rhd rho right rightarrow rightarrowtail rightharpoonup rightharpoondown "
    "rightleftarrows rightleftharpoons rightrightarrows rightsquigarrow risingdotseq rm rmoustache rtimes rvert rVert "
    "root rlap rule raisebox raise rbrack relax".split()
)
BRACED = frozenset(
    "text textbf textit textmd textnormal textrm textsc textsf textsl texttt textup textsubscript textsuperscript "
    "tfrac tbinom tag textcolor num numrange nicefrac norm newcommand ref rotatebox rowcolor resizebox "
    "renewcommand".split()
)
WORDS = frozenset("nu ne neg ni nmid nless nexists nparallel nsim nsubset nsupset tan to top".split())

_ESCAPE = re.compile(r'\\(?:(?P<json>["\\/]|u[0-9a-fA-F]{4})|(?P<blank>[nrt][A-Za-z]*)|)')
_BRACE = re.compile(r"[ \t]?\{")
# Dollars as pandoc reads them: no white space just inside, and no digit after the second ("from $5 to $6").
_MATH = re.compile(r'\$\$?(?=[^\s$])[^$"]{1,400}(?<!\s)\$(?!\d)|\\\\?\([^"]{1,400}?\\\\?\)|\\\\?\[[^"]{1,400}?\\\\?\]')
_DOUBLED = re.compile(r"\\\\[A-Za-z]{2}")
_ENDED = re.compile(r"(?:[.:;!?。；：！？][”’)\]]?|\\[nrt])$")  # a sentence, or a line
_SYMBOL = re.compile(r"(?:(?:^|[\W_])(?:[^\W_]|\d{1,9})|\\(?:[a-mo-qsu-zA-Z][A-Za-z]{1,11}|neq|times|to))$")
_ASSIGNED = re.compile(r"\s{0,3}[=:)]")
_FORMULA = re.compile(
    r"[_^]|\s{0,3}\(?(?:[\\{$\d]|[+-][\w\\]|[b-hj-np-zB-HJ-Z\u0370-\u03ff](?![^\W_])|[aio](?![^\W_])(?!\s[a-z]{2}))"
)


def escape_latex(text: str) -> str:
    r"""JSON text with the backslash of each LaTeX command doubled, so that a JSON parser keeps it. Linear time.

    >>> print(escape_latex(r'{"A": "\rho = 3 \times 10.\nThen"}'))
    {"A": "\\rho = 3 \\times 10.\nThen"}
    """
    escapes = [match for match in _ESCAPE.finditer(text) if not match["json"]]
    certain = [_is_command(match) for match in escapes]
    doubles = not any(certain) and _DOUBLED.search(text) is not None
    math = [match.span() for match in _MATH.finditer(text)] if escapes else []
    pieces, position = [], 0
    for match, is_command in zip(escapes, certain):
        start, place = match.start(), bisect_left(math, (match.start(), 0)) - 1
        in_math = place >= 0 and start < math[place][1]
        if is_command or match["blank"] in WORDS and (in_math or not doubles and _is_in_formula(match)):
            pieces += [text[position:start], "\\"]
            position = start
    return "".join([*pieces, text[position:]])


def _is_command(match: "re.Match[str]") -> bool:
    """Whether an escape is LaTeX, whatever is around it."""
    name = match["blank"]
    return not name or name in COMMANDS or name in BRACED and _BRACE.match(match.string, match.end()) is not None


def _is_in_formula(match: "re.Match[str]") -> bool:
    """Whether a command of WORDS has a formula on both sides."""
    text, start, end = match.string, match.start(), match.end()
    before = text[max(0, start - 16) : start]
    if _ENDED.search(before):
        return False
    if before[-1:].isalnum() and (not _SYMBOL.search(before) or _ASSIGNED.match(text, end)):
        return False  # "its speed\nu = 5" and "v = 3\nu = 5", but "E = h\nu"
    return match["blank"] == "nu" or _FORMULA.match(text, end) is not None
