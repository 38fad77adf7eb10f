"""Python ends quietly while models are at work."""

import os
import subprocess
import sys

SCRIPT = """
import numpy as np
from segwidget import Segmenter
noise = np.random.default_rng(0).integers(0, 255, (3, 600, 800, 3), np.uint8)
widgets = [Segmenter(picture) for picture in noise]
for seg in widgets:
    seg.wait()
    seg.start_everything({"points_per_side": 16})
    seg.show_insight("pca")
print("made")
"""


def test_python_ends_quietly_while_threads_compute(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "SEGWIDGET_CACHE": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (0, "made\n")
    assert "terminate" not in done.stderr
    assert "Traceback" not in done.stderr
