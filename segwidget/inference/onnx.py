"""Image encoders run by ONNX Runtime, as they are or in eight bits.

An optional backend (``pip install "segwidget[onnx]"``). The encoder is exported once a checkpoint,
into the cache folder, and found again by the checkpoint's SHA-256. In eight bits, matrix products
take their weights as ``int8`` (one scale a channel) and quantize their inputs as they come
(``onnxruntime.quantization.quantize_dynamic``); convolutions stay in float32.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from segwidget.errors import ModelError, StoreError
from segwidget.inference.registry import cache_folder
from segwidget.sam.fast.encoders import Encoder
from segwidget.sam.sam import Sam

OnnxPrecision: TypeAlias = Literal["float32", "int8"]

OPSET = 17
#: A change of what is exported makes a new file.
EXPORT = "encoder-1"

_exporting = threading.Lock()


class OnnxEncoder:
    """An image encoder in an ONNX Runtime session on the CPU.

    Args:
        path: of the exported encoder.
    """

    def __init__(self, path: Path) -> None:
        runtime = _import_runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self._session = runtime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Encode normalized and padded images, ``(1, 3, S, S)`` float32."""
        outputs = [torch.from_numpy(y) for y in self._session.run(None, {"image": x.numpy()})]
        return outputs[0], outputs[1] if len(outputs) > 1 else None


def onnx_encoder(sam: Sam, precision: OnnxPrecision, checkpoint: str) -> Encoder:
    """A network's image encoder in ONNX Runtime; exported when it is first asked for.

    Args:
        sam: in evaluation mode, on the CPU.
        precision: ``"float32"`` or ``"int8"``.
        checkpoint: SHA-256 of its weights, in hex.

    Raises:
        ModelError: ONNX Runtime, or what exports to it, is not installed.
        StoreError: the exported encoder cannot be written.
    """
    _import_runtime()
    path = exported_path(checkpoint, precision)
    with _exporting:
        if not path.is_file():
            _export(sam, precision, path, exported_path(checkpoint, "float32"))
    return OnnxEncoder(path)


def exported_path(checkpoint: str, precision: OnnxPrecision) -> Path:
    """Where the exported encoder of a checkpoint lies; its folder holds its weights, too."""
    return cache_folder() / "onnx" / f"{checkpoint}-{EXPORT}-{precision}" / "encoder.onnx"


def _export(sam: Sam, precision: OnnxPrecision, path: Path, plain: Path) -> None:
    """Write the encoder's folder, whole or not at all."""
    if find_spec("onnx") is None:
        raise ModelError(
            "The package onnx, which exports models to ONNX Runtime, is not installed. Run "
            '`pip install "segwidget[onnx]"`.'
        )
    target = path.parent
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="export-", dir=target.parent) as folder:
            file = Path(folder) / target.name / path.name
            file.parent.mkdir()
            if precision == "float32":
                _trace(sam, file)
            else:
                source = plain if plain.is_file() else Path(folder) / "plain" / path.name
                if source is not plain:
                    source.parent.mkdir()
                    _trace(sam, source)
                _quantize(source, file)
            if not path.is_file():  # another process may have been quicker
                shutil.rmtree(target, ignore_errors=True)
                file.parent.replace(target)
    except OSError as e:
        if path.is_file():
            return
        raise StoreError(
            f"The model for ONNX Runtime cannot be written into {target.parent}: "
            f"{e.strerror or e}. It needs up to twice the checkpoint's size there: free some "
            "space, or point SEGWIDGET_CACHE elsewhere."
        ) from e


class _Tensors(nn.Module):
    """The encoder without the features that it does not have, which ONNX has no word for."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(y for y in self.encoder(x) if y is not None)


def _trace(sam: Sam, file: Path) -> None:
    side = sam.image_size
    image = torch.zeros(1, 3, side, side)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on sizes that are constants here, and on the exporter
        torch.onnx.export(
            _Tensors(sam.image_encoder).eval(),
            (image,),
            str(file),
            dynamo=False,
            opset_version=OPSET,
            input_names=["image"],
            do_constant_folding=True,
        )


def _quantize(source: Path, file: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with warnings.catch_warnings(), quiet_log():
        warnings.simplefilter("ignore")
        quantize_dynamic(
            source,
            file,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
            use_external_data_format=source.stat().st_size > 1 << 30,
        )


@contextmanager
def quiet_log() -> Iterator[None]:
    """Keep advice to developers, which goes to the root logger, from people."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _import_runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as e:
        raise ModelError(
            "ONNX Runtime, which this way of computing needs, is not installed. Run "
            "`pip install \"segwidget[onnx]\"`, or use precision='float32' or 'bfloat16'."
        ) from e
    return onnxruntime
