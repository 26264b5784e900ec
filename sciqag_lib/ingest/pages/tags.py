"""What a web page says about itself, outside its text: encoding, the tags of its head, DOI and keywords.

    <meta name="citation_title" content="..."> <meta name="citation_doi" content="10.1234/abc">
    <meta name="citation_keywords" content="river; lake">

Of the tags for keywords only citation_keywords is the paper's: "keywords" holds the site's or the journal's words.
"""

import re
from typing import Any

from sciqag_lib.errors import InputError
from sciqag_lib.ingest.headings import split_keywords
from sciqag_lib.ingest.running_text.inline import clean_text
from sciqag_lib.records.dois import DOI, bare_doi, find_doi


def decode_page(data: bytes) -> str:
    """The page as text, in the encoding it declares, else UTF-8. InputError names the first byte that does not fit."""
    declared = re.search(
        rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?([\w.:-]+)", data[:4096], re.IGNORECASE
    )
    names = ["utf-8-sig"] + ([declared.group(1).decode("ascii", "replace")] if declared else [])
    problem = ""
    for name in names:
        try:
            text = data.decode(name)
        except UnicodeDecodeError as error:
            problem = f"not valid {error.encoding} at byte {error.start}: save the file as UTF-8"
        except (LookupError, ValueError):
            problem = f"its encoding {name!r} is unknown and it is not UTF-8: save the file as UTF-8"
        else:
            # lxml refuses text with an XML declaration of its encoding, and NUL.
            return re.sub(r"^\s*<\?xml[^>]*\?>", "", text).replace("\0", "")
    raise InputError(problem)


def read_meta(root: Any) -> dict[str, list[str]]:
    """The contents of a page's tags by their names in small letters."""
    meta: dict[str, list[str]] = {}
    for node in root.iter("meta"):
        name = (node.get("name") or node.get("property") or "").lower()
        if name and node.get("content"):
            meta.setdefault(name, []).append(clean_text(node.get("content")))
    return meta


def first_value(meta: dict[str, list[str]], *names: str) -> str:
    """The first content of the first of these tags that there is, or ""."""
    return next((meta[name][0] for name in names if meta.get(name)), "")


def read_keywords(root: Any, language: str) -> list[str]:
    """The words of citation_keywords, in the paper's language where they come in several; other tags are the site's."""
    nodes = [
        node for node in root.iter("meta") if node.get("name", "").lower() in ("citation_keywords", "citation_keyword")
    ]
    own = [node for node in nodes if node.get("xml:lang", node.get("lang", "")).lower()[:2] == language]
    words = [word for node in own or nodes for word in split_keywords(clean_text(node.get("content", "")))]
    return list(dict.fromkeys(words))


def find_page_doi(meta: dict[str, list[str]]) -> str:
    """The DOI that the tags give, whole: the first value that is one, else the first that holds one."""
    names = ("citation_doi", "dc.identifier.doi", "prism.doi", "bepress_citation_doi", "dc.identifier")
    values = [value for name in names for value in meta.get(name, [])]
    whole = (bare for bare in map(bare_doi, values) if DOI.fullmatch(bare))
    return next(whole, "") or next(filter(None, map(find_doi, values)), "")


def drop_controls(text: str | None) -> str:
    """A text without the characters that XML forbids; lxml gives them out ("&#1;") and takes none back."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text or "")
