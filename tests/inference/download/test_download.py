"""Downloads that go well, and what is here afterwards."""

import os

import pytest
import torch

from segwidget.errors import CheckpointError, ModelError
from segwidget.inference.download import download_checkpoint, verify
from segwidget.inference.models import load_model
from segwidget.inference.registry import MODELS, is_cached
from segwidget.sam.build import build_sam_mobile
from segwidget.sam.checkpoint import load_checkpoint
from segwidget.sam.hashing import file_sha256
from tests.inference.download.misbehaving_server import GOOD, Deed, serving
from tests.inference.download.small_file import CONTENT, OTHER, assert_here, row_of

# --- What goes well ---


def test_a_download(server, row):
    seen = []
    assert download_checkpoint(row, progress=lambda *at: seen.append(at)) == row.path
    assert_here(row)
    assert is_cached(row)
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    (request,) = server.requests
    assert request.path == "/sam/sam_vit_b_01ec64.pth"
    assert request.range is None
    assert request.headers["Accept-Encoding"] == "identity"


def test_what_is_here_is_not_fetched(server, row):
    download_checkpoint(row)
    download_checkpoint(row)
    assert len(server.requests) == 1
    download_checkpoint(row, force=True)
    assert len(server.requests) == 2
    assert_here(row)


def test_the_embedded_model_is_never_fetched(server, monkeypatch):
    monkeypatch.setenv("SEGWIDGET_MIRROR", server.url)
    row = MODELS["embedded"]
    assert download_checkpoint(row, force=True) == row.path
    assert not server.requests


def test_a_file_of_another_size_is_replaced(row):
    row.path.parent.mkdir()
    row.path.write_bytes(b"an error page that somebody saved")
    download_checkpoint(row)
    assert_here(row)


def test_a_forced_download_that_fails_leaves_the_file(server, row):
    download_checkpoint(row)
    server.deeds = [Deed(body=OTHER)]
    with pytest.raises(CheckpointError, match="SHA-256"):
        download_checkpoint(row, force=True)
    assert_here(row)


def test_nothing_in_a_file_is_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save(Trap(), tmp_path / "trap.pth")
    content = (tmp_path / "trap.pth").read_bytes()
    with serving(content) as server:
        row = row_of(content, f"{server.url}/x.pth")
        download_checkpoint(row)
        verify(row)
        with pytest.raises(CheckpointError, match="never run"):
            load_checkpoint(row.path)
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_that_was_downloaded_loads(tmp_path, monkeypatch):
    """The road that a person goes, with a file in the published layout and random weights."""
    torch.manual_seed(0)
    original = build_sam_mobile().state_dict()
    torch.save(original, tmp_path / "x.pt")
    content = (tmp_path / "x.pt").read_bytes()
    with serving(content) as server:
        server.deeds = [Deed(cut=10_000_000), GOOD]
        row = row_of(content, f"{server.url}/mobile_sam.pt", "mobile_sam")
        monkeypatch.setitem(MODELS, row.name, row)
        with pytest.raises(ModelError, match="`segwidget models download mobile_sam`"):
            load_model("mobile_sam", "cpu")
        assert not server.requests  # loading a model fetches nothing
        download_checkpoint(row)
        assert len(server.requests) == 2
    model = load_model("mobile_sam", "cpu")
    assert (model.name, model.sha256) == ("mobile_sam", row.sha256)
    key = "mask_decoder.iou_token.weight"
    torch.testing.assert_close(model.sam.state_dict()[key], original[key])


# --- Verifying what is here ---


def test_verify(row):
    with pytest.raises(CheckpointError, match=r"not on this computer.*models download vit_b`"):
        verify(row)
    download_checkpoint(row)
    assert verify(row) == row.sha256 == file_sha256(row.path)
    row.path.write_bytes(OTHER)
    assert is_cached(row)
    with pytest.raises(CheckpointError, match=r"not the published file.*download vit_b --force"):
        verify(row)
    row.path.unlink()
    row.path.mkdir()
    with pytest.raises(CheckpointError, match="cannot be read"):
        verify(row)


def test_the_embedded_model_is_what_was_shipped():
    assert verify(MODELS["embedded"]) == MODELS["embedded"].sha256
