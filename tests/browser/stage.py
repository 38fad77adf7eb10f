"""What a person does with the widget, and what they see, in image pixels."""

from __future__ import annotations

import base64
import io
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Frame, Locator, Page
from scipy import ndimage

from segwidget.inference.rle import Rle
from tests.browser.lab_driver import PATIENCE_MS, Kernel, LabPage

AnyView = TypeVar("AnyView", bound="View")


class View:
    """One view of a Segmenter in a page, wherever that page comes from.

    Coordinates are the image's, as everywhere in segwidget.
    """

    def __init__(self, page: Page | Frame, view: int = 0) -> None:
        self.page: Any = page
        self.root = page.get_by_test_id("segwidget-root").nth(view)
        self.canvas = self.part("segwidget-canvas")

    def part(self, name: str) -> Locator:
        return self.root.get_by_test_id(name)

    def ready(self: AnyView) -> AnyView:
        """Wait until the picture is painted and the model is there."""
        self.canvas.wait_for(timeout=PATIENCE_MS)
        self.wait_for("root.dataset.painted === 'true' && root.dataset.state === 'ready'")
        return self

    def wait_for(self, condition: str, timeout: float = PATIENCE_MS) -> None:
        """Wait until a condition on the element `root` holds."""
        self.page.wait_for_function(
            f"root => {condition}", arg=self.root.element_handle(), timeout=timeout
        )

    def answered(self) -> None:
        """Wait until the newest prompts' answer is on screen."""
        self.wait_for("root.dataset.busy === 'false' && root.dataset.request !== ''")

    def spot(self, x: float, y: float) -> dict[str, float]:
        """Where an image point lies on the canvas, in CSS pixels."""
        at = self.canvas.evaluate("c => ({...c.dataset})")
        scale = float(at["scale"])
        return {"x": float(at["originX"]) + x * scale, "y": float(at["originY"]) + y * scale}

    def click(self, x: float, y: float, **options: Any) -> None:
        """Click an image point and wait for the answer."""
        before = self.root.get_attribute("data-request")
        self.canvas.click(position=self.spot(x, y), **options)
        self.wait_for(f"root.dataset.request !== {before!r}")
        self.answered()

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag a box and wait for the answer."""
        before = self.root.get_attribute("data-request")
        frame = self.canvas.bounding_box()
        assert frame is not None
        (a, b) = self.spot(*start), self.spot(*end)
        self.page.mouse.move(frame["x"] + a["x"], frame["y"] + a["y"])
        self.page.mouse.down()
        for t in (0.3, 0.7, 1.0):
            x, y = a["x"] + t * (b["x"] - a["x"]), a["y"] + t * (b["y"] - a["y"])
            self.page.mouse.move(frame["x"] + x, frame["y"] + y)
        self.page.mouse.up()
        self.wait_for(f"root.dataset.request !== {before!r}")
        self.answered()

    def press(self, keys: str) -> None:
        self.canvas.press(keys)

    def pixels(self) -> NDArray[np.int16]:
        """What the canvas shows, `(H, W, 3)` in device pixels.

        Whatever has happened by now is painted in the next frame; of the second, nothing is left.
        """
        data: str = self.canvas.evaluate(
            """async c => {
                for (const _ of [1, 2]) await new Promise(done => requestAnimationFrame(done));
                return c.toDataURL('image/png'); }"""
        )
        picture = Image.open(io.BytesIO(base64.b64decode(data.split(",")[1])))
        return np.asarray(picture.convert("RGB"), np.int16)

    def shown_mask(
        self, plain: NDArray[np.int16], height: int, width: int, color: str, fill: float = 0.48
    ) -> NDArray[np.bool_]:
        """The candidate on screen, `(height, width)`, read from the canvas' pixels.

        A pixel is inside where `color` lies over the picture with opacity `fill`, and outside where
        the picture is as it was. What is neither, the outline and the prompts' markers, belongs to
        whatever is nearest: the outline is centered on the edge.

        Args:
            plain: the canvas without any mask, at the same zoom.
            height: of the image.
            width: of the image.
            color: of the label, "#rrggbb".
            fill: opacity of the candidate's fill.
        """
        now = self.pixels()
        tint = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
        inside = (np.abs(now - (plain * (1 - fill) + tint * fill)) <= 6).all(axis=2)
        outside = (np.abs(now - plain) <= 2).all(axis=2)
        nearest = ndimage.distance_transform_edt(
            ~(inside ^ outside), return_distances=False, return_indices=True
        )
        settled = inside[tuple(nearest)]
        at = self.canvas.evaluate("c => ({...c.dataset, ratio: c.width / c.clientWidth})")
        ratio = float(at["ratio"])
        scale = float(at["scale"]) * ratio
        x = (float(at["originX"]) * ratio + (np.arange(width) + 0.5) * scale).astype(int)
        y = (float(at["originY"]) * ratio + (np.arange(height) + 0.5) * scale).astype(int)
        mask: NDArray[np.bool_] = settled[np.ix_(y, x)]
        return mask


class Stage(View):
    """One view of a Segmenter called `seg` in a notebook's kernel."""

    def __init__(self, lab: LabPage, kernel: Kernel, view: int = 0) -> None:
        super().__init__(lab.page, view)
        self.lab, self.kernel = lab, kernel

    def kernel_mask(self, index: int = -1) -> NDArray[np.bool_]:
        """A kept mask, from the kernel."""
        size, counts = self.kernel.eval(
            f"[seg.annotations[{index}].rle.size, seg.annotations[{index}].rle.counts]"
        )
        return Rle(tuple(size), counts).decode()
