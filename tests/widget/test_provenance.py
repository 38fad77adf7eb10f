"""An annotation tells how it came to be, and what it tells is enough to make it again."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from segwidget.annotation.annotation import Annotations
from segwidget.inference.dialogue import Dialogue
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, Point

from .conftest import HEIGHT, PATIENCE, WIDTH, Page

DOT, OTHER, LAST = Point(40, 30), Point(10, 12, 0), Point(60, 20)


def clicked(seg):
    """Three prompts, another candidate picked after each."""
    seg.prompts = [DOT]
    seg.pick(1)
    seg.prompts = [DOT, OTHER]
    seg.pick(2)
    seg.prompts = [DOT, OTHER, LAST]
    seg.pick(1)
    return seg.keep("person")


def test_what_is_recorded(seg, model):
    seg.prompts = [DOT]
    candidates = seg.candidates
    seg.pick(2)
    kept = seg.keep("person")
    assert kept is seg.annotations[0]
    assert (kept.mask == candidates.mask(2)).all()
    assert kept.label == "person"
    assert kept.prompts == (DOT,)
    assert kept.picks == ()
    assert kept.picked == 2
    assert kept.predicted_iou == pytest.approx(float(candidates.predicted_iou[2]))
    assert kept.stability_score == pytest.approx(float(candidates.stability_score[2]))
    assert (kept.model, kept.checkpoint) == (model.name, model.sha256)
    assert kept.image == seg.image.sha256
    assert kept.created.endswith("+00:00")
    assert kept.origin == "assisted"
    assert kept.visible
    assert kept.rle.size == (HEIGHT, WIDTH)


def test_picks_are_recorded_with_their_prompts(seg):
    kept = clicked(seg)
    assert kept.prompts == (DOT, OTHER, LAST)
    assert kept.picks == (1, 2)
    assert kept.picked == 1


def test_the_page_leaves_the_same_record(make):
    by_python, by_page = make(), make()
    page = Page(by_page)
    for n, (prompt, pick) in enumerate([(DOT, 1), (OTHER, 2), (LAST, 1)]):
        page.click(prompt.x, prompt.y, f"p-{n}", label=prompt.label)
        assert by_page.wait(PATIENCE)
        page.set(picked=pick)
    page.set(label="person")
    page.do("keep", request="p-2", picked=1)
    one, other = clicked(by_python).to_dict(), by_page.annotations[0].to_dict()
    for name in ("id", "created", "seconds"):
        one.pop(name)
        other.pop(name)
    assert one == other


def test_a_record_can_be_replayed(seg, model):
    kept = clicked(seg)
    predictor = Predictor(model)
    predictor.set_image(seg.image)
    again = Dialogue(predictor).answer(kept.prompts, kept.picks)
    assert (again.mask(kept.picked) == kept.mask).all()
    assert float(again.predicted_iou[kept.picked]) == kept.predicted_iou
    other = Dialogue(predictor).answer(kept.prompts, (0, 0))
    assert not np.array_equal(again.low_res_logits, other.low_res_logits)


def test_seconds_run_from_the_first_prompt(seg, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("segwidget.widget.binding.time.monotonic", lambda: now[0])
    seg.prompts = [DOT]
    now[0] += 4
    seg.prompts = [DOT, OTHER]
    now[0] += 3.5
    assert seg.keep().seconds == 7.5
    now[0] += 100
    seg.prompts = [DOT]
    now[0] += 2
    assert seg.keep().seconds == 2
    seg.prompts = [DOT]
    now[0] += 50
    seg.clear()
    seg.prompts = [DOT]
    now[0] += 1
    assert seg.keep().seconds == 1


@pytest.fixture
def kept(seg):
    seg.add_label("<b>tree</b>")
    clicked(seg)
    seg.prompts = [Box(5, 6, 40, 50)]
    seg.keep("<b>tree</b>")
    seg.prompts = [Point(70, 50)]
    seg.keep("car")
    seg.show([seg.annotations[2].id], False)
    return seg.annotations


def test_a_data_frame_has_a_row_for_each(seg, kept):
    frame = kept.to_dataframe()
    assert list(frame["label"]) == ["person", "<b>tree</b>", "car"]
    assert list(frame["area"]) == [int(mask.sum()) for mask in seg.masks]
    assert list(frame["clicks"]) == [3, 0, 1]
    assert list(frame["boxes"]) == [0, 1, 0]
    assert list(frame["picked"]) == [1, 0, 0]
    assert list(frame["visible"]) == [True, True, False]
    assert set(frame["model"]) == {"embedded"}
    assert set(frame["image_sha256"]) == {seg.image.sha256}
    x0, y0, x1, y1 = frame.loc[0, ["x0", "y0", "x1", "y1"]]
    assert seg.masks[0][int(y0) : int(y1), int(x0) : int(x1)].sum() == frame.loc[0, "area"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
def test_a_saved_file_is_coco(seg, kept, tmp_path, capsys):
    path = kept.save(tmp_path / "street.coco.json")
    coco = COCO(str(path))
    capsys.readouterr()  # pycocotools prints
    (image,) = coco.loadImgs(coco.getImgIds())
    assert (image["width"], image["height"]) == (WIDTH, HEIGHT)
    found = coco.loadAnns(coco.getAnnIds())
    assert len(found) == 3
    for annotation, mask in zip(found, seg.masks, strict=True):
        assert (coco.annToMask(annotation).astype(bool) == mask).all()
        assert annotation["area"] == mask.sum()
        x, y, w, h = annotation["bbox"]
        assert coco_mask.toBbox(coco.annToRLE(annotation)).tolist() == [x, y, w, h]
    names = {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())}
    assert [names[a["category_id"]] for a in found] == ["person", "<b>tree</b>", "car"]


def test_what_was_saved_is_gone_on_with(make, picture, kept, tmp_path):
    path = kept.save(tmp_path / "street.coco.json")
    seg = make(picture, annotations=Annotations.load(path))
    assert seg.annotations.items == kept.items
    assert (seg.masks == kept.masks).all()
    assert seg.labels.names == ("car", "person", "<b>tree</b>")
    assert [a["visible"] for a in Page(seg)["annotations"]] == [True, True, False]
    json.dumps(seg.annotations.to_coco())
