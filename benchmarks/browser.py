"""Measure how soon a page answers a prompt itself, beside the published decoder's ONNX graph.

    CHROMIUM=/usr/bin/chromium python benchmarks/browser.py
    python benchmarks/browser.py --prompts 20 --threads 1

All graphs run in the same onnxruntime-web (wasm), in a worker of a headless Chromium, on the same
prompts (points, boxes, a point with its correction), and take turns every ten prompts, so that a
busy moment hits all of them. SAM's weights are random and of ViT-B's shapes, in both graphs the
same; the embedded model is the real one, on a made-up picture. `js/node_modules` has to be
installed (`make setup`).
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import gzip
import http.server
import importlib
import os
import statistics
import sys
import tempfile
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 1500, 1000
WARMUP = 2  # prompts before each block of measured ones
REFERENCE = "segment-anything, enlarged masks"
LOW = "segment-anything, low resolution"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="How soon a page answers a prompt itself.")
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--threads", type=int, action="append", help="default 1 and 2")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        rows = [*sam_rows(Path(folder)), *embedded_rows(Path(folder))]
        for threads in arguments.threads or (1, 2):
            job = {
                "threads": threads,
                "rows": rows,
                "prompts": make_prompts(arguments.prompts),
                "warmup": min(WARMUP, arguments.prompts),
            }
            print("\n".join(table(threads, measure(Path(folder), job))), flush=True)
    return 0


def table(threads: int, runs: Sequence[dict[str, Any]]) -> list[str]:
    medians = {run["name"]: statistics.median(run["times"]) for run in runs}
    load = os.getloadavg()[0]
    lines = [
        "",
        f"{len(runs[0]['times'])} prompts in a page, {threads} thread{'s' * (threads > 1)}; "
        f"load {load:.1f} on {os.cpu_count()} cores"
        + (", so that only the ratios mean something" if load > 1.5 + threads else ""),
        "",
        "| decoder | p50 | p95 | least | of the published | mask IoU |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for run in runs:
        times = run["times"]
        iou = f"{statistics.mean(run['ious']):.4f}" if run["ious"] else "–"
        lines.append(
            f"| {run['name']} | {medians[run['name']]:.1f} ms | {np.quantile(times, 0.95):.1f} ms "
            f"| {min(times):.1f} ms | {medians[run['name']] / medians[REFERENCE]:.2f} | {iou} |"
        )
    return lines


def make_prompts(count: int) -> list[dict[str, Any]]:
    """Three fifths points, a fifth boxes, a fifth points with a correction; input pixels."""
    random = np.random.default_rng(0)
    prompts = []
    for i in range(count):
        xy = random.uniform(40, 640, (3, 2))
        labels = [[1, -1], [2, 3], [1, 0, -1]][{3: 1, 4: 2}.get(i % 5, 0)]
        if labels == [2, 3]:
            xy[:2] = np.sort(xy[:2], axis=0)
        coords = xy[: len(labels)]
        coords[[label == -1 for label in labels]] = 0
        prompts.append({"coords": coords.tolist(), "labels": labels})
    return prompts


def sam_rows(folder: Path) -> list[dict[str, Any]]:
    """The published graph, with and without its enlargement, and ours with the same weights."""
    import torch

    sys.path.insert(0, str(ROOT))
    from segwidget.sam.build import build_sam_mobile
    from tests import reference
    from tests.sam.conftest import VIT_B, _random_state

    # One block stands for the image encoder, which is not run here.
    published = reference.build_reference(
        dataclasses.replace(VIT_B, depth=1, global_attn_indexes=(0,))
    )
    published.load_state_dict(_random_state(published))
    sam = build_sam_mobile().eval()  # any encoder: the decoder's shapes are the same
    sam.prompt_encoder.load_state_dict(published.prompt_encoder.state_dict())
    sam.mask_decoder.load_state_dict(published.mask_decoder.state_dict())
    embedding = torch.randn(1, 256, 64, 64, generator=torch.Generator().manual_seed(1))
    file = save(folder, "sam-embedding", embedding)
    with reference.importable("segment_anything"):
        whole = importlib.import_module("segment_anything.utils.onnx").SamOnnxModel

    class Low(whole):  # type: ignore[misc, valid-type]
        def mask_postprocessing(self, masks: Any, _size: Any) -> Any:
            return masks

    rows: list[dict[str, Any]] = []
    for name, graph in ((REFERENCE, whole), (LOW, Low)):
        path = f"published-{len(rows)}.onnx"
        inputs = {
            "image_embeddings": embedding,
            "point_coords": torch.tensor([[[100.0, 100.0], [0.0, 0.0]]]),
            "point_labels": torch.tensor([[1.0, -1.0]]),
            "mask_input": torch.zeros(1, 1, 256, 256),
            "has_mask_input": torch.zeros(1),
            "orig_im_size": torch.tensor([float(HEIGHT), float(WIDTH)]),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph(published, False), tuple(inputs.values()), str(folder / path),
                dynamo=False, opset_version=17, input_names=list(inputs),
                output_names=["masks", "iou", "low_res"],
                dynamic_axes={"point_coords": {1: "points"}, "point_labels": {1: "points"}},
            )  # fmt: skip
        rows.append(
            {
                "kind": "published",
                "name": name,
                "graph": path,
                "embedding": file,
                "size": [HEIGHT, WIDTH],
            }
        )
    return [*rows, *own_rows(folder, "SAM", sam, [embedding], LOW)]


def embedded_rows(folder: Path) -> list[dict[str, Any]]:
    from segwidget.inference.predictor import Predictor
    from tests.reference import make_picture

    predictor = Predictor("embedded", "cpu")
    predictor.set_image(make_picture(WIDTH, HEIGHT))
    tensors = [t.float() for t in predictor.features if t is not None]
    return own_rows(folder, "embedded", predictor.model.sam, tensors, None)


def own_rows(
    folder: Path, name: str, sam: Any, tensors: Sequence[Any], reference: str | None
) -> list[dict[str, Any]]:
    from segwidget.inference.decoder_graph import export, tensor_shapes

    graphs = {}
    for step, data in export(sam)._asdict().items():
        graphs[step] = f"{name}-{step}.onnx"
        (folder / graphs[step]).write_bytes(gzip.decompress(data))
    shapes = tensor_shapes(sam)
    files = [
        {"name": one, **save(folder, f"{name}-{one}", tensor)}
        for (one, _), tensor in zip(shapes, tensors, strict=True)
    ]
    row = {"kind": "own", "name": name, **graphs, "tensors": files, "size": sam.image_size}
    return [
        {**row, "refined": False, "reference": reference},
        {**row, "refined": True, "name": f"{name}, refining a mask"},
    ]


def save(folder: Path, name: str, tensor: Any) -> dict[str, Any]:
    (folder / f"{name}.bin").write_bytes(tensor.float().contiguous().numpy().tobytes())
    return {"file": f"{name}.bin", "shape": [*tensor.shape]}


# The page.


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves the page, the data and onnxruntime-web, to a page that may have threads."""

    def __init__(self, *args: Any, data: Path, **kwargs: Any) -> None:
        self.roots = {
            "data": data,
            "ort": ROOT / "js/node_modules/onnxruntime-web/dist",
            "page": ROOT / "benchmarks/browser",
        }
        super().__init__(*args, **kwargs)

    def translate_path(self, path: str) -> str:
        _, root, name = [*path.partition("?")[0].split("/"), "", ""][:3]
        return str(self.roots.get(root, self.roots["page"]) / (name or "index.html"))

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing: the table is what is printed."""


def measure(folder: Path, job: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a job in a fresh browser."""
    from playwright.sync_api import sync_playwright

    handler = functools.partial(Files, data=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with sync_playwright() as playwright:
                chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
                browser = playwright.chromium.launch(executable_path=chromium)
                page = browser.new_page()
                page.goto(f"http://127.0.0.1:{server.server_port}/page/index.html")
                reply = page.evaluate("job => run(job)", job)
                browser.close()
        finally:
            server.shutdown()
    if not reply["ok"]:
        raise RuntimeError(reply["error"])
    if job["threads"] > 1 and not reply["isolated"]:
        raise RuntimeError("The page is not cross-origin isolated, so that it has one thread.")
    runs: list[dict[str, Any]] = reply["runs"]
    return runs


if __name__ == "__main__":
    sys.exit(main())
