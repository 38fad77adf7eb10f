"""A network's prompt encoder and mask decoder as ONNX graphs, which a page runs without a kernel.

Three graphs, opset 17, float32 inside, with large weights stored as float16 (a page's wasm computes
faster in float32 than in float16, but what travels should be small):

``prepare``, once an image. Inputs, all float32:
    - ``embedding (1, C, h, w)``: the image encoder's embedding;
    - ``high_res (1, c, 2h, 2w)``: its features of half the stride, where the network has them.

``refine``, once for each mask prompt. Inputs, all float32: outputs of ``prepare`` by their names;
    - ``mask (1, 1, 4h, 4w)``: low-resolution logits of an earlier answer.

    Outputs: what takes the place of those inputs, each named as its input with ``refined_`` before.

``decode``, once a prompt. Inputs, all float32: every output of ``prepare`` by its name;
    - ``coords (1, T, 2)``: in pixels of the network's input, pixel centers at integers;
    - ``labels (1, T)``: 1 foreground, 0 background, 2 and 3 a box's corners next to each other, -1
      padding, which ends every prompt without a box, as :meth:`Frame.to_input` orders them.

    Outputs: ``logits (1, 4, 4h, 4w)`` of all four mask tokens, the single mask first, and their
    predicted IoUs ``iou (1, 4)``.

The embedded model: C 128, c 32, h and w 64. SAM, MobileSAM and MedSAM: C 256, no ``high_res``, h
and w 64.
"""

from __future__ import annotations

import copy
import gzip
import io
import logging
import shutil
import tempfile
import threading
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from segwidget.inference.models import Model
from segwidget.inference.network import SamNetwork
from segwidget.inference.onnx import OPSET
from segwidget.inference.registry import cache_folder
from segwidget.sam.fast.graph import DecodeGraph
from segwidget.sam.fast.graph_image import PrepareGraph, RefineGraph
from segwidget.sam.sam import Sam

#: A change of what is exported makes a new file.
EXPORT = "decoder-4"
#: Weights with more elements than this are stored as float16.
LARGE = 2048

_log = logging.getLogger(__name__)
_exporting = threading.Lock()


class DecoderGraphs(NamedTuple):
    """The graphs as ONNX files, compressed by gzip."""

    prepare: bytes
    refine: bytes
    decode: bytes


# Of networks whose graphs could not be written to disk.
_kept: WeakKeyDictionary[Sam, DecoderGraphs] = WeakKeyDictionary()


def decoder_graphs(model: Model) -> DecoderGraphs | None:
    """A model's graphs, exported when they are first asked for, and found again on disk.

    Args:
        model: whose decoder is wanted.

    Returns:
        The graphs; ``None`` where there are none: for a network that is no :class:`Sam`, and where
        it cannot be exported, for instance because the package onnx is not installed.
    """
    if not isinstance(model.network, SamNetwork):
        return None
    sam = model.network.sam
    with _exporting:
        graphs = _kept.get(sam) or (_read(model.sha256) if model.sha256 else None)
        if graphs is not None:
            return graphs
        if find_spec("onnx") is None:
            return None
        try:
            graphs = export(sam)
        except Exception:  # whatever an exporter does not like: the kernel answers as before
            _log.warning("The decoder of %s could not be exported.", model.name, exc_info=True)
            return None
        if not model.sha256 or not _write(model.sha256, graphs):
            _kept[sam] = graphs
        return graphs


def graphs_folder(checkpoint: str) -> Path:
    """Where the graphs of a checkpoint, by its SHA-256 in hex, lie."""
    return cache_folder() / "onnx" / f"{checkpoint}-{EXPORT}"


def export(sam: Sam) -> DecoderGraphs:
    """Export a network's decoder.

    Args:
        sam: in evaluation mode, on any device.
    """
    prompts, decoder = copy.deepcopy((sam.prompt_encoder, sam.mask_decoder))
    for part in (prompts, decoder):
        part.cpu().float().eval().requires_grad_(False)
    prepare, refine = PrepareGraph(prompts, decoder), RefineGraph(prompts, decoder)
    decode = DecodeGraph(prompts, decoder)
    names = [name for name, _ in tensor_shapes(sam)]
    tensors = [torch.zeros(shape) for _, shape in tensor_shapes(sam)]
    mask = torch.zeros(1, 1, *prompts.mask_input_size)
    coords, labels = torch.zeros(1, 3, 2), torch.tensor([[1.0, 0.0, -1.0]])
    with torch.no_grad():
        prepared = list(prepare(*tensors))
    changed = [*refine.NAMES]
    return DecoderGraphs(
        _traced(prepare, tensors, names, prepare.names),
        # Its weights are too few to be worth halving.
        _traced(
            refine,
            [*prepared[: len(changed)], mask],
            [*changed, "mask"],
            [f"refined_{name}" for name in changed],
            halve=False,
        ),
        _traced(
            decode,
            [*prepared, coords, labels],
            [*prepare.names, "coords", "labels"],
            ["logits", "iou"],
        ),
    )


def tensor_shapes(sam: Sam) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the embeddings that ``prepare`` takes, in their order."""
    prompts, high_res = sam.prompt_encoder, sam.mask_decoder.high_res
    h, w = prompts.image_embedding_size
    shapes: list[tuple[str, tuple[int, ...]]] = [("embedding", (1, prompts.embed_dim, h, w))]
    if high_res is not None:
        shapes.append(("high_res", (1, high_res.in_channels, 2 * h, 2 * w)))
    return shapes


def _traced(
    module: nn.Module,
    inputs: list[torch.Tensor],
    names: list[str],
    outputs: list[str],
    *,
    halve: bool = True,
) -> bytes:
    """A graph as a compressed ONNX file."""
    import onnx

    file: Any = io.BytesIO()
    dynamic: dict[str, dict[int, str]] = {
        name: {1: "T"} for name in names if name in ("coords", "labels")
    }
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on sizes that are constants here, and on the exporter
        torch.onnx.export(
            module,
            tuple(inputs),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=names,
            output_names=outputs,
            dynamic_axes=dynamic,
            # Folded constants would be larger than what they are made of.
            do_constant_folding=False,
        )
    model = onnx.load_model_from_string(file.getvalue())
    if halve:
        _halve(model)
    return gzip.compress(model.SerializeToString(), 6, mtime=0)


def _halve(model: Any) -> None:
    """Store large weights as float16, where none of their values is beyond its range."""
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size <= LARGE or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _read(checkpoint: str) -> DecoderGraphs | None:
    folder = graphs_folder(checkpoint)
    try:
        return DecoderGraphs(*((folder / name).read_bytes() for name in DecoderGraphs._fields))
    except OSError:
        return None


def _write(checkpoint: str, graphs: DecoderGraphs) -> bool:
    """Write the graphs' folder, whole or not at all."""
    target = graphs_folder(checkpoint)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="export-", dir=target.parent) as folder:
            made = Path(folder) / target.name
            made.mkdir()
            for name, data in graphs._asdict().items():
                (made / name).write_bytes(data)
            if _read(checkpoint) is None:  # another process may have been quicker
                shutil.rmtree(target, ignore_errors=True)
                made.replace(target)
    except OSError:
        return _read(checkpoint) is not None
    return True
