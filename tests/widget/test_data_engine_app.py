"""The data engine's cells: to work in, and to judge a sample of automatic masks."""

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.annotation.annotation import Annotation, Annotations
from segwidget.annotation.image_info import ImageInfo
from segwidget.annotation.proposed import Record, record_values
from segwidget.engine import automatic
from segwidget.engine.data_engine import DataEngine
from segwidget.widget import project as project_module
from segwidget.widget.project import Project

from .conftest import HEIGHT, PATIENCE, WIDTH

NAMES = ("a.png", "b.png", "c.png")


def mask(x):
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[4:20, x : x + 16] = True
    return inside


@pytest.fixture
def engine(tmp_path, comms, loads):
    for number, name in enumerate(NAMES):
        PILImage.new("RGB", (WIDTH, HEIGHT), (60 * number, 90, 120)).save(tmp_path / name)
    with Project(tmp_path, labels=["car"]) as project, DataEngine(project) as engine:
        yield engine
    for app in list(project_module._apps.values()):
        app.close()
    project_module._apps.clear()


def test_the_app_has_the_images_by_expected_gain(engine):
    project = engine.project
    for key, gain in zip(NAMES, (0.5, 0.1, 2.0), strict=True):
        record = Record("0" * 64, "2026-01-01T00:00:00.000+00:00", gain=gain)
        project[key].annotations.extend([], meta=record_values(key, record))
    app = engine.assisted(height=300)
    assert app.wait(PATIENCE)
    assert app.keys_shown == ("c.png", "a.png", "b.png")
    assert app.key == "c.png"


def test_the_sample_opens_in_review_and_its_verdicts_count(engine, monkeypatch):
    def found(image, *_args, **_options):
        items = [Annotation.from_mask(mask(x), label="object") for x in (0, 20)]
        return Annotations(items, ImageInfo.of(image))

    monkeypatch.setattr(automatic, "everything", found)
    monkeypatch.setattr(
        DataEngine, "predictor", property(lambda self: self._predictor or _Nothing())
    )
    engine.automatic(progress=False)
    drawn = engine.sample(2, seed=1)
    app = engine.review()
    assert app.wait(PATIENCE)
    assert app.reviewing
    assert app.keys_shown == drawn.keys
    first = app._panels.review.mask
    app._panels.review.accept()
    app._panels.review.reject()
    app.mark_done()
    quality = engine.quality()
    assert (quality.images, quality.waiting) == (1, 1)
    assert (quality.pairs, quality.untouched, quality.rejected) == (1, 1, 1)
    assert [a.id for a in drawn[drawn.keys[0]].annotations] == [first.id]
    assert engine.project.store.counts() == {}


class _Nothing:
    """A predictor that is asked for nothing."""

    class model:  # noqa: N801
        sha256 = "0" * 64

    def reset_image(self):
        pass
