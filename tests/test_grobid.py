"""PDFs through GROBID: against a small server on this machine that speaks its API and fails as it is told."""

import email.parser
import email.policy
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sciqag_lib.errors import InputError
from sciqag_lib.ingest import prepare_papers, read_report
from sciqag_lib.ingest.pdf import grobid

BODY = "The limpets of the upper shore were counted every week from May to October at the same six places. " * 4
TEI = f"""<TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader><fileDesc><titleStmt><title level="a" type="main">
Limpets</title></titleStmt><sourceDesc><biblStruct><idno type="DOI">10.1000/limpets</idno></biblStruct></sourceDesc>
</fileDesc></teiHeader><text><body><div><head n="1">Introduction</head><p>{BODY}</p></div></body></text></TEI>"""
PDF = (Path(__file__).parent / "cases" / "smallprint.pdf").read_bytes()


class FakeGrobid:
    """Answers as GROBID does; `script` holds statuses for the next PDFs, or "drop", after which TEI is given."""

    def __init__(self) -> None:
        self.script: list[int | str] = []
        self.forms: list[dict[str, bytes]] = []
        self.reply = TEI
        self.retry_after = ""
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _make_handler(self))
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def _make_handler(server: FakeGrobid) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self._send(200 if self.path == "/api/version" else 404, "0.8.2")

        def do_POST(self) -> None:
            assert self.path == "/api/processFulltextDocument"
            body = self.rfile.read(int(self.headers["content-length"]))
            server.forms.append(read_form(self.headers["content-type"], body))
            action = server.script.pop(0) if server.script else 200
            if action == "drop":
                self.close_connection = True
                return
            messages = {200: server.reply, 204: "", 500: "[BAD_INPUT_DATA] PDF to XML conversion failed"}
            self._send(int(action), messages.get(int(action), "busy"))

        def _send(self, status: int, text: str) -> None:
            self.send_response(status)
            if status == 503 and server.retry_after:
                self.send_header("retry-after", server.retry_after)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

    return Handler


def read_form(content_type: str, body: bytes) -> dict[str, bytes]:
    head = f"content-type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    return {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
        for part in message.iter_parts()
    }


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGrobid]:
    monkeypatch.setattr(grobid.time, "sleep", pauses.append)
    pauses.clear()
    fake = FakeGrobid()
    yield fake
    fake.close()


pauses: list[float] = []


def read_row(tmp_path: Path, server: FakeGrobid) -> dict:
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in" / "limpets.pdf").write_bytes(PDF)
    report = prepare_papers(tmp_path / "in", tmp_path / "out", extract=False, grobid_url=server.url)
    return read_report(report.report_path)["papers"][0]


def test_a_pdf_is_sent_to_the_service_and_its_tei_is_read(tmp_path: Path, server: FakeGrobid) -> None:
    row = read_row(tmp_path, server)
    assert (row["doi"], row["title"], row["notes"]) == ("10.1000/limpets", "Limpets", ["from a PDF, by GROBID"])
    assert server.forms == [{"input": PDF, "consolidateHeader": b"0", "consolidateCitations": b"0"}]


def test_only_pdfs_are_sent(tmp_path: Path, server: FakeGrobid) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("Whelks\n\n1. Introduction\n\n" + BODY)
    read_row(tmp_path, server)
    assert len(server.forms) == 1


def test_a_busy_service_is_asked_again_after_a_pause(tmp_path: Path, server: FakeGrobid) -> None:
    server.script, server.retry_after = [503, 503, "drop", 200], "7"
    assert read_row(tmp_path, server)["title"] == "Limpets"
    assert len(server.forms) == 4 and 7 <= pauses[0] < 8 and pauses[2] < pauses[0]


@pytest.mark.parametrize("status, problem", [(500, "status 500 [BAD_INPUT_DATA] PDF to XML"), (204, "status 204")])
def test_a_pdf_that_the_service_cannot_read_is_read_by_the_built_in_reader(
    tmp_path: Path, server: FakeGrobid, status: int, problem: str
) -> None:
    server.script = [status]
    row = read_row(tmp_path, server)
    assert problem in row["notes"][-1] and "the built-in reader did" in row["notes"][-1] and len(server.forms) == 1
    assert row["title"] != "Limpets" and row["characters"] > 200


@pytest.mark.parametrize("reply", ["<TEI", "<html/>", '<TEI xmlns="http://www.tei-c.org/ns/1.0"><text/></TEI>'])
def test_a_reply_without_text_is_named_and_the_built_in_reader_goes_on(
    tmp_path: Path, server: FakeGrobid, reply: str
) -> None:
    server.reply = reply
    assert read_row(tmp_path, server)["notes"][-1].startswith("GROBID could not read it (")


def test_a_service_that_is_gone_is_named_and_the_other_files_go_on(tmp_path: Path, server: FakeGrobid) -> None:
    server.script = ["drop"] * grobid.NUM_TRIES + [503, 200]
    (tmp_path / "in").mkdir()
    for name in ("a.pdf", "b.pdf", "c.pdf"):
        (tmp_path / "in" / name).write_bytes(PDF)
    report = prepare_papers(tmp_path / "in", tmp_path / "out", extract=False, grobid_url=server.url)
    assert [item.file for item in report.bad] == ["a.pdf", "b.pdf"] and report.num_papers == 1
    assert f"GROBID at {server.url} did not answer" in report.bad[0].message and "tries: 5" in report.bad[0].message
    assert "status 503; tries: 1" in report.bad[1].message  # known to be gone: not five tries for each of many files


def test_a_service_that_is_down_stops_the_run_before_it_begins(tmp_path: Path, server: FakeGrobid) -> None:
    server.close()
    with pytest.raises(InputError, match="expected a GROBID service at http://127.0.0.1:.*start it"):
        read_row(tmp_path, server)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("url", ["localhost:8070", "ftp://x", "http://", "http://me:secret@host:8070"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="grobid_url: expected one like http://localhost:8070"):
        grobid.check_service(url)


def test_a_server_of_another_kind_is_refused(server: FakeGrobid) -> None:
    with pytest.raises(InputError, match="404"):
        grobid.check_service(server.url + "/other")
    assert grobid.check_service(server.url + "/") == "0.8.2"
