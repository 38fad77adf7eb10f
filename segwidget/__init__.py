"""A promptable segmentation model inside a notebook cell.

Names are loaded when they are first touched (PEP 562), so that ``import segwidget`` costs next to
nothing: neither torch nor ipywidgets is imported before something needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segwidget.annotation.annotation import Annotation, Annotations
    from segwidget.annotation.automatic import everything
    from segwidget.annotation.labels import Label, LabelSet
    from segwidget.annotation.ontology import Attribute
    from segwidget.annotation.store import Store
    from segwidget.engine.data_engine import DataEngine
    from segwidget.evaluation.comparison import compare
    from segwidget.inference.candidates import Candidates
    from segwidget.inference.delta import save_delta
    from segwidget.inference.predictor import Predictor
    from segwidget.inference.prompts import Box, MaskPrompt, Point, Polygon
    from segwidget.media.image import open_image
    from segwidget.training.dataset import FineTuneDataset
    from segwidget.training.finetune import finetune
    from segwidget.widget.gallery import Gallery
    from segwidget.widget.project import Project
    from segwidget.widget.segmenter import Segmenter

__version__ = "0.1.0"

__all__ = [
    "Annotation",
    "Annotations",
    "Attribute",
    "Box",
    "Candidates",
    "DataEngine",
    "FineTuneDataset",
    "Gallery",
    "Label",
    "LabelSet",
    "MaskPrompt",
    "Point",
    "Polygon",
    "Predictor",
    "Project",
    "Segmenter",
    "Store",
    "__version__",
    "compare",
    "everything",
    "finetune",
    "open_image",
    "save_delta",
]

# Public name -> the module that defines it. Type checkers read the imports above instead.
_HOMES = {
    "Annotation": "segwidget.annotation.annotation",
    "Annotations": "segwidget.annotation.annotation",
    "Attribute": "segwidget.annotation.ontology",
    "Box": "segwidget.inference.prompts",
    "Candidates": "segwidget.inference.candidates",
    "DataEngine": "segwidget.engine.data_engine",
    "FineTuneDataset": "segwidget.training.dataset",
    "Gallery": "segwidget.widget.gallery",
    "Label": "segwidget.annotation.labels",
    "LabelSet": "segwidget.annotation.labels",
    "MaskPrompt": "segwidget.inference.prompts",
    "Point": "segwidget.inference.prompts",
    "Polygon": "segwidget.inference.prompts",
    "Predictor": "segwidget.inference.predictor",
    "Project": "segwidget.widget.project",
    "Segmenter": "segwidget.widget.segmenter",
    "Store": "segwidget.annotation.store",
    "compare": "segwidget.evaluation.comparison",
    "everything": "segwidget.annotation.automatic",
    "finetune": "segwidget.training.finetune",
    "open_image": "segwidget.media.image",
    "save_delta": "segwidget.inference.delta",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
