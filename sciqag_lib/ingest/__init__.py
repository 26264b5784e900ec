"""Papers in: JATS XML, GROBID TEI, PDF, HTML, Markdown, plain text and the published JSON -> Paper -> papers.json.

files          readers.py finds them and picks a reader, prepare.py writes papers.json and the report,
               workers.py spreads them over processes
formats        xml/ JATS, Elsevier, TEI    pages/ HTML and Markdown    pdf/ PDF, also through GROBID    text.py lines
running_text/  what an element's text is as one line, for every format that has elements
the paper      document.py what a reader makes of a file, headings.py names of sections in five languages,
               front.py abstract and keywords, keywords.py KeyBERT where a paper names none

report = prepare_papers("papers/", "runs/mine")  # writes runs/mine/papers.json and prepare_report.json
"""

from sciqag_lib.ingest.prepare import PrepareReport, prepare_papers, read_report, report_row
from sciqag_lib.ingest.readers import PreparedPaper, Skipped, find_files, read_papers

__all__ = ["PreparedPaper", "PrepareReport", "Skipped", "find_files", "prepare_papers", "read_papers", "read_report",
           "report_row"]  # fmt: skip
