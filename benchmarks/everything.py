"""Measure everything mode beside the published generator, on the same random weights.

    python benchmarks/everything.py
    python benchmarks/everything.py --points-per-side 8      a short run

ViT-B, 1500 × 1000 pixels, 1,024 points. Each row is a process of its own: seconds, the peak of its
memory above what it had with the model and the image's embedding, and how many of the reference's
masks it has too (IoU of at least 0.99). Without the encoder, all start from one embedding.

Random weights take as long as trained ones, but their scores mean nothing: the thresholds are
quantiles of what they answer. Their masks reach from edge to edge and so have the same boxes; hence
no box counts as a duplicate, and run lengths are made of all that are stable.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = "segment-anything"
# Row -> precision, where the scores come from.
OURS = {
    "float32, exact": ("float32", "full"),
    "bfloat16, exact": ("bfloat16", "full"),
    "bfloat16, low-resolution scores": ("bfloat16", "low_res"),
}
# What all rows share, in a temporary folder.
PICTURE, WEIGHTS, EMBEDDING = "picture.npy", "weights.pth", "embedding.pt"
SETTINGS = "settings.json"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Everything mode beside the published generator.")
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--size", type=int, nargs=2, default=(1500, 1000), metavar=("W", "H"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--row", action="append", help="only rows whose name begins with this")
    parser.add_argument("--no-encoder", action="store_true", help="only without the encoder")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)  # a folder, a row, encoder?
    arguments = parser.parse_args(argv)
    if arguments.worker:
        folder, row, encoder = arguments.worker
        work(Path(folder), row, encoder == "encoder", arguments)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start(folder, "prepare", "", arguments)
        for line in heading(folder, arguments):
            print(line)
        for encoder in ("", "encoder")[: 1 if arguments.no_encoder else 2]:
            expected: dict[str, Any] | None = None
            for row in (REFERENCE, *OURS):
                if arguments.row and not any(
                    row.startswith(x) for x in (REFERENCE, *arguments.row)
                ):
                    continue
                result = start(folder, row, encoder, arguments)
                expected = expected or result
                print(line_of(row, encoder, result, expected), flush=True)
    return 0


def heading(folder: Path, arguments: argparse.Namespace) -> list[str]:
    settings = json.loads((folder / SETTINGS).read_text())
    width, height = arguments.size
    return [
        f"ViT-B, random weights, {width} × {height} pixels, {arguments.points_per_side**2:,} "
        f"points, {arguments.threads} threads.",
        "Thresholds: " + ", ".join(f"{key} {value:.3g}" for key, value in settings.items()) + ".",
        "",
        "| generator | s | times as fast | peak above the model, MB | masks | of the reference's |",
        "| --- | --: | --: | --: | --: | --: |",
    ]


def line_of(row: str, encoder: str, result: dict[str, Any], expected: dict[str, Any]) -> str:
    ratio = expected["seconds"] / result["seconds"]
    matched = agreement(result["masks"], expected["masks"])
    return (
        f"| {row}{', with encoder' if encoder else ''} | {result['seconds']:.1f} | {ratio:.2f} | "
        f"{result['bytes'] / 1e6:.0f} | {len(result['masks'])} | {matched:.1%} |"
    )


def agreement(masks: list[Any], expected: list[Any], least: float = 0.99) -> float:
    """The share of the expected masks that have a partner, each partner counted once."""
    import pycocotools.mask as coco

    if masks is expected:
        return 1.0
    found, wanted = ([{**m, "counts": m["counts"].encode()} for m in x] for x in (masks, expected))
    areas = np.array([coco.area(mask) for mask in found], float)
    matched = 0
    for mask in wanted:
        # Masks of so high an IoU have nearly the same area: the nearest are compared first.
        area = float(coco.area(mask))
        near = np.flatnonzero((areas >= least * area) & (areas <= area / least))
        for j in near[np.argsort(np.abs(areas[near] - area))]:
            if coco.iou([found[j]], [mask], [0])[0, 0] >= least:
                matched, areas[j] = matched + 1, np.nan  # nobody else's partner
                break
    return matched / len(expected) if expected else float(not masks)


def start(folder: Path, row: str, encoder: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run a row in a process of its own."""
    command = [
        *(sys.executable, __file__, "--worker", str(folder), row, encoder),
        *("--points-per-side", str(arguments.points_per_side)),
        *("--size", *map(str, arguments.size), "--threads", str(arguments.threads)),
    ]
    subprocess.run(command, check=True)
    result = folder / "result.json"
    found: dict[str, Any] = json.loads(result.read_text()) if result.exists() else {}
    return found


def work(folder: Path, row: str, encoder: bool, arguments: argparse.Namespace) -> None:
    import torch

    os.environ["SEGWIDGET_EMBEDDINGS_MAX_BYTES"] = "0"  # or a row would find another's on disk
    sys.path.append(str(ROOT))  # the package without torchvision is in tests/
    torch.set_num_threads(arguments.threads)
    if row == "prepare":
        prepare(folder, arguments)
        return
    picture = np.load(folder / PICTURE)
    settings = json.loads((folder / SETTINGS).read_text())
    settings["points_per_side"] = arguments.points_per_side
    embedding = None if encoder else torch.load(folder / EMBEDDING, weights_only=True)
    if row == REFERENCE:
        result = run_reference(folder, picture, settings, embedding)
    else:
        result = run_ours(folder, picture, settings, embedding, *OURS[row])
    (folder / "result.json").write_text(json.dumps(result))


def prepare(folder: Path, arguments: argparse.Namespace) -> None:
    """Weights, picture, embedding, and thresholds that let some of the masks through."""
    import torch

    from segwidget.inference.everything.canvas import Canvas
    from segwidget.inference.everything.grid import point_grid
    from segwidget.inference.network import SamNetwork
    from segwidget.sam.build import build_sam_vit_b
    from tests.sam.conftest import _random_state

    width, height = arguments.size
    picture = make_picture(width, height)
    sam = build_sam_vit_b().eval().requires_grad_(False)
    sam.load_state_dict(_random_state(sam))
    network = SamNetwork(sam)
    features = network.encode(picture)
    frame, prepared = network.frame(width, height), network.prepare(features)
    offset = 0.1
    canvas = Canvas(frame, offset)
    scores, stabilities = [], []
    for point in point_grid(4) * frame.resized:
        coords = torch.zeros(1, 2, 2)
        coords[0, 0] = torch.from_numpy(point)
        logits, iou = network.decode(prepared, coords, torch.tensor([[1, -1]]))
        scores += iou[0, 1:].tolist()
        for one in logits[0, 1:].numpy():
            window = canvas.window(one)
            assert window is not None
            stabilities.append(float(canvas.measure(window)[0].stability))
    good = np.array(scores) > (median := float(np.quantile(scores, 0.5)))
    settings = {
        "pred_iou_thresh": median,
        "stability_score_thresh": float(np.quantile(np.array(stabilities)[good], 0.5)),
        "stability_score_offset": offset,
        "box_nms_thresh": 1.0,
    }
    (folder / SETTINGS).write_text(json.dumps(settings))
    np.save(folder / PICTURE, picture)
    torch.save(sam.state_dict(), folder / WEIGHTS)
    # In half precision and back: that is how embeddings are kept.
    torch.save(features.embedding.half().float(), folder / EMBEDDING)


def make_picture(width: int, height: int) -> NDArray[np.uint8]:
    """Smooth colors at several scales."""
    from PIL import Image

    random = np.random.default_rng(0)
    total = np.zeros((height, width, 3))
    for side in (4, 16, 64):
        noise = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        total += np.array(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))
    return (total / 3).astype(np.uint8)


def run_reference(
    folder: Path, picture: NDArray[np.uint8], settings: dict[str, Any], embedding: Any
) -> dict[str, Any]:
    import torch

    from tests.reference import segment_anything

    package = segment_anything()
    with torch.device("meta"):
        sam = package.sam_model_registry["vit_b"]()
    sam.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True), assign=True)
    sam.pixel_mean = torch.tensor([123.675, 116.28, 103.53]).view(-1, 1, 1)
    sam.pixel_std = torch.tensor([58.395, 57.12, 57.375]).view(-1, 1, 1)
    generator = package.SamAutomaticMaskGenerator(sam, output_mode="coco_rle", **settings)
    if embedding is not None:
        sam.image_encoder.forward = lambda x: embedding
    sam.eval()
    touch(sam.parameters())

    def generate() -> list[Any]:
        return [record["segmentation"] for record in generator.generate(picture)]

    return measured(generate)


def run_ours(
    folder: Path,
    picture: NDArray[np.uint8],
    settings: dict[str, Any],
    embedding: Any,
    precision: str,
    scores_from: str,
) -> dict[str, Any]:
    from segwidget.inference.everything import EverythingSettings, propose
    from segwidget.inference.models import load_model
    from segwidget.inference.predictor import Predictor
    from segwidget.sam.sam import ImageFeatures

    model = load_model(folder / WEIGHTS, "cpu", precision)  # type: ignore[arg-type]
    predictor = Predictor(model)
    if embedding is not None:
        model.network.encode = lambda pixels: ImageFeatures(embedding)  # type: ignore[method-assign]
        predictor.set_image(picture)
    chosen = EverythingSettings(**settings, scores_from=scores_from)  # type: ignore[arg-type]

    def generate() -> list[Any]:
        if embedding is None:
            predictor.set_image(picture)
        return [
            {"size": list(proposal.size), "counts": proposal.counts}
            for proposal in propose(predictor, chosen)
        ]

    return measured(generate)


def touch(parameters: Any) -> None:
    """Have weights in memory, not only in a file that is mapped."""
    for parameter in parameters:
        parameter.sum()


def measured(generate: Any) -> dict[str, Any]:
    """Run it once, from cold, as a person does."""
    before = peak()
    began = time.perf_counter()
    masks = generate()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "bytes": peak() - before, "masks": masks}


def peak() -> int:
    """The most memory that this process ever had, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    sys.exit(main())
