"""What a user is handed: the wheel and the sdist, built as an installer builds them."""

import email
import gzip
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import segwidget

ROOT = Path(__file__).parents[2]
STEM = f"segwidget-{segwidget.__version__}"
DECODER = {"segwidget/static/decode/worker.js.gz", "segwidget/static/decode/ort.wasm.gz"}
BUNDLE = {
    "segwidget/static/widget.js",
    "segwidget/static/widget.css",
    "segwidget/static/standalone.js",
    *DECODER,
}

NOT_SOURCE = shutil.ignore_patterns(
    ".*_cache", ".git", ".venv", "__pycache__", "build", "dist", "node_modules", "runs", "static"
)


def build(source: Path, out: Path, *options: str, path: str | None = None) -> None:
    """Build without isolation, so that nothing is downloaded."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, *options, source],
        env={**os.environ, "PATH": path or os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources as a fresh clone holds them, with npm's packages borrowed."""
    copy = tmp_path_factory.mktemp("checkout") / "segwidget"
    shutil.copytree(ROOT, copy, ignore=NOT_SOURCE)
    if (ROOT / "js" / "node_modules").is_dir():
        (copy / "js" / "node_modules").symlink_to(ROOT / "js" / "node_modules")
    return copy


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of the checkout, and the wheel that is built from this sdist."""
    out = tmp_path_factory.mktemp("dist")
    build(checkout, out)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return built / f"{STEM}-py3-none-any.whl"


@pytest.fixture(scope="module")
def in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def in_sdist(built: Path) -> set[str]:
    with tarfile.open(built / f"{STEM}.tar.gz") as archive:
        return {name.removeprefix(f"{STEM}/") for name in archive.getnames()}


def source_files(pattern: str) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / "segwidget").rglob(pattern)}


def test_wheel_holds_the_package_and_nothing_else(in_wheel: set[str]) -> None:
    dist_info = f"{STEM}.dist-info"
    assert {name.split("/")[0] for name in in_wheel} == {"segwidget", dist_info, f"{STEM}.data"}
    assert {Path(name).suffix for name in in_wheel if name.startswith("segwidget/")} <= {
        ".py",
        ".typed",
        ".js",
        ".css",
        ".gz",
        ".safetensors",
        ".md",
    }
    assert not [name for name in in_wheel if "test" in name.lower() or "node_modules" in name]


def test_wheel_enables_the_server_extension(wheel: Path, in_wheel: set[str]) -> None:
    enabling = f"{STEM}.data/data/etc/jupyter/jupyter_server_config.d/segwidget.json"
    assert [name for name in in_wheel if name.startswith(f"{STEM}.data")] == [enabling]
    with zipfile.ZipFile(wheel) as archive:
        enabled = json.loads(archive.read(enabling))
    assert enabled == {"ServerApp": {"jpserver_extensions": {"segwidget.server": True}}}


def test_wheel_holds_every_module(in_wheel: set[str]) -> None:
    assert source_files("*.py") == {name for name in in_wheel if name.endswith(".py")}
    assert "segwidget/py.typed" in in_wheel


def test_wheel_holds_the_front_end(wheel: Path, in_wheel: set[str]) -> None:
    assert in_wheel >= BUNDLE
    with zipfile.ZipFile(wheel) as archive:
        sizes = {name: archive.getinfo(name).file_size for name in BUNDLE}
    assert all(size > 0 for size in sizes.values())
    assert sizes["segwidget/static/widget.js"] <= 300_000


def test_wheel_holds_what_answers_in_the_page(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in DECODER}
    unpacked = {Path(name).name: gzip.decompress(data) for name, data in packed.items()}
    assert unpacked["ort.wasm.gz"].startswith(b"\0asm")
    # The licence of what is bundled travels with it.
    assert b"Copyright (c) Microsoft Corporation" in unpacked["worker.js.gz"][:2000]
    assert all(data[4:8] == b"\0\0\0\0" for data in packed.values()), "a date in the archive"
    assert sum(len(data) for data in packed.values()) <= 4_500_000


def test_wheel_holds_the_weights_and_their_card(wheel: Path, in_wheel: set[str]) -> None:
    data = source_files("*.safetensors") | source_files("MODEL_CARD.md")
    assert any(name.endswith(".safetensors") for name in data)
    assert any(name.endswith("MODEL_CARD.md") for name in data)
    assert data <= in_wheel
    with zipfile.ZipFile(wheel) as archive:
        assert all(archive.getinfo(name).file_size <= 12_000_000 for name in data)


def test_wheel_states_its_licence_and_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read(f"{STEM}.dist-info/METADATA"))
        licence = archive.read(f"{STEM}.dist-info/licenses/LICENSE").decode()
    assert metadata["Version"] == segwidget.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert "Apache License" in licence
    needed = [need for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert any(need.startswith("torch") for need in needed)
    assert not any(need.startswith(("pytest", "nodejs", "opencv")) for need in needed)


def test_sdist_can_be_built_with_and_without_node(in_sdist: set[str]) -> None:
    assert in_sdist >= BUNDLE
    assert in_sdist >= {"LICENSE", "README.md", "hatch_build.py", "js/package.json", "PKG-INFO"}
    assert not [name for name in in_sdist if "node_modules" in name or "__pycache__" in name]


def test_wheel_from_a_checkout_without_node_is_the_same(
    checkout: Path, tmp_path: Path, in_wheel: set[str]
) -> None:
    programs = tmp_path / "bin"  # a PATH with a shell, which npm needs, and nothing else
    programs.mkdir()
    shell = shutil.which("sh")
    assert shell is not None
    (programs / "sh").symlink_to(shell)
    shutil.rmtree(checkout / "segwidget" / "static")

    build(checkout, tmp_path, "--wheel", path=str(programs))

    with zipfile.ZipFile(tmp_path / f"{STEM}-py3-none-any.whl") as archive:
        assert set(archive.namelist()) == in_wheel


def test_installed_wheel_imports(wheel: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", tmp_path / "site", wheel], check=True, timeout=120)
    code = "import segwidget as s; print(s.__version__, s.__file__, s.Point.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    version, file, name = done.stdout.split()
    assert version == segwidget.__version__
    assert Path(file).is_relative_to(tmp_path)
    assert name == "Point"
