"""Traits that check what they are given, whether Python or a page gives it."""

from __future__ import annotations

from typing import Any

from traitlets import HasTraits, TraitType

from segwidget.annotation.annotation import Annotations, ImageInfo
from segwidget.annotation.labels import LabelSet, LabelsLike
from segwidget.inference.prompts import Prompt, validate_prompts


class PromptsTrait(TraitType[tuple[Prompt, ...], Any]):
    """Prompts within the widget's ``image``; empty where there is no draft."""

    default_value = ()

    def validate(self, obj: HasTraits | None, value: Any) -> tuple[Prompt, ...]:
        """The prompts as values.

        Raises:
            PromptError: they are impossible.
        """
        if isinstance(value, list | tuple) and not value:
            return ()
        image = getattr(obj, "image")  # noqa: B009 - HasTraits has no such attribute
        return validate_prompts(value, image.width, image.height)


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
        return Annotations(value, info, getattr(obj, "labels"))  # noqa: B009
