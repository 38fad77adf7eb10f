"""Improving with the embedded model on drawn pictures: nothing is faked but the page."""

import numpy as np
import pytest
from PIL import Image as PILImage
from PIL import ImageDraw

from segwidget.inference.delta import card_path
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Point
from segwidget.widget import improve, project
from segwidget.widget.project import Project

WIDTH, HEIGHT = 160, 120
PATIENCE = 500  # it learns on one thread, and gives way to all others
PLACES = ((24, 30), (80, 34), (134, 86))


def drawn(number):
    """A picture of rings, and their masks: the hole belongs to each, against the model's habit."""
    picture = PILImage.new("RGB", (WIDTH, HEIGHT), (30, 30 + 9 * number, 70))
    masks = []
    for x, y in PLACES:
        box = (x - 18, y - 18, x + 18, y + 18)
        ImageDraw.Draw(picture).ellipse(box, fill=(230, 200 - 20 * number, 40))
        ImageDraw.Draw(picture).ellipse((x - 9, y - 9, x + 9, y + 9), fill=(40, 60, 200))
        mask = PILImage.new("1", (WIDTH, HEIGHT))
        ImageDraw.Draw(mask).ellipse(box, fill=1)
        masks.append(np.asarray(mask))
    return picture, masks


@pytest.fixture
def app(tmp_path, comms, monkeypatch):
    monkeypatch.setattr(improve, "EPOCHS", 1)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        drawn(number)[0].save(folder / f"{number}.png")
    made = Project(folder, labels=["ring"])
    for number, one in enumerate(made):
        for mask in drawn(number)[1]:
            one.annotations.add(mask, label="ring")
    app = made.app()
    assert app.wait(PATIENCE)
    yield app
    app.close()
    project._apps.clear()


@pytest.mark.timeout(600)
def test_it_ends_in_an_offer_or_in_an_honest_refusal(app, tmp_path):
    part, segmenter = app._improve, app.segmenter
    part.button.click()
    assert part.thread.is_alive()
    segmenter.prompts = [Point(*PLACES[0])]  # the person goes on meanwhile
    kept = segmenter.keep(label="ring")
    assert kept in tuple(app.project[app.key].annotations)
    part.thread.join(PATIENCE)
    assert not part.thread.is_alive()
    message, files = app._controls.message.value, list(tmp_path.rglob("*.delta.safetensors"))
    if part.offered is None:
        assert "present model stays" in message or "better than the present model" in message
        assert files == []
        assert part.button.layout.display == ""
    else:
        assert part.comparison.better
        assert part.comparison.differences["mean IoU"].low > 0
        assert files == [part.offered]
        assert card_path(part.offered).is_file()
        assert part.use_button.layout.display == ""
        assert part.text.value.startswith("Better on held-out images: IoU 1 click ")
        # What is offered is a model, and another one than that which it came from.
        tuned = Predictor(part.offered)
        assert tuned.model.sha256 != segmenter._answerer.loaded_model().sha256
