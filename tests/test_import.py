"""The package as `import segwidget` shows it."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import segwidget

LAZY = sorted(set(segwidget.__all__) - {"__version__"})


def in_fresh_python(code: str) -> str:
    """What `code` prints in an interpreter that has imported nothing yet."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_import_loads_no_heavy_module() -> None:
    loaded = in_fresh_python("import sys, segwidget; print(*sys.modules)").split()
    assert "segwidget" in loaded
    heavy = {"torch", "numpy", "pandas", "matplotlib", "PIL", "ipywidgets", "anywidget", "IPython"}
    assert heavy.isdisjoint(loaded)


def test_errors_load_no_heavy_module() -> None:
    loaded = in_fresh_python("import sys, segwidget.errors; print(*sys.modules)").split()
    assert {"torch", "numpy", "ipywidgets"}.isdisjoint(loaded)


@pytest.mark.parametrize("name", LAZY)
def test_lazy_name_resolves_to_its_own_definition(name: str) -> None:
    value = getattr(segwidget, name)
    assert value.__name__ == name
    assert value.__module__.startswith("segwidget.")
    assert getattr(segwidget, name) is value


def test_dir_lists_names_before_they_are_touched() -> None:
    listed = in_fresh_python("import segwidget; print(*dir(segwidget))").split()
    assert set(segwidget.__all__) <= set(listed)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Segmentor'"):
        _ = segwidget.Segmentor  # type: ignore[attr-defined]


def test_version_has_one_source() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+([a-z]+\d+)?", segwidget.__version__)
    assert version("segwidget") == segwidget.__version__
    root = Path(__file__).parents[1]
    assert 'dynamic = ["version"]' in (root / "pyproject.toml").read_text(encoding="utf-8")
