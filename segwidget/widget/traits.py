"""What a widget shows, as traits that check what they are given, by Python or by a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets
from traitlets import HasTraits, TraitType

from segwidget.annotation import checks
from segwidget.annotation.annotation import Annotations, ImageInfo
from segwidget.annotation.labels import LabelSet, LabelsLike
from segwidget.inference.candidates import Candidates
from segwidget.inference.dialogue import check_dialogue
from segwidget.inference.prompts import Prompt, validate_prompts
from segwidget.media.image import Image
from segwidget.widget import protocol


class PromptsTrait(TraitType[tuple[Prompt, ...], Any]):
    """Prompts within the widget's ``image``; empty where there is no draft."""

    default_value = ()

    def validate(self, obj: HasTraits | None, value: Any) -> tuple[Prompt, ...]:
        """The prompts as values.

        Raises:
            PromptError: they are impossible, or cannot be a dialogue about one thing.
        """
        if isinstance(value, list | tuple):
            if not value:
                return ()
            check_dialogue(value)  # before each of a million is looked at
        image = getattr(obj, "image")  # noqa: B009 - HasTraits has no such attribute
        prompts = validate_prompts(value, image.width, image.height)
        check_dialogue(prompts)
        return prompts


class LabelsTrait(TraitType[LabelSet, LabelsLike]):
    """Labels from anything that ``LabelSet.of`` takes."""

    def validate(self, obj: HasTraits | None, value: Any) -> LabelSet:
        """The labels as a value.

        Raises:
            LabelError: they cannot be used.
        """
        return LabelSet.of(value)


class AnnotationsTrait(TraitType[Annotations, Any]):
    """Annotations of the widget's ``image``, from any iterable of them."""

    def validate(self, obj: HasTraits | None, value: Any) -> Annotations:
        """The annotations as a value.

        Raises:
            AnnotationError: they do not belong to the image, or are none.
        """
        info = ImageInfo.of(getattr(obj, "image"))  # noqa: B009 - as above
        if isinstance(value, Annotations) and value.image == info:
            return value
        return Annotations(checks.listed("list", value), info, getattr(obj, "labels"))  # noqa: B009


def _to_json(convert: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """A trait's serializer from a function of its value alone."""
    return lambda value, _widget: None if value is None else convert(value)


class SegmenterTraits(anywidget.AnyWidget):
    """The state that kernel and page share. What is read-only is the kernel's to say."""

    image = traitlets.Instance(
        Image, read_only=True, help="The opened image; another one needs another Segmenter."
    ).tag(sync=True, echo_update=False, to_json=lambda _, widget: widget.image_json)

    prompts = PromptsTrait(
        help="The draft's prompts, a tuple of Point, Box, Polygon and MaskPrompt."
    ).tag(sync=True, to_json=_to_json(protocol.prompts_to_json))

    request = traitlets.Unicode("", help="Names the newest prompts; an answer repeats it.").tag(
        sync=True
    )

    picked = traitlets.Int(0, min=0, help="Which candidate is picked, 0 the first.").tag(sync=True)

    candidates = traitlets.Instance(
        Candidates,
        allow_none=True,
        read_only=True,
        help="The answer to the draft; None where there is no draft.",
    ).tag(sync=True, echo_update=False, to_json=lambda _, widget: widget.candidates_json)

    labels = LabelsTrait(help="The labels to choose from, a LabelSet.").tag(
        sync=True, to_json=_to_json(protocol.labels_to_json)
    )

    label = traitlets.Unicode(help="The name of the label that the next mask gets.").tag(sync=True)

    annotations = AnnotationsTrait(help="What was kept, an Annotations.").tag(
        sync=True, echo_update=False, to_json=_to_json(protocol.annotations_to_json)
    )

    level = traitlets.Enum(
        ("best", "whole", "part", "subpart"),
        "best",
        help="Which mask of a click on a thing is picked first: the best, or by size.",
    ).tag(sync=True)

    protect = traitlets.Bool(
        False, help="Whatever is kept or edited leaves the pixels of what was kept before alone."
    ).tag(sync=True)

    history = traitlets.Dict(
        read_only=True, help="Names of the steps that undo and redo would touch."
    ).tag(sync=True)

    status = traitlets.Dict(
        read_only=True, help="What the kernel is doing, and with which model."
    ).tag(sync=True)

    notice = traitlets.Dict(
        default_value=None,
        allow_none=True,
        read_only=True,
        help="A message to the person, until it is dismissed.",
    ).tag(sync=True)

    height = traitlets.Int(540, min=120, help="Height of the picture in CSS pixels.").tag(sync=True)
