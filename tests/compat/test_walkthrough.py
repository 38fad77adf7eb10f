"""Code that was written for segment-anything gives the same results with its import changed."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from segwidget.compat import SamPredictor, sam_model_registry
from tests.reference import importable, make_picture, mobile_sam
from tests.sam.conftest import _random_state
from tests.sam.test_tiny_vit import make_state

WALKTHROUGH = Path(__file__).with_name("walkthrough.py")


def load(package):
    """The walkthrough, importing from a package."""
    source = WALKTHROUGH.read_text(encoding="utf-8").replace("segment_anything", package)
    module = ModuleType("walkthrough")
    exec(compile(source, str(WALKTHROUGH), "exec"), vars(module))
    return module


@pytest.fixture(scope="module")
def results(sam, published):
    images = make_picture(400, 300), make_picture(150, 260)
    with importable("segment_anything"), torch.no_grad():
        expected = load("segment_anything").walk(published, *images)
    return load("segwidget.compat").walk(sam, *images), expected


def test_every_step_gives_the_same(results):
    ours, theirs = results
    assert ours.keys() == theirs.keys()
    assert len(ours) == 16
    compared = 0
    for name, expected in theirs.items():
        found = ours[name]
        if not isinstance(expected, tuple):
            found, expected = (found,), (expected,)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert type(a) is type(b), name
            assert (a.shape, a.dtype) == (b.shape, b.dtype), name
            a, b = np.asarray(a), np.asarray(b)
            if a.dtype == bool:
                assert np.mean(a != b) < 1e-3, name
                assert 0 < b.mean() < 1, name
            else:
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-3, err_msg=name)
            compared += 1
    assert compared == 40


@pytest.fixture(scope="module")
def mobile(tmp_path_factory):
    """MobileSAM as published, with random weights, and its file."""
    network = mobile_sam().sam_model_registry["vit_t"]()
    network.load_state_dict(make_state(network, _random_state))
    path = tmp_path_factory.mktemp("weights") / "mobile_sam.pt"
    torch.save(network.state_dict(), path)
    return network.train().eval(), path


def test_mobile_sam_from_its_file(mobile):
    network, path = mobile
    picture = make_picture(300, 200)
    theirs = mobile_sam().SamPredictor(network)
    ours = SamPredictor(sam_model_registry["vit_t"](checkpoint=str(path)))
    for predictor in (theirs, ours):
        predictor.set_image(picture)
    asked = {"point_coords": np.array([[120, 90], [20, 30]]), "point_labels": np.array([1, 0])}
    found, expected = ours.predict(**asked), theirs.predict(**asked)
    assert np.mean(found[0] != expected[0]) < 1e-3
    for a, b in zip(found[1:], expected[1:], strict=True):
        assert b.std() > 0.01
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-3)
