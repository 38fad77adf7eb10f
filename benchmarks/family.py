"""Measure SAM's family beside the published code: image encoders and answers, time and memory.

    python benchmarks/family.py                 everything, some ten minutes
    python benchmarks/family.py --model vit_b --job answer --rounds 10

Random weights, the same for all rows of a table: they take as long as trained ones. Each row is a
process of its own, so that its peak of memory is its own; all rows of a table are timed in turns,
so that a busy moment hits all of them. The ratio is that of the medians. Agreement is measured with
what the published code answers: the embedding's relative error, and the mean IoU of masks of 24
points on it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import PIPE
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("vit_b", "mobile_sam", "embedded")
WIDTH, HEIGHT = 1500, 1000
PUBLISHED = {"vit_b": "segment-anything", "mobile_sam": "MobileSAM", "embedded": "its own module"}
ENCODERS = ("published", "transformers", "onnx float32", "float32", "bfloat16", "int8")
ANSWERS = ("published", "published, ONNX Runtime", "float32", "bfloat16")
# What an answer is ready for: nothing more, the picked full-size mask, or all three.
EXTENTS = ("", ", picked mask", ", three masks")
# Threads of the row before wait for more work for a moment, at full speed.
PAUSE = 0.3
POINTS = np.random.default_rng(1).uniform(40, 960, (24, 2))


class Row(NamedTuple):
    """One way of computing, in a process of its own."""

    name: str
    process: subprocess.Popen[str]
    seconds: list[float]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="SAM's family beside the published code.")
    parser.add_argument("--model", choices=MODELS, action="append")
    parser.add_argument("--job", choices=("encoder", "answer"), action="append")
    parser.add_argument("--row", action="append", help="only rows whose name begins with this")
    parser.add_argument("--rounds", type=int, default=0, help="default 5 for encoders, 30 else")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)  # job, model, row, folder
    arguments = parser.parse_args(argv)
    if arguments.child:
        child(*arguments.child, arguments.threads)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for model in arguments.model or MODELS:
            run([sys.executable, __file__, "--child", "prepare", model, "-", folder])
            for job in arguments.job or ("encoder", "answer"):
                rounds = arguments.rounds or (5 if job == "encoder" else 30)
                table(job, model, Path(folder), rounds, arguments.threads, arguments.row)
    return 0


def table(
    job: str, model: str, folder: Path, rounds: int, threads: int, wanted: list[str] | None
) -> None:
    names = ENCODERS if job == "encoder" else answers()
    if model != "vit_b":
        names = tuple(name for name in names if name != "transformers")
    if model == "embedded":
        names = tuple(name for name in names if "ONNX Runtime" not in name)
    names = tuple(n for n in names if not wanted or any(n.startswith(w) for w in wanted))
    rows = [start(name, job, model, folder, threads) for name in names]
    for n in range(rounds + 1):
        for row in rows:
            time.sleep(PAUSE)
            seconds = tell(row, "run")["seconds"]
            if n:  # the first one warms up
                row.seconds.append(seconds)
    title = "Image encoder" if job == "encoder" else f"Point to answer, {WIDTH} × {HEIGHT}"
    error = "relative error" if job == "encoder" else "largest error of logits"
    print(f"\n{title}, {model}, {threads} threads, {rounds} rounds\n")
    print(f"| how | median | least | ratio | {error} | mask IoU | peak, MB | above model, MB |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: |")
    first = statistics.median(rows[0].seconds)
    for row in rows:
        told = tell(row, "report")
        row.process.communicate(timeout=60)
        median, least = statistics.median(row.seconds), min(row.seconds)
        name = row.name.replace("published", PUBLISHED[model])
        agreement = [told.get("error"), told.get("iou")]
        cells = [
            "–" if x is None else f"{x:.1e}" if i == 0 else f"{x:.4f}"
            for i, x in enumerate(agreement)
        ]
        print(
            f"| {name} | {1000 * median:.1f} ms | {1000 * least:.1f} ms | {first / median:.2f} × | "
            f"{cells[0]} | {cells[1]} | {told['peak']:.0f} | {told['above']:.0f} |",
            flush=True,
        )


def answers() -> tuple[str, ...]:
    return tuple(
        name + (extent if "published" not in name else "")
        for name in ANSWERS
        for extent in (EXTENTS if "published" not in name else ("",))
    )


def start(name: str, job: str, model: str, folder: Path, threads: int) -> Row:
    command = [sys.executable, __file__, "--child", job, model, name, str(folder)]
    process = subprocess.Popen(
        [*command, "--threads", str(threads)],
        stdin=PIPE,
        stdout=PIPE,
        text=True,
        env=environment(folder),
    )
    row = Row(name, process, [])
    tell(row, "")
    return row


def tell(row: Row, what: str) -> dict[str, Any]:
    """Send a word and wait for the answer; without a word, wait until the process is ready."""
    assert row.process.stdin is not None
    assert row.process.stdout is not None
    if what:
        row.process.stdin.write(what + "\n")
        row.process.stdin.flush()
    line = row.process.stdout.readline()
    if not line:
        raise SystemExit(f"The row {row.name!r} has ended without an answer.")
    answer: dict[str, Any] = json.loads(line)
    return answer


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, env=environment(Path(command[-1])))


def environment(folder: Path) -> dict[str, str]:
    """Imports from the repository; nothing of the person's cache is read or written."""
    own = {"PYTHONPATH": str(ROOT), "SEGWIDGET_CACHE": str(folder / "cache")}
    return {**os.environ, **own, "SEGWIDGET_EMBEDDINGS_MAX_BYTES": "0"}


# In the child.


def child(job: str, model: str, name: str, folder_name: str, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    folder = Path(folder_name)
    if job == "prepare":
        prepare(model, folder)
        return
    make = encoder if job == "encoder" else answer
    call, judge = make(model, name, folder)
    reset_peak()
    before = memory("VmRSS")
    say({})
    for word in sys.stdin:
        if word.strip() == "run":
            begun = time.perf_counter()
            call()
            say({"seconds": time.perf_counter() - begun})
        else:
            peak = memory("VmHWM")
            say({"peak": peak, "above": peak - before, **judge()})
            return


def say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def prepare(model: str, folder: Path) -> None:
    """Weights, an input, an embedding, and the published code's answers on it."""
    import torch
    from safetensors.torch import save_file

    from segwidget.sam.build import BUILDERS

    torch.manual_seed(0)
    sam = BUILDERS[model]().eval()
    if model != "embedded":
        if model == "vit_b":  # whose positions would otherwise be zeros
            sam.load_state_dict(tests("sam/conftest")._random_state(sam))
        save_file(sam.state_dict(), folder / f"{model}.safetensors")
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(1, 3, sam.image_size, sam.image_size, generator=generator)
    torch.save(x, folder / f"{model}.input.pt")
    network = load(model, folder, "float32").network
    features = tuple(network.sam.encode(x)[:2])
    torch.save(features, folder / f"{model}.features.pt")
    logits = logits_of(network, features[0], features[1:], module=True)
    torch.save(logits, folder / f"{model}.logits.pt")


def tests(name: str) -> Any:
    """A module of the tests, which know how to import the published code without torchvision."""
    path = ROOT / "tests" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def load(model: str, folder: Path, precision: str, runtime: str = "torch") -> Any:
    from segwidget.inference.models import load_model

    path = "embedded" if model == "embedded" else folder / f"{model}.safetensors"
    return load_model(path, "cpu", precision, runtime)


def published(model: str, folder: Path) -> Any:
    """The published network with the same weights; the embedded model is its own."""
    from safetensors.torch import load_file

    if model == "embedded":
        return load(model, folder, "float32").network.sam
    reference = tests("reference")
    if model == "mobile_sam":
        sam = reference.mobile_sam().sam_model_registry["vit_t"]()
    else:
        sam = reference.segment_anything().sam_model_registry[model]()
    sam.load_state_dict(load_file(folder / f"{model}.safetensors"), strict=False)
    return sam.eval()


def encoder(model: str, name: str, folder: Path) -> tuple[Callable[[], object], Callable[[], Any]]:
    """How an image encoder is run, and how its embedding is judged."""
    import torch

    x = torch.load(folder / f"{model}.input.pt")
    if name == "published":
        module = published(model, folder).image_encoder

        def embed() -> Any:
            found = module(x)
            return found if isinstance(found, torch.Tensor) else found[0]

    elif name == "transformers":
        from transformers import SamConfig, SamModel

        vision = SamModel(SamConfig()).eval().vision_encoder

        def embed() -> Any:
            return vision(x).last_hidden_state

    else:
        precision = name.removeprefix("onnx ")
        runtime = "onnx" if name.startswith("onnx") else "torch"
        network = load(model, folder, precision, runtime).network

        def embed() -> Any:
            return network.embed(x).embedding

    found: list[Any] = []

    def call() -> None:
        found[:] = [embed()]

    def judge() -> dict[str, float]:
        if name == "transformers":  # with other weights
            return {}
        expected, *others = torch.load(folder / f"{model}.features.pt")
        error = ((found[0] - expected).norm() / expected.norm()).item()
        exact = load(model, folder, "float32").network
        masks = [logits_of(exact, features, others) for features in (found[0], expected)]
        return {"error": error, "iou": mean_iou(*masks)}

    if name not in ("published", "transformers"):
        call()  # what is made when it is first needed belongs to the model
    return call, judge


def answer(model: str, name: str, folder: Path) -> tuple[Callable[[], object], Callable[[], Any]]:
    """How a point is answered, and how the answers are judged."""
    import torch

    from segwidget.sam.sam import ImageFeatures

    embedding, high_res = torch.load(folder / f"{model}.features.pt")
    x, y = POINTS[0] * [WIDTH / 1000, HEIGHT / 1000]
    if name.startswith("published"):
        if model == "embedded":
            network = load(model, folder, "float32").network
            sam, frame = network.sam, network.frame(WIDTH, HEIGHT)
            features = ImageFeatures(embedding, high_res)
            point = torch.tensor([[[x, y], [0, 0]]]).float(), torch.tensor([[1, -1]])

            def call() -> object:
                logits, _ = sam.decode(features, point, padded=True)
                return frame.upsample(logits[0, 1:]) > 0

            return call, dict
        sam = published(model, folder)
        reference = tests("reference")
        package = reference.mobile_sam() if model == "mobile_sam" else reference.segment_anything()
        predictor = package.SamPredictor(sam)
        predictor.features, predictor.is_image_set = embedding, True
        predictor.original_size = HEIGHT, WIDTH
        predictor.input_size = predictor.transform.get_preprocess_shape(HEIGHT, WIDTH, 1024)
        coords, labels = np.array([[x, y]]), np.array([1])
        if name == "published":
            return lambda: predictor.predict(coords, labels, multimask_output=True), dict
        return onnx_answer(sam, model, reference, embedding, folder, predictor.transform, coords)
    precision, _, extent = name.partition(", ")
    network = load(model, folder, precision).network
    from segwidget.inference.candidates import Candidates
    from segwidget.inference.prompts import Point

    features = ImageFeatures(embedding, high_res)
    prepared, frame = network.prepare(features), network.frame(WIDTH, HEIGHT)

    def ours() -> object:
        logits, iou = network.decode(prepared, *frame.to_input((Point(x, y),)))
        found = Candidates(logits[0, 1:].numpy(), iou[0, 1:].numpy(), frame)
        return {"": len, "picked mask": lambda c: c.mask(0), "three masks": lambda c: c.masks}[
            extent
        ](found)

    def judge() -> dict[str, float]:
        found = logits_of(network, embedding, (high_res,))
        expected = torch.load(folder / f"{model}.logits.pt")
        return {"error": (found - expected).abs().max().item(), "iou": mean_iou(found, expected)}

    return ours, judge


def onnx_answer(
    sam: Any, model: str, reference: Any, embedding: Any, folder: Path, transform: Any, coords: Any
) -> tuple[Callable[[], object], Callable[[], Any]]:
    """The published decoder's ONNX graph, exported by the published code, in ONNX Runtime."""
    import warnings

    import onnxruntime
    import torch

    package = "mobile_sam" if model == "mobile_sam" else "segment_anything"
    with reference.importable(package), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = importlib.import_module(f"{package}.utils.onnx").SamOnnxModel(sam, False)
        path = folder / f"{model}.decoder.onnx"
        points = transform.apply_coords(coords, (HEIGHT, WIDTH))
        points = np.concatenate([points, np.zeros((1, 2))])[None].astype(np.float32)
        inputs = {
            "image_embeddings": embedding,
            "point_coords": torch.from_numpy(points),
            "point_labels": torch.tensor([[1.0, -1.0]]),
            "mask_input": torch.zeros(1, 1, 256, 256),
            "has_mask_input": torch.zeros(1),
            "orig_im_size": torch.tensor([HEIGHT, WIDTH], dtype=torch.float32),
        }
        torch.onnx.export(
            graph, tuple(inputs.values()), str(path), dynamo=False, opset_version=17,
            input_names=list(inputs), output_names=["masks", "iou", "low_res"],
        )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    known = {i.name for i in session.get_inputs()}
    arrays = {name: value.numpy() for name, value in inputs.items() if name in known}
    return lambda: session.run(None, arrays), dict


def logits_of(network: Any, embedding: Any, others: Any, *, module: bool = False) -> Any:
    """Low-resolution logits ``(24, 3, s, s)`` of the points on an embedding."""
    import torch

    from segwidget.sam.sam import ImageFeatures

    features = ImageFeatures(embedding, *[x for x in others if x is not None])
    prepared = None if module else network.prepare(features)
    found = []
    for point in torch.from_numpy(POINTS / 1000 * network.sam.image_size).float():
        asked = torch.stack([point, torch.zeros(2)])[None], torch.tensor([[1, -1]])
        if module:
            logits, _ = network.sam.decode(features, asked, padded=True)
        else:
            logits, _ = network.decode(prepared, *asked)
        found.append(logits[0, 1:])
    return torch.stack(found)


def mean_iou(a: Any, b: Any) -> float:
    """Mean IoU of masks; two empty ones agree."""
    a, b = (a > 0).flatten(0, 1), (b > 0).flatten(0, 1)
    both, either = (a & b).sum(dim=(1, 2)), (a | b).sum(dim=(1, 2))
    return float(((both + (either == 0)) / either.clamp(min=1)).mean())


def memory(what: str) -> float:
    """This process's memory in MB: ``VmRSS`` now, ``VmHWM`` at its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("Memory can be measured on Linux only.")


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    sys.exit(main())
