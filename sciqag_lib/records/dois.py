"""DOIs as papers spell them (ISO 26324; doi.org, "DOI Handbook"): one form to compare, one to show, one to find.

    "https://doi.org/10.1016/J.AB.2008.07.041"   ->  10.1016/J.AB.2008.07.041 (shown), in small letters to compare
    "urn:doi:10.1002%2F%28SICI%291...%3C338::AID-X16%3E3.0.CO;2-B"  ->  10.1002/(SICI)1...<338::AID-X16>3.0.CO;2-B

Any printable character may follow the slash, brackets and < > ; : among them.
"""

import re
import string
from html import unescape
from urllib.parse import unquote

DOI = re.compile(r"10\.\d{4,9}(?:\.\d+)*/\S+")
_SPELLING = re.compile(
    r"(?:https?:|/|www\.|dx\.|doi\.org[:/]|info:|urn:|doi\b[:.]?|digital object identifier\b:?|\s)*(?=10\.)",
    re.IGNORECASE,
)
# A SICI names its pages in angle or square brackets, with a colon: <338::AID-CASE16>, [2614:ECOTSF].
_IN_TEXT = re.compile(
    r"\b10\.\d{4,9}(?:\.\d+)*(?:/|%2F)(?:<[^<>\s:]{0,20}:[^<>\s]{1,80}>|\[[^\[\]\s:]{0,20}:[^\[\]\s]{1,80}\]"
    r"|(?![;,](?:doi:|https?:)?10\.)[^\s\"<>{}|\\^`\[\]]){1,500}",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|#\d{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE)
_QUERY = re.compile(r"\?[a-z_]+=\S*$", re.IGNORECASE)  # of a link: ?journalCode=abc
_SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)  # DOIs ignore the case of ASCII alone


def bare_doi(text: str) -> str:
    """A DOI out of any of its spellings, whole and in its own case; a text that is no DOI stays as it is.

    >>> [bare_doi(text) for text in ("doi: 10.1000/A", "http://www.doi.org/10.1000/A%3C1&gt;", "J. Foam 4")]
    ['10.1000/A', '10.1000/A<1>', 'J. Foam 4']
    """
    text = re.sub(r"[\u00ad\u200b-\u200d\u2060\ufeff]", "", text).strip()
    for _ in range(2):  # a page that escapes what was escaped
        text = _ENTITY.sub(lambda match: unescape(match[0]), text)
    is_link = re.match(r"(?:https?:)?//", text, re.IGNORECASE) is not None
    if re.search(r"%(?:2F|3[ABCE]|2[38B]|5[BD])", text, re.IGNORECASE):
        text = unquote(text)
    bare = text[_SPELLING.match(text).end() :] if _SPELLING.match(text) else text
    return _QUERY.sub("", bare) if is_link else bare


def normalize_doi(doi: str) -> str:
    """The form in which two spellings of one DOI are equal; used to find duplicates, never written out.

    >>> normalize_doi("https://doi.org/10.1016/J.AB.2008.07.041")
    '10.1016/j.ab.2008.07.041'
    >>> normalize_doi("10.1016-j.ab.2008.07.041.json")
    '10.1016/j.ab.2008.07.041'
    """
    text = bare_doi(doi).translate(_SMALL).removesuffix(".json")
    # The released files replace the slash by a hyphen, because the DOI served as a file name.
    return re.sub(r"^(10\.\d{4,9})-", r"\1/", text)


def find_doi(text: str) -> str:
    """The first DOI in running text, without the punctuation and the unpaired brackets that follow it, or ""."""
    match = _IN_TEXT.search(text)
    if not match:
        return ""
    doi = _QUERY.sub("", bare_doi(match[0])).rstrip(".,;:'’”*")
    while any(doi.endswith(close) and doi.count(close) > doi.count(opening) for opening, close in ("()", "<>", "[]")):
        doi = doi[:-1].rstrip(".,;:'’”*")
    return doi
