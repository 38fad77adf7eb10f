"""The command as a person runs it: in a process of its own."""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from importlib.metadata import entry_points

import pytest

import segwidget
from segwidget.cli import main
from segwidget.inference.registry import MODELS
from tests.inference.download.misbehaving_server import GOOD, Deed, serving

CONTENT = random.Random(0).randbytes(300_000)

# Rows may be replaced, so that small files stand for large ones. Ends with what has been imported.
CHILD = """
import json, sys
from segwidget.cli import main
from segwidget.inference.registry import MODELS, ModelRow
rows = json.loads(sys.argv.pop(1))
MODELS.update({name: ModelRow(**row) for name, row in rows.items()})
try:
    main()
finally:
    print("IMPORTED", *sys.modules)
"""


def start(*arguments, row=None, **options):
    rows = json.dumps({} if row is None else {row.name: asdict(row)})
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, rows, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        **options,
    )


class Outcome:
    """How a command ended, and what it said."""

    def __init__(self, process):
        out, self.err = process.communicate(timeout=120)
        self.out, _, imported = out.partition("IMPORTED")
        self.imported = set(imported.split())
        self.code = process.returncode


def run(*arguments, row=None):
    return Outcome(start(*arguments, row=row))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("SEGWIDGET_OFFLINE", "SEGWIDGET_MIRROR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server():
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def row(server):
    return replace(
        MODELS["vit_b"],
        url=f"{server.url}/sam_vit_b_01ec64.pth",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


def test_the_command_is_installed():
    (entry,) = entry_points(group="console_scripts", name="segwidget")
    assert entry.load() is main


def test_version():
    done = run("--version")
    assert (done.code, done.out.strip(), done.err) == (0, segwidget.__version__, "")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["models"], ["models", "--help"], ["models", "download", "--help"]],
    ids=" ".join,
)
def test_what_needs_no_network_and_no_model_imports_neither(arguments):
    done = run(*arguments)
    assert done.code == 0
    assert done.out
    assert "segwidget.cli" in done.imported
    heavy = {"torch", "numpy", "pandas", "PIL", "httpx", "ipywidgets", "matplotlib", "tqdm"}
    assert heavy.isdisjoint(done.imported)


def test_no_arguments_show_the_help():
    done = run()
    assert "models" in done.out + done.err


def test_models_are_listed(folder):
    folder.mkdir()
    small = replace(MODELS["vit_b"], size=3)
    (folder / small.file_name).write_bytes(b"abc")
    (folder / MODELS["vit_h"].file_name).write_bytes(b"damaged")
    done = run("models", row=small)
    assert done.code == 0
    lines = {line.split()[0]: line for line in done.out.splitlines()[: len(MODELS) + 1]}
    assert re.split(r"\s{2,}", lines["NAME"]) == ["NAME", "SIZE", "LICENCE", "HERE", "WHERE"]

    def cells(name):
        return re.split(r"\s{2,}", lines[name])

    embedded = MODELS["embedded"]
    assert cells("embedded") == ["embedded", "9 MB", "Apache-2.0", "yes", str(embedded.path)]
    assert cells("mobile_sam") == ["mobile_sam", "41 MB", "Apache-2.0", "no"]
    assert cells("vit_b") == ["vit_b", "3 bytes", "Apache-2.0", "yes", str(small.path)]
    assert cells("vit_h")[3:] == ["damaged", str(MODELS["vit_h"].path)]
    assert cells("medsam") == ["medsam", "375 MB", "Apache-2.0, CC-BY-4.0", "no"]
    for model in MODELS.values():
        assert model.purpose in done.out
    assert str(folder) in done.out


def test_a_download(server, row):
    server.deeds = [Deed(piece=1 << 15, pause=0.05)]
    done = run("models", "download", "vit_b", row=row)
    assert done.code == 0, done.err
    assert row.path.read_bytes() == CONTENT
    assert str(row.path) in done.out
    assert re.search(r"vit_b: 100%\|.*300k/300k", done.err)
    assert "torch" not in done.imported

    again = run("models", "download", "vit_b", row=row)
    assert (again.code, again.out, again.err) == (0, done.out, "")
    assert len(server.requests) == 1

    forced = run("models", "download", "vit_b", "--force", row=row)
    assert forced.code == 0
    assert len(server.requests) == 2


def test_a_download_from_a_mirror(server, row, tmp_path):
    (tmp_path / row.file_name).write_bytes(CONTENT)
    done = run("models", "download", "vit_b", "--mirror", str(tmp_path), row=row)
    assert done.code == 0
    assert row.path.read_bytes() == CONTENT
    assert not server.requests


def test_the_embedded_model_needs_no_download():
    done = run("models", "download", "embedded")
    assert done.code == 0
    assert str(MODELS["embedded"].path) in done.out


def test_trouble_is_told(server, row):
    server.deeds = [Deed(cut=100_000), GOOD]
    done = run("models", "download", "vit_b", row=row)
    assert done.code == 0
    assert "Trying again: " in done.err


def assert_is_one_sentence(done, *parts):
    assert done.code == 1
    assert done.err.startswith("segwidget: ")
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err
    for part in parts:
        assert part in done.err


def test_errors_are_one_sentence(server, row, monkeypatch):
    server.deeds = [Deed(status=404, body=b"")]
    assert_is_one_sentence(run("models", "download", "vit_b", row=row), "404", "--mirror")
    assert_is_one_sentence(run("models", "download", "vitb"), "Did you mean 'vit_b'?")
    assert_is_one_sentence(run("models", "verify", "vit_b"), "models download vit_b")
    monkeypatch.setenv("SEGWIDGET_OFFLINE", "1")
    done = run("models", "download", "vit_b", row=row)
    assert_is_one_sentence(done, "SEGWIDGET_OFFLINE", str(row.path.parent))
    assert len(server.requests) == 1


def test_wrong_commands_are_told_how():
    done = run("models", "fetch")
    assert done.code == 2
    assert "fetch" in done.err
    assert "--help" in done.err
    assert "Traceback" not in done.err


def test_ctrl_c_keeps_what_is_here(server, row):
    gate = threading.Event()
    server.deeds = [Deed(gate=gate, withheld=100_000), GOOD]
    process = start("models", "download", "vit_b", row=row)
    part = row.path.with_name(f"{row.file_name}.part")
    assert server.wait_for_requests(1)
    while not part.exists() or part.stat().st_size < 200_000:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    done = Outcome(process)
    gate.set()
    assert done.code == 130
    assert "Stopped. The same command goes on from there." in done.err
    assert "Traceback" not in done.err
    assert run("models", "download", "vit_b", row=row).code == 0
    assert row.path.read_bytes() == CONTENT
    assert server.requests[1].range == "bytes=200000-"


def test_verify(row):
    done = run("models", "verify")
    assert done.code == 0
    embedded = f"embedded is the published file, SHA-256 {MODELS['embedded'].sha256}"
    assert done.out.strip() == embedded

    row.path.parent.mkdir()
    row.path.write_bytes(CONTENT)
    done = run("models", "verify", "vit_b", row=row)
    assert done.code == 0
    assert row.sha256 in done.out

    row.path.write_bytes(bytes(len(CONTENT)))
    done = run("models", "verify", row=row)
    assert_is_one_sentence(done, "not the published file", "download vit_b --force")
    assert done.out.strip() == embedded
