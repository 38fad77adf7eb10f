"""SAM 2, SAM 2.1 and SAM 3 (and SAM in that layout) as ``transformers`` implements them.

An optional room: it needs the extra ``segwidget[hf]``. The network's parts are transformers'
own; how they are put together at a click is here, because transformers gives away either three
masks or one, and a predictor wants all four ("SAM 2: Segment Anything in Images and Videos",
appendix D). SAM 3's part that finds what a text names is left out.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segwidget.errors import CheckpointError, ModelError, PromptError
from segwidget.inference.hf_files import INSTALL, ModelFolder, read_folder, read_json
from segwidget.inference.network import Prepared
from segwidget.inference.preprocessing import SAM2, SAM3, SAM_NORMALIZED, Frame, Normalized
from segwidget.sam.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NOT_A_POINT
from segwidget.sam.sam import ImageFeatures

_PREPROCESSING: Mapping[str, Normalized] = {
    "SamModel": SAM_NORMALIZED,
    "Sam2Model": SAM2,
    "Sam3TrackerModel": SAM3,
}


class TransformersNetwork:
    """A promptable model of transformers as a predictor's network.

    Args:
        model: a ``SamModel``, ``Sam2Model`` or ``Sam3TrackerModel``, in evaluation mode.
        preprocessing: how an image becomes its input.
        variant: see :attr:`variant`; by default the name of the preprocessing.
    """

    # The model is Any: its type is transformers', which may not be installed.
    def __init__(self, model: Any, preprocessing: Normalized, variant: str = "") -> None:
        self.model = model
        self.preprocessing = preprocessing
        self.variant = variant or f"{preprocessing.name}-float32"
        self._decoder = model.mask_decoder
        self._image_size = int(model.prompt_encoder.input_image_size)
        self._grid = int(model.prompt_encoder.image_embedding_size[0])
        with torch.inference_mode():
            self._positions: Tensor = model.get_image_wide_positional_embeddings()

    @property
    def device(self) -> torch.device:
        """The device that holds the parameters."""
        return cast(torch.device, self.model.device)

    def frame(self, width: int, height: int) -> Frame:
        """How an image of this size lies in the network's input."""
        return self.preprocessing.frame(width, height, self._image_size, 4 * self._grid)

    def encode(self, pixels: NDArray[np.uint8]) -> ImageFeatures:
        """Embed an RGB image, ``uint8 (H, W, 3)``.

        SAM 2 and SAM 3 have features of three strides; the finer two are already projected for
        the mask decoder, once an image.
        """
        height, width = pixels.shape[:2]
        frame = self.frame(width, height)
        with torch.inference_mode():
            x = self.preprocessing.to_input(pixels, frame).to(self.device)
            if not hasattr(self.model, "no_memory_embedding"):
                return ImageFeatures(self.model.get_image_embeddings(x))
            maps = self.model.get_image_features(x, return_dict=True).fpn_hidden_states
            sizes = self.model.backbone_feature_sizes
            # The coarsest of the decoder's maps is told that there is no memory of a video. SAM 3
            # computes a coarser one still, which its decoder never sees: transformers' image
            # model spends the embedding on that, its video model and SAM 3 itself do not.
            used = [*maps[: len(sizes) - 1], maps[len(sizes) - 1] + self.model.no_memory_embedding]
            finest, high_res, embedding = (
                x.permute(1, 2, 0).unflatten(2, tuple(size)).contiguous()  # from (h w, 1, C)
                for x, size in zip(used, sizes, strict=True)
            )
            return ImageFeatures(embedding, high_res, finest)

    def prepare(self, features: ImageFeatures) -> Prepared:
        """Compute what depends on the image alone and every answer needs."""
        return features

    def decode(
        self,
        prepared: Prepared,
        coords: Tensor,
        labels: Tensor,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Answer prompts; see :meth:`Network.decode`.

        Raises:
            PromptError: a prompt has several boxes.
        """
        with torch.inference_mode():
            # Prompts that are laid out alike are answered together, which mostly is all of them.
            layouts, layout_of = torch.unique(_kinds(labels), dim=0, return_inverse=True)
            if len(layouts) == 1:
                return self._decode_alike(prepared, coords, labels, layouts[0], masks)
            side = 4 * self._grid
            logits = coords.new_empty((len(coords), 4, side, side), dtype=torch.float32)
            iou = coords.new_empty((len(coords), 4), dtype=torch.float32)
            for i, layout in enumerate(layouts):
                rows = layout_of == i
                given = None if masks is None else masks[rows]
                logits[rows], iou[rows] = self._decode_alike(
                    prepared, coords[rows], labels[rows], layout, given
                )
            return logits, iou

    def _decode_alike(
        self,
        features: ImageFeatures,
        coords: Tensor,
        labels: Tensor,
        layout: Tensor,
        masks: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Answer prompts that have the same kinds of points in the same places."""
        corner = layout == _CORNER
        boxes = coords[:, corner]
        if boxes.shape[1] > 2:
            raise PromptError(
                f"A prompt has {boxes.shape[1] // 2} boxes; this model takes at most one for one "
                "thing. Ask for one thing at a time."
            )
        points, point_labels = coords[:, ~corner], labels[:, ~corner]
        if not boxes.shape[1] and layout[-1] == _PADDING:
            points, point_labels = points[:, :-1], point_labels[:, :-1]  # it pads those itself
        given: dict[str, Tensor | None] = {
            "input_points": points if points.shape[1] or not boxes.shape[1] else None,
            "input_labels": point_labels if points.shape[1] or not boxes.shape[1] else None,
            "input_boxes": boxes.flatten(1) if boxes.shape[1] else None,
        }
        # transformers counts images, then prompts: (1, B, ...).
        one_image = {k: None if x is None else x.unsqueeze(0) for k, x in given.items()}
        sparse, dense = self.model.get_prompt_embeddings(**one_image, input_masks=masks)
        logits, iou = _predict_masks(self._decoder, features, self._positions, sparse[0], dense)
        return logits.float(), iou.float()


def _predict_masks(
    decoder: Any, features: ImageFeatures, positions: Tensor, sparse: Tensor, dense: Tensor
) -> tuple[Tensor, Tensor]:
    """All masks of a mask decoder, before it chooses among them.

    Args:
        decoder: a ``SamMaskDecoder`` or ``Sam2MaskDecoder`` of transformers.
        features: of one image.
        positions: ``(1, C, h, w)``, of the image's grid.
        sparse: ``(B, T, C)`` tokens of the prompts.
        dense: ``(1 or B, C, h, w)``, of masks as prompts.

    Returns:
        Logits ``(B, 4, 4h, 4w)`` and predicted IoUs ``(B, 4)``.
    """
    learned = [decoder.iou_token.weight, decoder.mask_tokens.weight]
    if hasattr(decoder, "obj_score_token"):  # whether the thing is there at all: SAM 2 and SAM 3
        learned.insert(0, decoder.obj_score_token.weight)
    count = len(sparse)
    tokens = torch.cat([torch.cat(learned).expand(count, -1, -1), sparse], dim=1)
    image = (features.embedding + dense).expand(count, -1, -1, -1)
    tokens, image = decoder.transformer(
        point_embeddings=tokens.unsqueeze(1),
        image_embeddings=image,
        image_positional_embeddings=positions,
        attention_similarity=None,
    )[:2]
    iou_at = len(learned) - 2
    iou_token, mask_tokens = tokens[:, 0, iou_at], tokens[:, 0, iou_at + 1 : iou_at + 5]

    up = image.squeeze(1).transpose(1, 2).unflatten(2, positions.shape[-2:])
    up = decoder.upscale_conv1(up)
    if features.high_res is not None:
        up = up + features.high_res
    up = decoder.upscale_conv2(decoder.activation(decoder.upscale_layer_norm(up)))
    if features.finest is not None:
        up = up + features.finest
    up = decoder.activation(up)

    heads = decoder.output_hypernetworks_mlps
    weights = torch.stack([mlp(mask_tokens[:, i]) for i, mlp in enumerate(heads)], dim=1)
    logits = (weights @ up.flatten(2)).unflatten(2, up.shape[-2:])
    return logits, decoder.iou_prediction_head(iou_token)


_POINT, _CORNER, _PADDING = 0, 1, 2


def _kinds(labels: Tensor) -> Tensor:
    """What each of the points ``(B, N)`` is, as seen from their labels."""
    corner = (labels == BOX_TOP_LEFT) | (labels == BOX_BOTTOM_RIGHT)
    return _CORNER * corner.int() + _PADDING * (labels == NOT_A_POINT).int()


def load_network(path: Path, device: torch.device) -> tuple[TransformersNetwork, str]:
    """Load a folder in transformers' layout. No code in it is run, and nothing is fetched.

    Args:
        path: holds ``config.json`` and ``model.safetensors``.
        device: where it is to run.

    Returns:
        The network, and the SHA-256 of its weights.

    Raises:
        ModelError: there is no model that can be run in it, or transformers is not installed.
        CheckpointError: its files are missing, damaged or unsafe.
    """
    folder = read_folder(path)
    model = _load_model(folder).to(device)
    model.eval().requires_grad_(False)
    preprocessing = _preprocessing(folder)
    # The same weights may be set up in another way, and then embed otherwise.
    setup = json.dumps([folder.config, preprocessing.mean, preprocessing.std], sort_keys=True)
    digest = hashlib.sha256(setup.encode()).hexdigest()[:8]
    variant = f"{preprocessing.name}-float32-{digest}"
    return TransformersNetwork(model, preprocessing, variant), folder.sha256()


def _load_model(folder: ModelFolder) -> nn.Module:
    transformers = _import_transformers(folder.class_name)
    try:
        with _quiet(transformers):
            model, info = getattr(transformers, folder.class_name).from_pretrained(
                folder.path,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as e:  # damaged files and impossible configurations raise anything
        raise CheckpointError(
            f"The model in {folder.path} cannot be loaded as {folder.class_name} "
            f"({type(e).__name__}): its files are damaged or do not fit each other. Fetch it "
            "again with `hf download`, or save it again."
        ) from e
    missing = sorted(info["missing_keys"])
    if missing:
        raise CheckpointError(
            f"The weights in {folder.path} lack {len(missing)} tensors of {folder.class_name}, "
            f"such as {missing[0]}. Fetch the model again with `hf download`."
        )
    if model.mask_decoder.num_mask_tokens != 4:
        raise ModelError(
            f"The model in {folder.path} answers with {model.mask_decoder.num_mask_tokens} masks; "
            "expected 4, as published: one, and three for ambiguous prompts."
        )
    return cast(nn.Module, model)


def _import_transformers(class_name: str) -> ModuleType:
    try:
        import transformers

        getattr(transformers, class_name)
    except (ImportError, AttributeError) as e:
        state = "too old" if isinstance(e, AttributeError) else "not installed"
        raise ModelError(
            f"This model needs {class_name} of the package transformers, which is {state} here. "
            f"{INSTALL}"
        ) from e
    return transformers


@contextmanager
def _quiet(transformers: ModuleType) -> Iterator[None]:
    """Without progress bars, and without remarks about what :func:`_load_model` checks itself."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _preprocessing(folder: ModelFolder) -> Normalized:
    """The preprocessing of a folder: its family's, with mean and deviation from its own files."""
    usual = _PREPROCESSING[folder.class_name]
    given: Mapping[str, Any] = {}
    for name in ("processor_config.json", "preprocessor_config.json"):
        path = folder.path / name
        if not given and path.is_file():
            config = read_json(path)
            given = config.get("image_processor", config)
    mean, std = given.get("image_mean", usual.mean), given.get("image_std", usual.std)
    if not (_three_numbers(mean) and _three_numbers(std) and min(std) > 0):
        raise CheckpointError(
            f"The image processor in {folder.path} has the mean {mean} and the deviation {std}; "
            "expected three numbers each, the deviations above 0. Fetch the model again."
        )
    return usual.with_statistics(tuple(mean), tuple(std))


def _three_numbers(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(isinstance(x, int | float) and math.isfinite(x) for x in value)
    )
