"""Captions in a paper's plain text: lines that open with the label of a figure or table.

A caption says what a picture shows ("Scale bar, 5 µm.", "(B) The same for mutants."). Out of its place it says little.

    Figure 2. Growth of the strains. (A) Growth in LB at 37 °C. LB, lysogeny broth; WT, wild type.
    表2　河流的流速
"""

import re

_LABEL = (
    r"(?i:supp(?:l(?:ementa(?:l|ry))?)?\.? |extended data |appendix |online )?"
    r"(?i:fig(?:ure|\.)?s?|tab(?:le|\.)?s?|schemes?|box|chart|plate|exhibit|movie|video|audio|text|data(?:set)?|file"
    r"|algorithm|abb(?:ildung|\.)|tabelle|figuras?|tablas?|tabelas?|cuadros?|quadros?|gr[áa]ficos?|tableaux?|sch[ée]ma"
    r"|tabella|afbeelding|рис(?:унок|\.)|таблица|табл\.|그림|표)"
)
_NUMBER = r"(?:S? ?\d{1,3}(?:[.-]\d{1,2})?[A-Za-z]?|[IVX]{1,5}|[A-Z]\d{1,2})"
# "Figure 1." and "Fig. 1 Growth", but not "Fig. 6 A shows", "Figure 1 shows" and "Table 2 and Figure 3".
_CAPTION = re.compile(
    rf"^[ \t*]{{0,4}}(?:{_LABEL}[ \u00a0]?{_NUMBER}(?=\s?[.:|—–-]\**(?:\s|\Z)|[ \t]+[A-Z][a-z]+\s[a-z]|[ \t]*$)"
    # as PLOS lists what is not printed
    r"|S\d{1,3} (?:Fig|Table|Text|File|Dataset|Data|Movie|Video|Appendix)(?=\s?[.:|]|[ \t]*$)"
    r"|(?:续|續)?[图圖図表] ?[A-Z]?[0-9０-９]{1,3}(?:[.．-][0-9]{1,2})?(?=[\s.:：．。|—\u3000]|[^\x00-\xff]))[^\n]*",
    re.MULTILINE,
)


def find_captions(text: str) -> list[tuple[int, int]]:
    """The spans of the lines of `text` that are captions, in order.

    >>> text = "Growth rose.\\nTable 1. Growth rates.\\nTable 1 lists the rates."
    >>> [text[start:end] for start, end in find_captions(text)]
    ['Table 1. Growth rates.']
    """
    return [match.span() for match in _CAPTION.finditer(text)]
