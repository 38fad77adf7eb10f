"""`segwidget embed` and `segwidget cache`, as a person runs them."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from typer.testing import CliRunner

from segwidget.cli import app, main
from segwidget.inference import bulk_embed
from segwidget.inference.embedding_store import EmbeddingStore
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.sam.build import build_compact

PATIENCE = 120  # seconds until something that should have happened counts as hanging

# The command with a small network, so that it is quick, in a process of its own.
CHILD = """
import sys, torch
torch.set_num_threads(1)
torch.manual_seed(0)
from segwidget import cli
from segwidget.inference import bulk_embed
from segwidget.inference.models import Model
from segwidget.sam.build import build_compact
model = Model(build_compact(64).eval(), "tiny", "ab" * 32)
bulk_embed.load_model = lambda name, device, precision: model
sys.exit(cli.main())
"""


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """An empty store, turned on."""
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SEGWIDGET_EMBEDDINGS_MAX_BYTES")
    monkeypatch.setenv("COLUMNS", "200")
    return EmbeddingStore(tmp_path / "cache" / "embeddings")


@pytest.fixture
def tiny(monkeypatch):
    """A small network of random weights in place of any model."""
    torch.manual_seed(0)
    model = Model(build_compact(64).eval(), "tiny", "ab" * 32)
    asked = []

    def load(name, device, precision):
        asked.append((name, device, precision))
        return model

    monkeypatch.setattr(bulk_embed, "load_model", load)
    return asked


def pictures(folder, count):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        PILImage.fromarray(pixels).save(folder / f"{i:03}.png")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_images_are_embedded_ahead(tmp_path, tiny, store):
    folder = pictures(tmp_path / "images", 3)
    done = run("embed", folder, "--model", "vit_b", "--device", "cpu")
    assert done.exit_code == 0
    assert done.stdout.strip() == "3 embedded, 0 were there already, 0 skipped, of 3."
    assert "3/3" in done.stderr
    assert "image" in done.stderr  # per second, and the time left
    assert tiny == [("vit_b", "cpu", "float32")]
    assert store.usage().entries == 3
    pictures(folder / "more", 4)
    assert run("embed", folder).stdout.startswith("0 embedded, 3 were there already")
    again = run("embed", folder, "--recursive")
    assert again.stdout.strip() == "1 embedded, 6 were there already, 0 skipped, of 7."


def test_the_real_model_and_what_it_is_for(tmp_path, store, monkeypatch):
    folder = pictures(tmp_path / "images", 1)
    assert run("embed", folder, "--device", "cpu").exit_code == 0
    predictor = Predictor("embedded", "cpu")
    monkeypatch.setattr(predictor.model.network, "embed", None)  # not asked any more
    predictor.set_image(folder / "000.png")
    assert predictor.image.width == 30
    predictor.reset_image(forget=True)


def test_what_cannot_be_opened_is_listed_at_the_end(tmp_path, tiny):
    folder = pictures(tmp_path / "images", 2)
    (folder / "bad.png").write_text("not a picture")
    done = run("embed", folder, folder / "missing.png", folder / "*.gif")
    assert done.exit_code == 0
    assert "3 skipped, of 5" in done.stdout
    for name in ("bad.png", "missing.png", "*.gif"):
        assert f"Skipped {folder / name}: " in done.stderr
    failed = run("embed", folder / "bad.png", folder / "missing.png")
    assert failed.exit_code == 1
    assert "2 skipped, of 2" in failed.stdout
    assert run("embed").exit_code == 2


def test_a_small_limit_is_told_once(tmp_path, tiny):
    folder = pictures(tmp_path / "images", 4)
    done = run("embed", folder, "--max-bytes", 80_000)
    assert done.exit_code == 0
    assert done.stderr.count("SEGWIDGET_EMBEDDINGS_MAX_BYTES=") == 1
    assert run("embed", folder, "--max-bytes", 0).exit_code == 2


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path, tiny, store, monkeypatch, capsys):
    folder = pictures(tmp_path / "images", 2)
    store.folder.parent.mkdir()
    store.folder.write_text("in the way")
    monkeypatch.setattr(sys, "argv", ["segwidget", "embed", str(folder)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "segwidget: Embeddings cannot be kept in" in capsys.readouterr().err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_what_is_done_stays_when_it_is_stopped(tmp_path, tiny, store, sent):
    folder = pictures(tmp_path / "images", 400)
    process = start("embed", folder)
    deadline = time.monotonic() + PATIENCE
    while store.usage().entries < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(sent)
    out, err = process.communicate(timeout=PATIENCE)
    done = store.usage().entries
    assert 2 <= done < 400
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert out.startswith(f"{done} embedded")
        assert "Stopped. What is done stays" in err
        assert "Traceback" not in err
    # Goes on from there, on few images: the rest would only take time.
    for file in sorted(folder.iterdir())[done + 2 :]:
        file.unlink()
    goes_on = run("embed", folder).stdout
    assert goes_on.strip() == f"2 embedded, {done} were there already, 0 skipped, of {done + 2}."


def test_two_at_once_do_no_harm(tmp_path, store):
    folder = pictures(tmp_path / "images", 30)
    for process in [start("embed", folder), start("embed", folder)]:
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        assert "0 skipped, of 30" in out
    assert store.usage().entries == 30
    assert not list(store.folder.glob("*/.*"))


def test_the_cache_is_described_and_cleared(tmp_path, tiny, store):
    assert run("cache", "info").stdout.startswith("0 embeddings, 0 bytes of 2.15 GB")
    run("embed", pictures(tmp_path / "images", 2))
    size = store.usage().nbytes
    described = run("cache", "info").stdout
    assert described.startswith(f"2 embeddings, {size / 1000:.0f} kB of 2.15 GB")
    assert str(store.folder) in described
    assert run("cache", "clear").stdout.startswith("2 embeddings deleted")
    assert store.usage() == (0, 0)


def test_a_limit_that_is_no_number_is_told(monkeypatch):
    monkeypatch.setenv("SEGWIDGET_EMBEDDINGS_MAX_BYTES", "2 GB")
    assert "expected a whole number of bytes" in run("cache", "info").stderr


def test_the_cache_is_described_without_torch():
    code = "import sys; from segwidget import cli\ntry: cli.main()\nfinally: print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "cache", "info"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert "0 embeddings" in done.stdout
    assert {"torch", "numpy"}.isdisjoint(done.stdout.split())
