"""The places beside JupyterLab where the widget lives, each as a server of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.browser.lab_driver import LabServer, Server


class NotebookServer(LabServer):
    """Notebook 7."""

    app = "notebook"
    page_path = "/notebooks"


class VoilaServer(LabServer):
    """Voila: notebooks in `root` as pages without cells."""

    app = "voila"
    page_path = "/voila/render"
    ready_path = "/"

    def _command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "voila",
            "--no-browser",
            f"--port={self.port}",
            "--Voila.ip=127.0.0.1",
            f"--Voila.root_dir={self.root}",
            f"--token={self.token}",
        ]

    def _write_settings(self) -> None:
        pass


class MarimoServer(Server):
    """marimo's editor with one notebook."""

    ready_path = "/health"

    def __init__(self, home: Path, cells: list[str]) -> None:
        super().__init__(home)
        self.root.mkdir(parents=True)
        self.notebook = self.root / "page.py"
        indented = ("".join(f"    {line}\n" for line in cell.splitlines()) for cell in cells)
        self.notebook.write_text(
            "import marimo\napp = marimo.App()\n"
            + "".join(f"\n\n@app.cell\ndef _():\n{cell}    return\n" for cell in indented)
        )

    def _command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "marimo",
            "-q",
            "edit",
            str(self.notebook),
            "--headless",
            "--no-token",
            "--skip-update-check",
            "--host=127.0.0.1",
            f"--port={self.port}",
        ]

    def _write_settings(self) -> None:
        """The notebook's cells run when it is opened."""
        file = self.home / "config" / "marimo" / "marimo.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("[runtime]\nauto_instantiate = true\n")
