"""What was recorded leads to the identical mask again; a changed model tells of the difference."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data, transform

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.replay import replay, replay_all
from segwidget.errors import AnnotationError
from segwidget.inference.dialogue import Dialogue
from segwidget.inference.models import Model
from segwidget.inference.network import SamNetwork
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, Point
from segwidget.inference.region import Region
from segwidget.inference.rle import Rle
from segwidget.media.image import open_image
from segwidget.sam.build import build_compact


@pytest.fixture(scope="module", autouse=True)
def _no_store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGWIDGET_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("SEGWIDGET_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def image():
    pixels = transform.resize(data.astronaut(), (120, 160), anti_aliasing=True)
    return open_image((255 * pixels).astype(np.uint8), name="astronaut.png")


@pytest.fixture(scope="module")
def predictor():
    return Predictor("embedded", "cpu")


@pytest.fixture(scope="module")
def other_model():
    """A network of other weights."""
    torch.manual_seed(5)
    return Model(SamNetwork(build_compact(64).eval()), "other", "cd" * 32)


def kept(predictor, image, prompts, *, picks=(), picked=0, region=None, threshold=0.0):
    """What a widget keeps of an answer."""
    predictor.set_image(image, region)
    candidates = Dialogue(predictor).answer(prompts, picks)
    return Annotation.from_rle(
        candidates.rle(picked, threshold),
        label="person",
        predicted_iou=float(candidates.predicted_iou[picked]),
        prompts=tuple(prompts),
        picks=tuple(picks),
        picked=picked,
        threshold=threshold,
        region=None if region is None else region.box,
        model=predictor.model.name,
        checkpoint=predictor.model.sha256,
        image=image.sha256,
    )


FACE, BACKGROUND = Point(70, 35), Point(20, 20, 0)
RECORDS = {
    "one point": {"prompts": [FACE]},
    "another candidate": {"prompts": [FACE], "picked": 2},
    "picks on the way": {"prompts": [FACE, BACKGROUND, Point(80, 90)], "picks": (1, 2)},
    "a box and a point": {"prompts": [Box(30, 10, 120, 118), BACKGROUND], "picks": (0,)},
    "a stricter threshold": {"prompts": [FACE], "picked": 1, "threshold": 1.5},
    "a region": {"prompts": [FACE], "region": Region((40, 10, 110, 80), (120, 160))},
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=list(RECORDS))
def test_the_recorded_model_gives_the_identical_mask(predictor, image, record):
    annotation = kept(predictor, image, **record)
    assert annotation.area > 0
    found = replay(Annotation.from_dict(annotation.to_dict()), image)
    assert found.mask == annotation.rle
    np.testing.assert_array_equal(found.mask.decode(), annotation.mask)
    assert (found.iou, found.same_model, found.note) == (1.0, True, "The mask is the same.")


def test_picks_matter(predictor, image):
    prompts = [FACE, BACKGROUND, Point(80, 90)]
    one, other = (kept(predictor, image, prompts, picks=picks) for picks in ((0, 0), (2, 3)))
    assert one.rle != other.rle
    assert replay(one, image, predictor=predictor).mask == one.rle
    assert replay(other, image, predictor=predictor).mask == other.rle


def test_an_edited_mask_differs_and_the_note_says_why(predictor, image):
    annotation = kept(predictor, image, [FACE])
    mask = annotation.mask
    mask[:, :20] = True
    found = replay(annotation.with_mask(Rle.encode(mask), "paint"), image, predictor=predictor)
    assert found.mask == annotation.rle
    assert found.same_model
    assert 0 < found.iou < 1
    assert "edited by hand (paint)" in found.note


def test_a_changed_model_shows_the_difference(predictor, image, other_model):
    annotation = kept(predictor, image, [FACE, BACKGROUND], picks=(0,))
    found = replay(annotation, image, other_model)
    assert not found.same_model
    assert found.iou == annotation.rle.iou(found.mask) < 1
    assert "other answered in place of embedded" in found.note
    if found.updated is not None:
        assert found.updated.id == annotation.id
        assert found.updated.prompts == annotation.prompts
        assert (found.updated.model, found.updated.checkpoint) == ("other", "cd" * 32)
        assert found.updated.rle == found.mask


def test_a_point_that_may_mean_several_things_is_answered_by_the_likest(
    predictor, image, other_model
):
    annotation = kept(predictor, image, [FACE], picked=1)
    found = replay(annotation, image, other_model)
    other = Predictor(other_model)
    other.set_image(image)
    answers = Dialogue(other).answer([FACE])
    assert found.iou == max(annotation.rle.iou(answers.rle(i)) for i in range(len(answers)))


def test_what_was_proposed_is_compared_with_the_likest_candidate(predictor, image):
    annotation = kept(predictor, image, [FACE], picked=2)
    proposed = replace(annotation, picked=0, origin="automatic")
    found = replay(proposed, image, predictor=predictor)
    assert found.mask == annotation.rle
    assert found.updated.picked == 2


def test_what_cannot_be_asked_says_so(predictor, image):
    annotation = kept(predictor, image, [FACE])
    with pytest.raises(AnnotationError, match="has no prompts"):
        replay(replace(annotation, prompts=()), image)
    with pytest.raises(AnnotationError, match="does not say which model"):
        replay(replace(annotation, model=""), image)
    with pytest.raises(AnnotationError, match="Give the image that it is of"):
        replay(annotation, np.zeros((60, 60, 3), np.uint8), predictor=predictor)


def test_other_pixels_are_noted(predictor, image):
    annotation = kept(predictor, image, [FACE])
    found = replay(annotation, image.pixels[::-1], predictor=predictor)
    assert "the image's pixels are others" in found.note


def test_many_are_asked_in_order_and_none_is_lost(predictor, image):
    region = Region((40, 10, 110, 80), (120, 160))
    items = [
        kept(predictor, image, [FACE], region=region),
        kept(predictor, image, [FACE]),
        replace(kept(predictor, image, [FACE]), prompts=(), id="drawn", origin="imported"),
        kept(predictor, image, [FACE], picked=2, region=region),
    ]
    gone = kept(predictor, image, [FACE])
    unknown = replace(gone, model="vit_x", id="unknown")

    def opener(name):
        if name == "gone.png":
            raise FileNotFoundError("No such file.")
        return image

    info = ImageInfo.of(image)
    records = [
        Annotations(items, info),
        Annotations([gone], replace(info, name="gone.png")),
        Annotations([unknown], info),
    ]
    found = replay_all(records, opener)
    assert [one.annotation for one in found] == [*items, gone, unknown]
    assert [one.mask for one in found] == [one.annotation.rle for one in found]
    assert [one.same_model for one in found] == [True, True, False, True, False, False]
    assert "no prompts" in found[2].note
    assert "No such file" in found[4].note
    assert "vit_x" in found[5].note
    assert found[4].image == "gone.png"
    assert found[2].updated is None


def test_a_given_model_answers_for_all(predictor, image, other_model):
    items = [kept(predictor, image, [FACE]), kept(predictor, image, [Box(30, 10, 120, 118)])]
    found = replay_all([Annotations(items, ImageInfo.of(image))], lambda _: image, other_model)
    assert [one.same_model for one in found] == [False, False]
    assert all(one.iou < 1 for one in found)
