"""The rooms of the package and the direction of imports between them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = (
    "annotation",
    "compat",
    "engine",
    "evaluation",
    "inference",
    "media",
    "sam",
    "training",
    "widget",
)


def lint_imports(cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package and the configuration that lie in `cwd`."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache", "--no-logo"],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_imports_keep_the_contracts() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("sam/build.py", "from segwidget.widget import segmenter"),
        ("sam/build.py", "import segwidget.media"),
        ("inference/predictor.py", "import segwidget.compat"),
        ("compat/sam.py", "import ipywidgets"),
        ("media/image.py", "import segwidget.sam"),
        ("annotation/session.py", "import segwidget.sam"),
        ("inference/predictor.py", "import ipywidgets"),
        ("errors.py", "import segwidget.media"),
    ],
)
def test_contracts_notice_a_forbidden_import(tmp_path: Path, module: str, line: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    package = tmp_path / "segwidget"
    for room in ROOMS:
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").touch()
    for empty in ("__init__.py", "errors.py", "widget/segmenter.py"):
        (package / empty).touch()
    assert lint_imports(tmp_path).returncode == 0

    (package / module).write_text(line + "\n", encoding="utf-8")
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    assert "1 broken" in done.stdout
