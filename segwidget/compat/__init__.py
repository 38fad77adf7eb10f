"""The published package's interface, so that code which was written for it runs on segwidget.

Only the import changes::

    from segwidget.compat import SamAutomaticMaskGenerator, SamPredictor, sam_model_registry

    sam = sam_model_registry["vit_b"](checkpoint="sam_vit_b_01ec64.pth")
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    masks, scores, logits = predictor.predict(point_coords, point_labels)

Names, arguments, shapes, dtypes and the way of counting pixels are those of the package
``segment_anything`` 1.0, and so are the results. :class:`SamPredictor` is also where a
:class:`segwidget.Predictor` answers to the published signature: ``SamPredictor(predictor)``. Beside
the published networks the registry has ``"mobile_sam"`` (also ``"vit_t"``), ``"medsam"`` and
``"embedded"``, which needs no file.
"""

from segwidget.compat.automatic import SamAutomaticMaskGenerator
from segwidget.compat.build_sam import (
    build_sam,
    build_sam_vit_b,
    build_sam_vit_h,
    build_sam_vit_l,
    build_sam_vit_t,
    sam_model_registry,
)
from segwidget.compat.predictor import SamPredictor
from segwidget.compat.sam import Sam

__all__ = [
    "Sam",
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "build_sam_vit_t",
    "sam_model_registry",
]
