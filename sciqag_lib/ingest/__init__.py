"""Papers in: JATS XML, GROBID TEI, PDF, HTML, Markdown, plain text and the published JSON -> Paper -> papers.json.

readers.py   finds files, picks a reader, skips what is no paper     prepare.py   writes papers.json and the report
jats.py tei.py html.py text.py pdf.py   one format each -> Document   document.py  cuts boilerplate, Document -> Paper
markdown.py  Markdown -> a page     page_*.py  tags, formulas, notes and boxes of pages
headings.py  names of sections in five languages     front.py  abstracts and keywords before the text
inline.py mathml.py tables.py nodes.py  running text, formulas, tables, safe XML     keywords.py  KeyBERT

report = prepare_papers("papers/", "runs/mine")  # writes runs/mine/papers.json and prepare_report.json
"""

from sciqag_lib.ingest.prepare import PrepareReport, prepare_papers, read_report, report_row
from sciqag_lib.ingest.readers import PreparedPaper, Skipped, find_files, read_papers

__all__ = ["PreparedPaper", "PrepareReport", "Skipped", "find_files", "prepare_papers", "read_papers", "read_report",
           "report_row"]  # fmt: skip
