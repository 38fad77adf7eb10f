"""The page answers with a published model's decoder as it does with the embedded one's.

The weights are random: what is compared is the graph that the page runs, not its masks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from segwidget.sam.build import BUILDERS
from tests.browser.conftest import OpenNotebook
from tests.browser.test_decode import (
    ask_kernel,
    ask_page,
    by_token,
    open_ready,
    questions,
    tokens_of,
)

CELL = """
from skimage import data
from segwidget import Segmenter
seg = Segmenter(data.chelsea(), model={path!r})
seg
"""


@pytest.mark.slow
def test_page_and_kernel_agree_on_the_decoder_of_sam(
    open_notebook: OpenNotebook, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    path = tmp_path / "published_layout.safetensors"
    save_file(BUILDERS["mobile_sam"]().state_dict(), path)
    stage = open_ready(open_notebook, cells=[CELL.format(path=str(path))])

    asked = questions()[::20]  # points, boxes, and dialogues
    answers, mine = ask_page(stage, asked)
    kernel = ask_kernel(stage, asked, tmp_path / "kernel.npz")
    theirs = by_token(kernel["logits"], kernel["tokens"])
    assert theirs.shape == mine.shape
    assert theirs.std() > 1e-3  # not all the same
    assert np.abs(mine - theirs).max() <= 0.02 * theirs.std()
    scores = by_token(np.array([answer["iou"] for answer in answers]), tokens_of(answers))
    assert np.abs(scores - by_token(kernel["iou"], kernel["tokens"])).max() <= 0.005
    assert stage.lab.errors == []
