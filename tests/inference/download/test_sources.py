"""Where a file is fetched from: redirects, proxies, mirrors, and not at all."""

from dataclasses import replace

import httpx
import pytest

from segwidget.errors import CheckpointError
from segwidget.inference import sources
from segwidget.inference.download import download_checkpoint
from tests.inference.download.misbehaving_server import GOOD, Deed, serving
from tests.inference.download.small_file import CONTENT, OTHER, assert_here, leave

# --- Redirects ---


def to(where, status=302):
    return Deed(status=status, body=b"<html>over there", headers={"Location": where})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server, row, status):
    server.deeds = [
        to("/elsewhere?token=1", status),
        Deed(cut=1000),
        to("/elsewhere", status),
        GOOD,
    ]
    download_checkpoint(row)
    assert_here(row)
    assert [r.path for r in server.requests][1:] == [
        "/elsewhere?token=1",
        "/sam/sam_vit_b_01ec64.pth",
        "/elsewhere",
    ]
    assert server.requests[-1].range == "bytes=1000-"


def test_redirects_in_circles(server, row):
    server.deeds = [to(row.url)]
    with pytest.raises(CheckpointError, match="from one address to the next"):
        download_checkpoint(row)
    assert len(server.requests) == sources.MAX_REDIRECTS


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_redirects_to_where_nobody_should_go(server, row, where):
    server.deeds = [to(where)]
    with pytest.raises(CheckpointError, match="redirects"):
        download_checkpoint(row)
    assert len(server.requests) == 1


def test_a_redirect_to_no_address(server, row):
    server.deeds = [to("http://host:port/")]
    with pytest.raises(CheckpointError, match="Invalid URL"):
        download_checkpoint(row)


def test_a_protected_connection_stays_protected(row, monkeypatch):
    asked = []

    def answer(request):
        asked.append(str(request.url))
        if request.url.scheme == "https" and request.url.path == "/a":
            return httpx.Response(302, headers={"Location": "https://b.test/b"})
        return httpx.Response(302, headers={"Location": "http://c.test/c?secret=1"})

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(sources, "make_client", lambda _: httpx.Client(transport=transport))
    with pytest.raises(CheckpointError, match=r"protected connection to http://c\.test/c,"):
        download_checkpoint(replace(row, url="https://a.test/a"))
    assert asked == ["https://a.test/a", "https://b.test/b"]


# --- Networks and proxies ---


def test_no_network(row):
    with serving(b"") as gone:
        url = f"{gone.url}/x.pth"
    with pytest.raises(CheckpointError, match=r"connection to 127\.0\.0\.1 fails.*put it into"):
        download_checkpoint(replace(row, url=url))


def test_a_proxy_is_heeded(server, row, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", server.url)
    row = replace(row, url="http://weights.invalid/x.pth")
    download_checkpoint(row)
    assert_here(row)
    assert server.requests[0].path == row.url


def test_a_proxy_that_forbids(server, row, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", server.url)
    server.deeds = [Deed(status=403, body=b"<html>blocked", headers={"Content-Type": "text/html"})]
    with pytest.raises(CheckpointError, match=r"weights\.invalid answers 403.*or a proxy does"):
        download_checkpoint(replace(row, url="http://weights.invalid/x.pth"))


def test_settings_that_make_no_sense(row, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "gopher://proxy:70")
    with pytest.raises(CheckpointError, match=r"settings for the network.*HTTPS_PROXY"):
        download_checkpoint(row)


def test_certificates_that_cannot_be_read(row, monkeypatch, tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(CheckpointError, match=r"settings for the network.*SSL_CERT_FILE"):
        download_checkpoint(row)


def test_offline_means_no_request(server, row, monkeypatch):
    monkeypatch.setenv("SEGWIDGET_OFFLINE", "1")
    for mirror in (None, server.url):
        with pytest.raises(CheckpointError, match="SEGWIDGET_OFFLINE is set") as caught:
            download_checkpoint(row, mirror=mirror)
        assert str(row.path.parent) in str(caught.value)
        assert row.file_name in str(caught.value)
    assert not server.requests
    row.path.parent.mkdir()
    row.path.write_bytes(CONTENT)
    assert download_checkpoint(row) == row.path


@pytest.mark.parametrize("value", ["", "0", "false", "No"])
def test_offline_can_be_switched_off(row, monkeypatch, value):
    monkeypatch.setenv("SEGWIDGET_OFFLINE", value)
    download_checkpoint(row)
    assert_here(row)


# --- Mirrors ---


def test_a_mirror_on_the_web(server, row, monkeypatch):
    row = replace(row, url="https://weights.invalid/x.pth")
    monkeypatch.setenv("SEGWIDGET_MIRROR", f"{server.url}/from-variable/")
    download_checkpoint(row)
    download_checkpoint(row, mirror=f"{server.url}/given", force=True)
    assert_here(row)
    assert [r.path for r in server.requests] == [
        "/from-variable/sam_vit_b_01ec64.pth",
        "/given/sam_vit_b_01ec64.pth",
    ]


def test_a_mirrors_password_is_used_and_not_shown(server, row):
    server.deeds = [Deed(status=404, body=b"")]
    with pytest.raises(CheckpointError) as caught:
        download_checkpoint(row, mirror=server.url.replace("//", "//me:secret@"))
    assert server.requests[0].headers["Authorization"].startswith("Basic ")
    assert "secret" not in str(caught.value)


@pytest.fixture
def shelf(tmp_path):
    folder = tmp_path / "a shelf"
    folder.mkdir()
    (folder / "sam_vit_b_01ec64.pth").write_bytes(CONTENT)
    return folder


@pytest.mark.parametrize("form", [str, lambda path: path.as_uri()], ids=["path", "uri"])
def test_a_folder_is_a_mirror_and_no_network(server, row, shelf, monkeypatch, form):
    monkeypatch.setenv("SEGWIDGET_OFFLINE", "1")
    monkeypatch.setenv("SEGWIDGET_MIRROR", form(shelf))
    seen = []
    download_checkpoint(row, progress=lambda done, total: seen.append(done))
    assert_here(row)
    assert not server.requests
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)
    assert (shelf / row.file_name).read_bytes() == CONTENT


def test_a_folder_finishes_what_a_server_began(row, shelf):
    leave(row, CONTENT[:1000])
    seen = []
    download_checkpoint(row, mirror=str(shelf), progress=lambda done, total: seen.append(done))
    assert_here(row)
    assert seen[0] == 1000


def test_a_folder_is_not_believed_either(row, shelf):
    (shelf / row.file_name).write_bytes(OTHER)
    with pytest.raises(CheckpointError, match="not the published"):
        download_checkpoint(row, mirror=str(shelf))
    (shelf / row.file_name).write_bytes(b"short")
    with pytest.raises(CheckpointError, match="has 5 bytes"):
        download_checkpoint(row, mirror=str(shelf))
    (shelf / row.file_name).unlink()
    with pytest.raises(CheckpointError, match=r"does not hold a readable.*No such file"):
        download_checkpoint(row, mirror=str(shelf))
    assert not row.path.exists()


@pytest.mark.parametrize("mirror", ["ftp://host/folder", "https:/host", "http://"])
def test_addresses_that_are_no_mirror(row, mirror):
    with pytest.raises(CheckpointError, match="no mirror"):
        download_checkpoint(row, mirror=mirror)
