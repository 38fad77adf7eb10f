"""The mask in the making: the steps of a session before anything is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from segwidget.annotation import checks
from segwidget.annotation.history import Draft, History
from segwidget.errors import AnnotationError, PromptError
from segwidget.inference.prompts import PROMPTS, Box, MaskPrompt, Point, Polygon, Prompt
from segwidget.inference.region import Region
from segwidget.inference.rle import Rle


class Drafting(History):
    """The draft's part of a `Session`."""

    def set_prompts(self, prompts: Iterable[Prompt]) -> None:
        """Replace the draft's prompts.

        One prompt more at the end refines the picked candidate, so that pick is remembered. Any
        other change starts over from the best candidate each time.

        Raises:
            PromptError: something that is no prompt, or outside the region that is looked at.
                (`validate_prompts` checks against the image.)
        """
        new = tuple(prompts)
        for prompt in new:
            given: Any = prompt
            if not isinstance(given, PROMPTS):
                raise PromptError(
                    f"A prompt of a session is a {type(given).__name__}; expected Point, Box, "
                    "Polygon or MaskPrompt. validate_prompts(...) reads other forms."
                )
            if self.region is not None:
                self.region.into(prompt)  # refuses what is outside
        old = self.draft
        if new == old.prompts:
            return
        draft = Draft()
        if new:
            grown = bool(old.prompts) and new[:-1] == old.prompts
            picks = (*old.picks, old.picked) if grown else (0,) * (len(new) - 1)
            # The annotation that a draft began with stays what it replaces, until it is begun anew.
            replaces = old.replaces if new[0] == (old.prompts or (None,))[0] else ""
            draft = Draft(new, picks, region=self.region, replaces=replaces)
        self._step(_prompts_step(old.prompts, new), draft=draft)

    def start_from(self, mask: str | Rle) -> None:
        """Begin a draft with a mask that is there already.

        Args:
            mask: an annotation's id: keeping the draft replaces it, and its label becomes the
                current one; one that is only a box is a box again. Or any mask of the image's
                size: keeping makes a new annotation.

        Raises:
            AnnotationError: an unknown id.
            PromptError: an empty mask, or one outside the region that is looked at.
        """
        prompt: Prompt
        if isinstance(mask, str):
            (item,) = self._items(self._chosen(mask))
            # Of a box nobody knows yet which pixels the thing has.
            prompt = item.as_box or MaskPrompt(item.rle)
            label, replaces = item.label, item.id
            name = f"start from {label}"
        else:
            prompt, label, replaces = MaskPrompt(mask), self.label, ""
            name = "start from a mask"
        if self.region is not None:
            self.region.into(prompt)  # refuses what is outside
        draft = Draft((prompt,), region=self.region, replaces=replaces)
        self._step(name, draft=draft, label=label)

    def focus(self, region: Region | None) -> None:
        """Look at a part of the image from now on, or at all of it.

        A draft goes along where all of it lies within the region, and is dropped otherwise.
        """
        draft = self.draft
        if draft.prompts:
            inside = region is None or region.contains(draft.prompts)
            draft = replace(draft, region=region) if inside else Draft()
        name = "leave region" if region is None else "look closer"
        self._step(name, region=region, draft=draft)

    def pick(self, index: int) -> None:
        """Pick a candidate of the draft, 0 the best; picks in a row are one step.

        Raises:
            AnnotationError: not a whole number from 0, or there is no draft to pick from.
        """
        picked = checks.index("picked candidate", index)
        if not self.draft.prompts and picked != 0:
            raise AnnotationError(
                f"Candidate {picked} cannot be picked: there is no draft. Give a prompt first."
            )
        self._step("pick", browsing="pick", draft=replace(self.draft, picked=picked))

    def prefer(self, index: int) -> None:
        """Pick a candidate before anybody has; no step of its own."""
        if self.draft.prompts:
            draft = replace(self.draft, picked=checks.index("picked candidate", index))
            self._now = replace(self._now, draft=draft)

    def clear_draft(self) -> None:
        """Drop the draft."""
        self._step("clear", draft=Draft())


def _prompts_step(old: tuple[Prompt, ...], new: tuple[Prompt, ...]) -> str:
    """What to call the step from one list of prompts to another."""
    if not new:
        return "clear"
    if new[:-1] == old:
        return _kind(new[-1])
    if len(new) == len(old) - 1:
        place = next((i for i, prompt in enumerate(new) if prompt != old[i]), len(new))
        if new[place:] == old[place + 1 :]:
            return f"remove {_kind(old[place])}"
    return "prompts"


def _kind(prompt: Prompt) -> str:
    names = {Point: "point", Box: "box", Polygon: "polygon"}
    return names.get(type(prompt), "mask")
