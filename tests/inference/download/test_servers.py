"""Servers and lines that break, are in trouble, or lie."""

import hashlib
import json
import threading

import pytest

from segwidget.errors import CheckpointError
from segwidget.inference import download
from segwidget.inference.download import download_checkpoint
from tests.inference.download.misbehaving_server import GOOD, Deed
from tests.inference.download.small_file import CONTENT, OTHER, assert_here, leave, part

# --- Lines that break ---


def test_a_cut_download_goes_on(server, row):
    server.deeds = [Deed(cut=100_000), Deed(cut=50_000), GOOD]
    notices = []
    download_checkpoint(row, notice=notices.append)
    assert_here(row)
    assert [r.range for r in server.requests] == [None, "bytes=100000-", "bytes=150000-"]
    assert [r.headers["If-Range"] for r in server.requests] == [None, server.etag, server.etag]
    assert server.sent == len(CONTENT)
    assert all(n.startswith("Trying again: ") for n in notices)
    assert len(notices) == 2


def test_a_body_that_ends_early_without_a_length(server, row):
    server.deeds = [Deed(cut=100_000, length=""), GOOD]
    download_checkpoint(row)
    assert_here(row)
    assert server.requests[1].range == "bytes=100000-"


def test_a_later_call_goes_on(server, row):
    server.deeds = [Deed(cut=100_000), Deed(status=404, body=b"")]
    with pytest.raises(CheckpointError, match="404"):
        download_checkpoint(row)
    assert part(row).read_bytes() == CONTENT[:100_000]
    server.deeds = [GOOD]
    seen = []
    download_checkpoint(row, progress=lambda done, total: seen.append(done))
    assert_here(row)
    assert seen[0] == 100_000
    assert server.requests[-1].headers["If-Range"] == server.etag


def test_a_server_without_ranges(server, row):
    server.deeds = [Deed(cut=100_000), Deed(ranges=False)]
    download_checkpoint(row)
    assert_here(row)
    assert server.sent == 100_000 + len(CONTENT)


def test_a_file_that_changed_in_between(server, row):
    server.content = OTHER
    before = server.etag
    server.deeds = [Deed(cut=100_000), GOOD]

    def change(done, total):
        if done >= 100_000:
            server.content = CONTENT

    download_checkpoint(row, progress=change)
    assert_here(row)
    assert server.requests[1].headers["If-Range"] == before != server.etag


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 7-299999/300000"},
        {"Content-Range": "bytes 100000-299999/400000"},
        {"Content-Range": "pages 1-2/3"},
        {"Content-Range": None},
        {"ETag": '"another"'},
        {"Content-Length": "7"},
    ],
    ids=str,
)
def test_a_server_that_continues_something_else(server, row, headers):
    server.deeds = [Deed(cut=100_000), Deed(headers=headers), GOOD]
    download_checkpoint(row)
    assert_here(row)
    assert [r.range for r in server.requests] == [None, "bytes=100000-", None]


def test_a_range_that_cannot_be_had(server, row):
    server.deeds = [Deed(cut=100_000), Deed(status=416, body=b""), GOOD]
    download_checkpoint(row)
    assert_here(row)
    assert [r.range for r in server.requests] == [None, "bytes=100000-", None]


def test_a_weak_tag_is_no_validator(server, row):
    date = "Wed, 05 Apr 2023 10:00:00 GMT"
    headers = {"ETag": 'W/"about the same"', "Last-Modified": date}
    server.deeds = [Deed(cut=100_000, headers=headers), Deed(cut=0, headers=headers), GOOD]
    download_checkpoint(row)
    assert_here(row)
    assert server.requests[1].headers["If-Range"] == date


@pytest.mark.parametrize("note", [None, "", "{", "[]", '{"source": 1}', "\x00\xff"])
def test_a_damaged_part_is_not_believed(server, row, note):
    leave(row, b"x" * 1000)
    if note is not None:
        part(row).with_name(f"{row.file_name}.part.json").write_text(note, encoding="utf-8")
    notices = []
    download_checkpoint(row, notice=notices.append)
    assert_here(row)
    assert [r.range for r in server.requests] == ["bytes=1000-", None]
    assert "starting over" in notices[0]


def test_a_validator_that_no_header_can_hold_is_dropped(server, row):
    leave(row, CONTENT[:1000])
    note = {"source": row.url, "validator": "a\r\nHost: elsewhere"}
    part(row).with_name(f"{row.file_name}.part.json").write_text(json.dumps(note))
    download_checkpoint(row)
    assert_here(row)
    assert server.requests[0].headers["If-Range"] is None
    assert server.requests[0].range == "bytes=1000-"


def test_a_part_that_is_whole_needs_no_request(server, row):
    leave(row, CONTENT)
    download_checkpoint(row)
    assert_here(row)
    assert not server.requests


def test_a_part_that_is_too_long_is_dropped(server, row):
    leave(row, CONTENT + b"x")
    download_checkpoint(row)
    assert_here(row)
    assert server.requests[0].range is None


def test_a_server_that_stalls(server, row):
    server.deeds = [Deed(gate=threading.Event()), GOOD]
    notices = []
    download_checkpoint(row, timeout=0.2, notice=notices.append)
    server.deeds[0].gate.set()
    assert_here(row)
    assert "does not answer within 0.2 seconds" in notices[0]


# --- Servers that are in trouble ---


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_trouble_that_passes(server, row, status):
    server.deeds = [Deed(status=status, body=b"")] * 2 + [GOOD]
    download_checkpoint(row)
    assert_here(row)
    assert len(server.requests) == 3


def test_trouble_that_stays(server, row):
    server.deeds = [Deed(cut=1000), Deed(status=503, body=b"")]
    with pytest.raises(CheckpointError) as caught:
        download_checkpoint(row)
    assert len(server.requests) == 1 + len(download.PAUSES)
    message = str(caught.value)
    assert "503 (Service Unavailable)" in message
    assert "1 kB of 300 kB are here and kept" in message
    assert "segwidget models download vit_b" in message
    assert str(row.path.parent) in message
    assert "--mirror" in message


@pytest.mark.parametrize(
    ("asked", "waited"), [("7", 7.0), ("86400", 30.0), ("Wed, 05 Apr 2023 10:00:00 GMT", 0.001)]
)
def test_a_server_that_asks_for_patience(server, row, monkeypatch, asked, waited):
    pauses = []
    monkeypatch.setattr(download._Job, "_pause", lambda self, seconds: pauses.append(seconds))
    server.deeds = [Deed(status=429, body=b"", headers={"Retry-After": asked}), GOOD]
    download_checkpoint(row)
    assert pauses == [waited]


def test_a_bad_line_that_brings_the_file_forward_is_enough(server, row, monkeypatch):
    monkeypatch.setattr(download, "SUBSTANTIAL", 10_000)
    server.deeds = [Deed(cut=20_000)]
    download_checkpoint(row)
    assert_here(row)
    assert len(server.requests) == 15


def test_a_bad_line_that_starts_over_again_and_again_is_not(server, row, monkeypatch):
    monkeypatch.setattr(download, "SUBSTANTIAL", 10_000)
    server.deeds = [Deed(cut=20_000, ranges=False)]
    with pytest.raises(CheckpointError, match="tries in a row"):
        download_checkpoint(row)
    assert len(server.requests) == 1 + len(download.PAUSES)


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (401, "wants a login"),
        (403, "or a proxy does"),
        (404, "no such file"),
        (407, "proxy wants a login"),
        (410, "gone"),
        (418, "418"),
        (204, "No Content"),
        (206, "Partial Content"),
        (304, "Not Modified"),
    ],
)
def test_refusals_are_not_argued_with(server, row, status, meaning):
    server.deeds = [Deed(status=status, body=b"")]
    with pytest.raises(CheckpointError, match=meaning) as caught:
        download_checkpoint(row)
    assert len(server.requests) == 1
    assert row.url in str(caught.value)
    assert str(row.path.parent) in str(caught.value)


# --- Servers that lie ---


def test_a_web_page_instead_of_the_file(server, row):
    page = {"Content-Type": "text/html; charset=utf-8"}
    server.deeds = [Deed(status=200, body=b"<html>Please log in", headers=page)]
    with pytest.raises(CheckpointError, match="web page instead of the file"):
        download_checkpoint(row)
    assert not part(row).exists()


def test_a_web_page_that_says_it_is_the_file(server, row):
    server.deeds = [Deed(status=200, body=b"<html>".ljust(len(CONTENT)))]
    with pytest.raises(CheckpointError, match=r"not the published.*SHA-256 is [0-9a-f]{64}"):
        download_checkpoint(row)
    assert not part(row).exists()


def test_wrong_bytes_of_the_right_length(server, row):
    server.content = OTHER
    with pytest.raises(CheckpointError) as caught:
        download_checkpoint(row)
    assert hashlib.sha256(OTHER).hexdigest() in str(caught.value)
    assert row.sha256 in str(caught.value)
    assert "It was deleted" in str(caught.value)
    assert len(server.requests) == 1
    assert not part(row).exists()
    assert not row.path.exists()


@pytest.mark.parametrize("size", [1, 299_999, 300_001])
def test_a_file_of_another_length(server, row, size):
    server.content = b"x" * size
    with pytest.raises(CheckpointError, match=rf"has {size:,} bytes.*has 300,000"):
        download_checkpoint(row)
    assert not part(row).exists()


def test_a_length_that_is_not_delivered(server, row):
    server.deeds = [Deed(body=b"x" * 1000, length=len(CONTENT))]
    with pytest.raises(CheckpointError, match="tries in a row"):
        download_checkpoint(row)
    assert not row.path.exists()


def test_a_body_without_end_is_stopped(server, row):
    server.deeds = [Deed(length="", endless=True)]
    with pytest.raises(CheckpointError, match=r"more than the 300,000 bytes"):
        download_checkpoint(row)
    assert not part(row).exists()
    assert not row.path.exists()


def test_a_compressed_body(server, row):
    server.deeds = [Deed(headers={"Content-Encoding": "gzip"})]
    with pytest.raises(CheckpointError, match="compressed, although"):
        download_checkpoint(row)
