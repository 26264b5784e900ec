"""PDFs through a running GROBID service, the reader that scholarly collections use (grobid.readthedocs.io).

    POST {grobid_url}/api/processFulltextDocument    multipart form, the PDF as `input` -> TEI XML, read by tei.py

GROBID answers 503 when all its threads are busy: the file is sent again after a pause. A PDF that GROBID cannot
read is read by the built-in reader, with a note. A service that is gone makes the file a bad record: a run must not
go over to another reader without a word.
"""

import time
from urllib.parse import urlsplit

import httpx

from sciqag_lib.engines.common import describe_error
from sciqag_lib.engines.server import choose_pause, read_retry_after
from sciqag_lib.errors import InputError
from sciqag_lib.ingest.document import Document
from sciqag_lib.ingest.pdf.pdf import read_pdf
from sciqag_lib.ingest.running_text.nodes import parse_xml
from sciqag_lib.ingest.xml.tei import read_tei

TIMEOUT_SECONDS = 300.0  # for a PDF; GROBID itself gives up on the longest after 120 or so
NUM_TRIES = 5
# Nothing is looked up on third-party servers: what a paper is called is what its PDF says.
_FORM = {"consolidateHeader": "0", "consolidateCitations": "0"}
_lost: set[str] = set()  # services that did not answer this process: the next file tries only once


def check_service(grobid_url: str) -> str:
    """The version of the service. InputError: no URL, or nothing answers there as GROBID does."""
    parts = urlsplit(grobid_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise InputError(f"grobid_url: expected one like http://localhost:8070, found {grobid_url!r}")
    _lost.discard(grobid_url)
    try:
        reply = httpx.get(_join(grobid_url, "api/version"), timeout=10)
        reply.raise_for_status()
    except httpx.HTTPError as error:
        raise InputError(
            f"grobid_url: expected a GROBID service at {grobid_url}, found {describe_error(error)}; start it "
            "(docs/ingest.md says how), or leave grobid_url out for the built-in reader"
        ) from error
    return reply.text.strip()[:80]


def read_by_grobid(data: bytes, grobid_url: str) -> Document:
    """The document of a PDF. InputError: the service is gone, or neither it nor the built-in reader can read it."""
    reply = _ask(data, grobid_url)
    problem = "" if reply.status_code == 200 else f"status {reply.status_code} {' '.join(reply.text.split())[:200]}"
    if not problem:
        try:
            document = read_tei(parse_xml(reply.content))
            if document.blocks:
                document.notes.append("from a PDF, by GROBID")
                return document
            problem = "TEI without text"
        except InputError as error:
            problem = str(error)
    document = read_pdf(data)
    document.notes.append(f"GROBID could not read it ({problem.strip()}): the built-in reader did")
    return document


def _ask(data: bytes, grobid_url: str) -> httpx.Response:
    """GROBID's answer to a PDF, whatever it says of it."""
    tries = 1 if grobid_url in _lost else NUM_TRIES
    for attempt in range(tries):
        asked_pause = None
        try:
            files = {"input": ("paper.pdf", data, "application/pdf")}
            address = _join(grobid_url, "api/processFulltextDocument")
            reply = httpx.post(address, files=files, data=_FORM, timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=10))
            if reply.status_code not in (408, 429, 502, 503, 504):
                _lost.discard(grobid_url)
                return reply
            problem = f"status {reply.status_code}"
            asked_pause = read_retry_after(reply.headers.get("retry-after", ""))
        except httpx.TransportError as error:
            problem = describe_error(error)
        if attempt + 1 < tries:
            time.sleep(choose_pause(attempt, asked_pause))
    _lost.add(grobid_url)
    raise InputError(
        f"GROBID at {grobid_url} did not answer ({problem}; tries: {tries}): see that it runs, then run this again, or "
        "leave grobid_url out"
    )


def _join(grobid_url: str, path: str) -> str:
    return f"{grobid_url.rstrip('/')}/{path}"
