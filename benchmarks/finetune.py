"""Fine-tune on some images of a shard, and measure before and after on another one.

    python benchmarks/finetune.py --tune shards/train/dsb2018.tar --measure shards/val/dsb2018.tar
    python benchmarks/finetune.py --speed

The first prints the table before / after with intervals, and how long it took. `--speed` needs no
data: it times what a cached embedding saves, with random weights, which take as long as trained
ones.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from skimage import data as pictures

from segwidget import FineTuneDataset, compare, finetune, save_delta
from segwidget.annotation.formats.shards import read_shard
from segwidget.inference.models import Model, load_model
from segwidget.sam.build import BUILDERS
from segwidget.training.dataset import Record
from segwidget.training.finetune_data import Embeddings, input_of, targets
from segwidget.training.finetune_run import MASKS_PER_STEP, learning_copy
from segwidget.training.finetune_steps import decoder_step

ROUNDS = 5


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fine-tuning, before and after.")
    parser.add_argument("--tune", type=Path, help="shard to learn from")
    parser.add_argument("--measure", type=Path, help="shard to measure on")
    parser.add_argument("--images", type=int, default=20, help="to learn from")
    parser.add_argument("--held-out", type=int, default=40, help="images to measure on")
    parser.add_argument("--masks-per-image", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--preset", choices=("medsam",))
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", type=Path, help="the tuned model, *.delta.safetensors")
    parser.add_argument("--figure", type=Path, help="the worst cases, *.png")
    parser.add_argument("--speed", action="store_true", help="time cached embeddings")
    parser.add_argument("--models", nargs="*", default=["embedded", "mobile_sam", "vit_b"])
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    if arguments.speed:
        speed(arguments.models)
    elif arguments.tune and arguments.measure:
        quality(arguments)
    else:
        parser.error("give --tune and --measure, or --speed")
    return 0


def quality(a: argparse.Namespace) -> None:
    tune, measure = read(a.tune, a.images), read(a.measure, a.held_out)
    print(f"learning from {tune}, measuring on {measure}")
    begun = time.perf_counter()
    tuned = finetune(
        a.model, tune, epochs=a.epochs, lr=a.lr, seed=a.seed, preset=a.preset, patience=6
    )
    seconds = time.perf_counter() - begun
    epochs = [epoch.seconds for epoch in tuned.history[1:]]
    print(
        tuned.to_dataframe().to_string(index=False),
        f"{tuned}",
        f"{seconds:.0f} s in all, {statistics.median(epochs):.1f} s an epoch",
        sep="\n",
    )
    if a.save and tuned.improved:
        path = save_delta(tuned, a.save)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
    found = compare(a.model, tuned, measure, masks_per_image=a.masks_per_image, seed=a.seed)
    print(found.to_markdown(), repr(found), sep="\n")
    if a.figure:
        found.plot_worst().savefig(a.figure, dpi=100)


def read(shard: Path, count: int) -> FineTuneDataset:
    """The first images of a shard."""
    samples = itertools.islice(read_shard(shard), count)
    return FineTuneDataset.from_records(
        Record(s.image, [m.rle for m in s.masks if m.rle.area], s.name) for s in samples
    )


def speed(names: Sequence[str]) -> None:
    """What a step takes, with the embedding cached and without."""
    mask = np.zeros((303, 384), bool)
    mask[20:60, 30:80] = True
    masks = [np.roll(mask, (20 * i, 25 * i), (0, 1)) for i in range(MASKS_PER_STEP)]
    dataset = FineTuneDataset.from_records([Record(pictures.coins(), masks, "coins")])
    image = dataset.images[0]
    print("| model | encode | cached embedding | ratio | decoder step | epoch's ratio, frozen | "
          "epoch's ratio, all |")  # fmt: skip
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for name in names:
        torch.manual_seed(0)
        model = load_model() if name == "embedded" else random_model(name)
        held = Embeddings(model, dataset.images, "memory")
        held.compute(0)
        target = targets(image, model, list(range(MASKS_PER_STEP)))
        sam, _ = learning_copy(model.sam, "decoder")
        whole, _ = learning_copy(model.sam, "all")
        network = model.network

        def step(sam=sam, held=held, target=target):  # type: ignore[no-untyped-def]
            decoder_step(sam, held[0], target, torch.Generator().manual_seed(0), "medsam")

        def everything(sam=whole, model=model):  # type: ignore[no-untyped-def]
            features = sam.encode(input_of(model, image))
            sum(f.mean() for f in features if f is not None).backward()

        encode = timed(lambda network=network: network.encode(image.image))
        cached = timed(lambda held=held: held[0])
        decode = timed(step)
        forth_and_back = timed(everything, 2)
        print(
            f"| {name} | {1000 * encode:.0f} ms | {1000 * cached:.2f} ms | {encode / cached:.0f} × "
            f"| {1000 * decode:.0f} ms | {(encode + decode) / (cached + decode):.1f} × | "
            f"{(forth_and_back + decode) / (cached + decode):.1f} × |",
            flush=True,
        )


def random_model(name: str) -> Model:
    sam = BUILDERS[name]().eval().requires_grad_(False)
    if name == "mobile_sam":
        sam.image_encoder.fuse()  # type: ignore[operator]
    return Model(sam, name, "")


def timed(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median seconds; the first round warms up."""
    work()
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


if __name__ == "__main__":
    raise SystemExit(main())
