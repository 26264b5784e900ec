"""Papers in: JATS XML, GROBID TEI, PDF, HTML, Markdown, plain text and the published JSON -> Paper -> papers.json.

files        readers.py finds them and picks a reader    prepare.py writes papers.json and the report
             workers.py spreads them over processes      grobid.py sends PDFs to a service
formats      tag_sets.py picks among XML: jats.py jats_blocks.py elsevier.py tei.py    html.py page_*.py pages
             markdown.py makes a page of Markdown        text.py lines of text     pdf.py the lines of a PDF
running text inline.py, with citations.py footnotes.py scripts.py mathml.py            tables.py captions.py
the paper    document.py what a reader makes, boilerplate cut    headings.py names of sections in five languages
             front.py abstract and keywords before the text      keyword_groups.py   keywords.py KeyBERT

report = prepare_papers("papers/", "runs/mine")  # writes runs/mine/papers.json and prepare_report.json
"""

from sciqag_lib.ingest.prepare import PrepareReport, prepare_papers, read_report, report_row
from sciqag_lib.ingest.readers import PreparedPaper, Skipped, find_files, read_papers

__all__ = ["PreparedPaper", "PrepareReport", "Skipped", "find_files", "prepare_papers", "read_papers", "read_report",
           "report_row"]  # fmt: skip
