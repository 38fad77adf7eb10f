"""The page's own decoder: it agrees with the kernel, is brought once, gives way when it dies."""

from __future__ import annotations

import base64
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Error, Worker, expect

from segwidget.inference.preprocessing import Frame
from tests.browser.conftest import QUICKSTART, OpenNotebook
from tests.browser.lab_driver import PATIENCE, POLL_SECONDS
from tests.browser.stage import Stage

H, W = 300, 451  # of scikit-image's chelsea

# Answers all questions in the page; of each the logits by token, float32 in base64.
ASK_PAGE = """async (root, questions) => {
    const base64 = (numbers) => {
        const bytes = new Uint8Array(numbers.buffer);
        let text = "";
        for (let i = 0; i < bytes.length; i += 32768) {
            text += String.fromCharCode(...bytes.subarray(i, i + 32768));
        }
        return btoa(text);
    };
    const answers = [];
    for (const [prompts, picks] of questions) {
        const { logits, shape, items, tokens, by } =
            await root.segwidget.engine.answer(prompts, picks);
        answers.push({ shape, tokens, by, logits: base64(logits),
                       iou: items.map((item) => item.predicted_iou),
                       stability: items.map((item) => item.stability_score),
                       area: items.map((item) => item.area) });
    }
    return answers;
}"""

# The same in the kernel, into a file.
ASK_KERNEL = """
import json, numpy as np
from segwidget.inference.dialogue import Dialogue
from segwidget.inference.prompts import prompt_from_dict
from segwidget.widget.protocol import candidates_to_json
predictor, _ = seg._answerer.look_inside()
answers = []
for prompts, picks in json.loads({questions!r}):
    found = Dialogue(predictor).answer([prompt_from_dict(p) for p in prompts], picks)
    items = candidates_to_json(found, "", 0)["items"]
    answers.append((found.seen_logits, found.tokens, [i["predicted_iou"] for i in items],
                    [i["stability_score"] for i in items], [i["area"] for i in items]))
names = "logits", "tokens", "iou", "stability", "area"
np.savez({path!r}, **{{n: np.array(v) for n, v in zip(names, zip(*answers))}})
f = predictor.frame
"""

# The browser has put aside the worker's script, its wasm and the three graphs.
ALL_KEPT = """async () => (await (await caches.open('segwidget-parts')).keys()).length === 5"""

# Notes which parts pages ask for.
COUNT_PARTS = """
asked = []
def counting(widget):
    send, names = widget.send_part, {p["key"]: n for n, p in widget.decoder.items() if "key" in p}
    def counted(key, piece):
        asked.append(names[key])
        send(key, piece)
    widget.send_part = counted
counting(seg)
counting(other)
"""


def questions() -> list[tuple[list[dict[str, Any]], list[int]]]:
    """200 of them: 100 points, 50 boxes, and 50 dialogues of two or three prompts."""
    rng = np.random.default_rng(4)

    def point(label: int = 1) -> dict[str, Any]:
        x, y = rng.uniform(4, W - 4), rng.uniform(4, H - 4)
        return {"type": "point", "x": round(x, 2), "y": round(y, 2), "label": label}

    def box() -> dict[str, Any]:
        w, h = rng.uniform(20, 220), rng.uniform(20, 160)
        x, y = rng.uniform(0, W - w), rng.uniform(0, H - h)
        edges = {"x0": x, "y0": y, "x1": x + w, "y1": y + h}
        return {"type": "box"} | {name: round(edge, 2) for name, edge in edges.items()}

    asked: list[tuple[list[dict[str, Any]], list[int]]] = []
    asked += [([point()], []) for _ in range(100)]
    asked += [([box()], []) for _ in range(50)]
    for i in range(50):
        first = box() if i % 3 == 0 else point()
        more = [point(int(rng.integers(2))) for _ in range(1 + i % 2)]
        asked.append(([first, *more], [int(rng.integers(4)) for _ in more]))
    return asked


def open_ready(open_notebook: OpenNotebook, **options: Any) -> Stage:
    stage = open_notebook(**options)
    stage.wait_for("root.dataset.decoder === 'ready'")
    return stage


def answers_itself(stage: Stage) -> bool:
    """The page has an answer for a click; clicked in earnest, the kernel may be quicker."""
    questions = [[[{"type": "point", "x": 230, "y": 150, "label": 1}], []]]
    [answer] = stage.root.evaluate(ASK_PAGE, questions)
    return len(answer["area"]) == 4 and max(answer["area"]) > 0


def by_token(values: NDArray[Any], tokens: NDArray[np.int64]) -> NDArray[Any]:
    """`(N, 4, ...)` in the order of the tokens."""
    index = np.argsort(tokens, axis=1).reshape(*tokens.shape, *[1] * (values.ndim - 2))
    return np.take_along_axis(values, index, axis=1)


def decoders(stage: Stage, count: int) -> list[Worker]:
    """The page's workers, once there are so many: the browser tells later that one has ended."""
    end = time.monotonic() + PATIENCE
    while True:
        found = [worker for worker in stage.page.workers if worker.url.startswith("blob:")]
        if len(found) == count:
            return found
        assert time.monotonic() < end, f"{len(found)} workers, {count} expected"
        stage.page.wait_for_timeout(1000 * POLL_SECONDS)


def kill(worker: Worker) -> None:
    with suppress(Error):  # it may be gone before it can say so
        worker.evaluate("() => { setTimeout(() => { throw new Error('killed by the test'); }); }")


def ask_page(
    stage: Stage, asked: list[tuple[list[dict[str, Any]], list[int]]]
) -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
    """The page's answers and their logits, `(N, 4, h, w)` in the order of their tokens."""
    answers = stage.root.evaluate(ASK_PAGE, asked)
    assert {answer["by"] for answer in answers} == {"page"}
    logits = [
        np.frombuffer(base64.b64decode(answer["logits"]), "<f4").reshape(answer["shape"])
        for answer in answers
    ]
    return answers, by_token(np.stack(logits), tokens_of(answers))


def tokens_of(answers: list[dict[str, Any]]) -> NDArray[np.int64]:
    """`(N, 4)` as they are ranked."""
    return np.array([answer["tokens"] for answer in answers])


def ask_kernel(
    stage: Stage, asked: list[tuple[list[dict[str, Any]], list[int]]], path: Path
) -> dict[str, NDArray[Any]]:
    """The kernel's answers, by way of a file: each `(N, 4, ...)` as they are ranked."""
    stage.kernel.run(ASK_KERNEL.format(questions=json.dumps(asked), path=str(path)))
    return dict(np.load(path))


@pytest.mark.slow
def test_page_and_kernel_agree(open_notebook: OpenNotebook, tmp_path: Path) -> None:
    stage = open_ready(open_notebook)
    asked = questions()
    assert len(asked) == 200
    answers, mine = ask_page(stage, asked)
    kernel = ask_kernel(stage, asked, tmp_path / "kernel.npz")
    frame = Frame(
        *stage.kernel.eval(
            "[f.width, f.height, f.input_size, f.logits_size, f.two_steps, f.squash]"
        )
    )
    assert (frame.width, frame.height) == (W, H)
    assert kernel["logits"].shape == mine.shape
    # Nearly equal scores may be ranked the other way round; which token is which is certain.
    tokens = tokens_of(answers)
    assert (tokens[:, 0] == kernel["tokens"][:, 0]).mean() >= 0.97

    theirs = by_token(kernel["logits"], kernel["tokens"])
    overlap = np.array([ious(frame, a, b) for a, b in zip(mine, theirs, strict=True)])
    assert overlap.shape == (200, 4)
    assert overlap.mean() >= 0.995, overlap.mean(axis=0)
    shown = np.take_along_axis(overlap, kernel["tokens"][:, :1], axis=1)
    assert shown.mean() >= 0.995
    for name, allowed in (("iou", 0.005), ("stability", 0.005), ("area", 0.002 * W * H)):
        page = by_token(np.array([answer[name] for answer in answers]), tokens)
        assert np.abs(page - by_token(kernel[name], kernel["tokens"])).mean() <= allowed, name


def ious(frame: Frame, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of the masks at the image's size; 1 where both are empty."""
    import torch

    rows, columns = a.shape[1:]
    masks = []
    for logits in (a, b):
        padded = np.full((len(logits), frame.logits_size, frame.logits_size), -1, np.float32)
        padded[:, :rows, :columns] = logits
        masks.append((frame.upsample(torch.from_numpy(padded)) > 0).numpy())
    both, either = masks[0] & masks[1], masks[0] | masks[1]
    united = either.sum(axis=(1, 2))
    return np.where(united > 0, both.sum(axis=(1, 2)) / np.maximum(united, 1), 1.0)


def test_widgets_share_the_worker_and_later_pages_ask_for_embeddings_only(
    open_notebook: OpenNotebook,
) -> None:
    other_cell = "other = Segmenter(data.coffee())\nother"
    stage = open_ready(open_notebook, cells=[QUICKSTART, other_cell])
    other = Stage(stage.lab, stage.kernel, view=1).ready()
    other.wait_for("root.dataset.decoder === 'ready'")
    decoders(stage, 1)
    assert answers_itself(stage)
    assert answers_itself(other)

    stage.kernel.run(COUNT_PARTS)
    stage.page.wait_for_function(ALL_KEPT)
    stage.lab.command("docmanager:save")
    stage.lab.reload()
    for view in (0, 1):
        again = Stage(stage.lab, stage.kernel, view).ready()
        again.wait_for("root.dataset.decoder === 'ready'")
    assert set(stage.kernel.eval("asked")) == {"embedding"}
    assert stage.lab.errors == []


def test_a_worker_that_dies_is_restarted_once_then_the_kernel_answers(
    open_notebook: OpenNotebook,
) -> None:
    stage = open_ready(open_notebook)
    [first] = decoders(stage, 1)
    with stage.page.expect_worker() as started:
        kill(first)
    stage.wait_for("root.dataset.decoder === 'ready'")
    [second] = decoders(stage, 1)
    assert second == started.value
    assert answers_itself(stage)

    kill(second)
    stage.wait_for("root.dataset.decoder === 'failed'")
    decoders(stage, 0)
    stage.click(90, 60)
    expect(stage.part("answer-time")).to_have_attribute("data-by", "kernel")
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    assert stage.lab.errors == []
