"""How much of a paper survives as HTML and as PDF: published JATS, printed by this script, read again and compared.

    python benchmarks/ingest_quality.py               # 12 PLOS papers of the package allofplos
    python benchmarks/ingest_quality.py --papers 100  # more of them
    python benchmarks/ingest_quality.py --skip 3      # 12 others, on which nothing was tuned
    python benchmarks/ingest_quality.py --list        # and the words and headings that differ most

Each paper is printed from its XML, not from what the JATS reader makes of it, to an HTML page and to a PDF of two
justified columns with hyphens, running heads, page numbers and raised citations (headless Chromium). The project's
readers read all three; the JATS reading is the yardstick. The control compares each page with the next paper's XML:
what unlike papers share. Formulas are one word on both sides.
"""

import argparse
import html
import math
import re
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pandas as pd  # noqa: E402
from lxml import etree  # noqa: E402

from sciqag_lib.ingest.headings import is_caption  # noqa: E402
from sciqag_lib.ingest.readers import PreparedPaper, read_papers  # noqa: E402
from sciqag_lib.text.sentences import split_sentences  # noqa: E402

# Chromium fetches nothing: no image is linked. Times, as most journals are set, and a masthead above the title.
STYLE = """
@page { size: A4; margin: 22mm 18mm; @top-left { content: "Journal of Printed Papers 7 (2026)"; font-size: 8pt }
        @bottom-right { content: counter(page); font-size: 8pt } }
body { font: 9.5pt/1.2 "Liberation Serif", serif; margin: 0 } h1 { font-size: 17pt } .masthead { font-size: 24pt }
main { columns: 2; column-gap: 8mm; text-align: justify; hyphens: auto } p { margin: 0; text-indent: 1em }
h2 { font-size: 12pt; margin: 9pt 0 4pt } h3 { font-size: 10.5pt; margin: 7pt 0 3pt } h4 { font-size: 9.5pt }
h1, h2, h3, h4 { text-align: left; hyphens: manual; break-after: avoid } sup, sub { font-size: 65%; line-height: 0 }
figure { margin: 8pt 0; break-inside: avoid } figcaption { font-size: 8pt } table { font-size: 7.5pt; text-align: left }
.image { height: 50mm; background: #ddd } ol.references { font-size: 7.5pt; padding-left: 2em }
"""
INLINE = {"italic": "i", "bold": "b", "sup": "sup", "sub": "sub", "underline": "u", "monospace": "code"}
BLOCKS = {"td": "td", "th": "th", "tr": "tr", "thead": "thead", "tbody": "tbody", "table": "table", "list-item": "li"}
LEFT_OUT = set("supplementary-material object-id graphic inline-graphic media fn-group ack alternatives label".split())
FORMULAS = {"inline-formula", "disp-formula", "disp-formula-group", "chem-struct-wrap"}
_LINK = r'\[?<a href="#ref\d+">\[?\d+\]?</a>\]?'
_NO_OBJECT = "".join(rf"(?<! {word} )" for word in "in by of and with see from to".split()) + r"(?<!\(see )"
_CITATION = re.compile(rf" ?{_NO_OBJECT}(?=<a[^>]*>\[|\[)({_LINK}(?:\s*[,–-]\s*{_LINK})*)")


def parse_article(path: Path) -> Any:
    return etree.parse(str(path), etree.XMLParser(resolve_entities=False, no_network=True)).getroot()


def copy_without_formulas(path: Path, folder: Path) -> Path:
    """The article's XML with the word "formula" for each formula: what the page and the JATS reader are given."""
    root = parse_article(path)
    for node in root.iter(*FORMULAS):
        for child in list(node):
            node.remove(child)
        node.tag, node.text = "styled-content", "formula" if node.tag == "inline-formula" else " formula "
        node.attrib.clear()
    copy = folder / path.name
    copy.write_bytes(etree.tostring(root, encoding="utf-8", xml_declaration=True))
    return copy


def render_inline(node: Any) -> str:
    """HTML of an element's text and of what is in it."""
    parts = [html.escape(node.text or "", quote=False)]
    for child in node:
        name = child.tag if isinstance(child.tag, str) else ""
        if name == "xref" and child.get("ref-type") == "bibr":
            number = re.sub(r".*\D", "", child.get("rid", ""))
            parts.append(f'<a href="#ref{number or 0}">{html.escape("".join(child.itertext()))}</a>')
        elif name == "xref" and child.get("ref-type") in ("fn", "table-fn") and child.find("sup") is None:
            parts.append(f"<sup>{render_inline(child)}</sup>")
        elif name in INLINE | BLOCKS:
            tag = (INLINE | BLOCKS)[name]
            spans = "".join(
                f' {key}="{child.get(key)}"' for key in ("colspan", "rowspan") if child.get(key, "").isdigit()
            )
            parts.append(f"<{tag}{spans}>{render_inline(child)}</{tag}>")
        elif name == "break":
            parts.append("<br>")
        elif name and name not in LEFT_OUT:
            parts.append(render_inline(child))
        parts.append(html.escape(child.tail or "", quote=False))
    return "".join(parts)


def render_blocks(node: Any, level: int) -> str:
    """HTML of a section's titles, paragraphs, lists, figures and tables; headings from <h{level}>."""
    parts = []
    for child in node:
        name = child.tag if isinstance(child.tag, str) else ""
        if name in ("sec", "boxed-text"):
            parts.append(f"<section>{render_blocks(child, min(level + 1, 4))}</section>")
        elif name == "title":
            parts.append(f"<h{level}>{render_inline(child)}</h{level}>\n")
        elif name == "p":
            parts.append(render_paragraph(child, level))
        elif name == "list":
            parts.append(f"<ul>{render_inline(child)}</ul>")
        elif name in ("fig", "table-wrap"):
            parts.append(render_figure(child))
        elif name and name not in LEFT_OUT:
            parts.append(
                f"<div>{render_blocks(child, level)}</div>" if len(child) else f"<p>{render_inline(child)}</p>"
            )
    return "".join(parts)


def render_paragraph(node: Any, level: int) -> str:
    """A paragraph; the figures and tables inside it are printed after it, as journals do."""
    floats = node.xpath(".//fig[not(ancestor::fig)]|.//table-wrap")
    after = "".join(render_figure(part) for part in floats)
    for part in floats:
        parent, tail = part.getparent(), part.tail
        part.tail = None
        before = part.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + (tail or "")
        else:
            parent.text = (parent.text or "") + (tail or "")
        parent.remove(part)
    return f"<p>{render_inline(node)}</p>\n{after}"


def render_figure(node: Any) -> str:
    label = "".join(node.xpath("string(label)"))
    caption = " ".join(re.sub(r"(?<![.?!])$", ".", render_inline(part).strip()) for part in node.xpath("caption/*"))
    table = "".join(f"<table>{render_inline(part)}</table>" for part in node.xpath(".//table"))
    notes = "".join(f"<p>{render_inline(part)}</p>" for part in node.xpath("table-wrap-foot//p"))
    body = f"{table}{notes}" or '<div class="image"></div>'
    return f"<figure>{body}<figcaption><b>{html.escape(label.rstrip('.'))}.</b> {caption}</figcaption></figure>\n"


def render_page(xml: Path, number: int) -> str:
    """An article as an HTML page. Every second paper has its citations behind the comma or full stop."""
    root = parse_article(xml)
    meta = root.find("front/article-meta")
    title = render_inline(meta.find("title-group/article-title"))
    names = [
        " ".join(name.xpath("given-names/text()|surname/text()")[::-1]) for name in meta.xpath("contrib-group//name")
    ]
    authors = ", ".join(f"{html.escape(name)}<sup>{k % 3 + 1}</sup>" for k, name in enumerate(names))
    abstract = next(iter(meta.xpath("abstract[not(@abstract-type)]")), None)
    parts = [
        f"<p class=authors>{authors}</p><h2>Abstract</h2>{render_blocks(abstract, 2) if abstract is not None else ''}"
    ]
    parts.append(render_blocks(root.find("body"), 1))
    references = (" ".join(" ".join(part.itertext()).split()) for part in root.xpath("back/ref-list/ref"))
    items = "".join(f"<li>{html.escape(text)}</li>" for text in references)
    body = _CITATION.sub(lambda match: f"<sup>{re.sub(r'[][]', '', match[1])}</sup>", "".join(parts))
    if number % 2:
        body = re.sub(r"(<sup><a (?:(?!</sup>).)*</sup>)([.,])", r"\2\1", body)
    doi = meta.xpath("string(article-id[@pub-id-type='doi'])")
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>untitled</title><style>{STYLE}</style>'
        f'<meta name="citation_doi" content="{doi}"></head><body><article><div class="masthead">Printed Papers</div>'
        f"<p>RESEARCH ARTICLE</p><h1>{title}</h1><p>doi:{doi}</p><main>{body}<h2>References</h2>"
        f'<ol class="references">{items}</ol></main></article></body></html>'
    )


def print_pdf(page: Path, chromium: str) -> Path:
    path = page.with_suffix(".pdf")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    subprocess.run([*command, f"--print-to-pdf={path}", page.as_uri()], check=True, capture_output=True, timeout=120)
    return path


def list_words(text: str) -> list[str]:
    """Words without the punctuation around them; formulas and bare signs are none."""
    words = (word.strip(".,;:()[]|\"'“”‘’") for word in text.replace("[formula]", " ").split())
    return [word for word in words if re.search(r"\w", word)]


def count_glued(words: list[str], lost: Counter[str], added: Counter[str]) -> int:
    """Neighbors in `words` that became one, or one that became two: both sides are among the lost and added."""
    pairs = zip(words, words[1:], strict=False)
    joined = sum(added[f"{left}{right}"] > 0 for left, right in pairs if lost[left] and lost[right])
    torn = sum(any(added[w[:k]] and added[w[k:]] for k in range(2, len(w) - 1)) for w in lost if len(w) < 40)
    return joined + torn


def count_moved(sentences: list[str], others: list[str]) -> tuple[int, int]:
    """Sentences that both have once, and how many of them are out of order (not in the longest rising run)."""
    place = {text: number for number, text in enumerate(others) if others.count(text) == 1}
    order = [place[text] for text in dict.fromkeys(sentences) if text in place]
    tails: list[int] = []
    for number in order:
        at = bisect_left(tails, number)
        tails[at : at + 1] = [number]
    return len(order), len(order) - len(tails)


def list_sentences(item: PreparedPaper) -> list[str]:
    text = item.paper.txt
    found = (text[start:end] for start, end in split_sentences(text))
    return [" ".join(sentence.split()) for sentence in found if " | " not in sentence and len(sentence) > 30]


def find_captions(item: PreparedPaper) -> set[str]:
    lines = (re.sub(r"\W+", "", line).lower()[:50] for line in item.paper.txt.split("\n") if is_caption(line))
    return {line for line in lines if len(line) > 12}


def find_sections(item: PreparedPaper) -> Counter[str]:
    return Counter(
        section.title.split(" / ")[-1].lower().rstrip(".") for section in item.paper.sections if section.title
    )


def share(part: float, whole: float) -> float:
    return round(100 * part / whole, 2) if whole else math.nan


def compare(jats: PreparedPaper, other: PreparedPaper) -> dict[str, float]:
    """The measures in percent of what the JATS reading has, unless they say "number"."""
    texts = [f"{item.paper.title}\n{item.paper.abstract}\n{item.paper.txt}" for item in (jats, other)]
    words, others = (list_words(text) for text in texts)
    lost, added = Counter(words) - Counter(others), Counter(others) - Counter(words)
    sentences, other_sentences = list_sentences(jats), list_sentences(other)
    shared, moved = count_moved(sentences, other_sentences)
    headings = find_sections(jats)
    captions = find_captions(jats)
    powers = Counter(word for word in words if re.search(r"\^", word))
    stems = set(words)
    left = sum(
        n
        for word, n in added.items()
        if re.fullmatch(r"\D{4,}\d[\d,–-]*", word) and word.rstrip("0123456789,–-") in stems
    )
    return {
        "title": 100.0 * (jats.paper.title == other.paper.title),
        "abstract": 100.0 * (jats.paper.abstract == other.paper.abstract),
        "words lost": share(lost.total(), len(words)),
        "words added": share(added.total(), len(words)),
        "glued or torn": share(count_glued(words, lost, added), len(words)),
        "sentences identical": share(len(set(sentences) & set(other_sentences)), len(set(sentences))),
        "of them moved": share(moved, shared),
        "sections found": share((headings & find_sections(other)).total(), headings.total()),
        "sections added": share((find_sections(other) - headings).total(), headings.total()),
        "captions kept": share(len(captions & find_captions(other)), len(captions)),
        "exponents kept": share((powers & Counter(others)).total(), powers.total()),
        "citation marks left (number)": left,
    }


def list_differences(jats: PreparedPaper, other: PreparedPaper, kind: str) -> None:
    words, others = (Counter(list_words(item.paper.txt)) for item in (jats, other))
    headings, found = find_sections(jats), find_sections(other)
    print(f"\n{jats.paper.doi} {kind}: title {other.paper.title!r}")
    for name, rows in (("lost", words - others), ("added", others - words)):
        print(f"  {name}: " + ", ".join(f"{word} {n}" for word, n in rows.most_common(40)))
    print(f"  headings lost: {sorted(headings - found)}\n  headings added: {sorted(found - headings)[:30]}")
    sentences, there = list_sentences(jats), set(list_sentences(other))
    print("  sentences lost:\n    " + "\n    ".join([text for text in sentences if text not in there][:12]))


def choose_papers(number: int, skipped: int) -> list[Path]:
    """Research articles of allofplos's starter corpus with numbered references, evenly over its names."""
    spec = find_spec("allofplos")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("needs the package allofplos: pip install -r requirements.txt")
    files = sorted(Path(spec.submodule_search_locations[0], "starter_corpus").glob("*.xml"))
    papers = [path for path in files if _is_suitable(path.read_bytes())]
    return papers[skipped :: max(1, len(papers) // number)][:number]


def _is_suitable(data: bytes) -> bool:
    numbered = re.search(rb'<xref ref-type="bibr"[^>]*>\[?\d+\]?</xref>', data)
    return b'article-type="research-article"' in data[:2000] and numbered is not None


def read_one(path: Path) -> PreparedPaper:
    item = next(iter(read_papers(path)))
    if not isinstance(item, PreparedPaper):
        raise SystemExit(f"{path.name} was not read: {item}")
    return item


def measure(papers: list[Path], folder: Path, chromium: str, show: Callable[..., None] | None) -> pd.DataFrame:
    """One row per paper and format; "control" is the PDF against the next paper's JATS."""
    papers = [copy_without_formulas(path, folder) for path in papers]
    readings = [read_one(path) for path in papers]
    rows = []
    for number, (path, jats) in enumerate(zip(papers, readings, strict=True)):
        page = folder / f"{path.stem}.html"
        page.write_text(render_page(path, number), encoding="utf-8")
        for kind, file in (("HTML", page), ("PDF", print_pdf(page, chromium))):
            reading = read_one(file)
            rows.append({"format": kind, "paper": path.stem, **compare(jats, reading)})
            if show:
                show(jats, reading, kind)
        rows.append({"format": "control", "paper": path.stem, **compare(readings[number - 1], reading)})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--papers", type=int, default=12, help="number of PLOS papers")
    parser.add_argument("--skip", type=int, default=0, help="the N-th paper after each instead")
    parser.add_argument("--list", action="store_true", help="also print what differs")
    parser.add_argument("--keep", type=Path, help="an existing folder for the printed pages")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("skipped: needs Chromium or Chrome to print the PDF files (apt install chromium)")
        return
    with tempfile.TemporaryDirectory() as folder:
        papers = choose_papers(arguments.papers, arguments.skip)
        frame = measure(papers, arguments.keep or Path(folder), chromium, list_differences if arguments.list else None)
    means = frame.drop(columns="paper").groupby("format", sort=False).mean()
    print(f"\n{len(papers)} papers, means per paper; percent unless a number\n")
    print(means.T.round(1).to_string())


if __name__ == "__main__":
    main()
