"""Samples of automatic masks, and what corrections say of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation, Annotations
from segwidget.annotation.image_info import ImageInfo
from segwidget.annotation.project import BaseProject
from segwidget.annotation.proposed import Record, Suggestion, read_record, record_values
from segwidget.engine import automatic, sample
from segwidget.engine.data_engine import DataEngine
from segwidget.engine.records import quality
from segwidget.errors import SettingError, StoreError
from segwidget.inference.rle import Rle

SIDE = 40
MOMENT = "2026-01-01T00:00:00.000+00:00"


def block(rows, columns=10, x=0):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[:rows, x : x + columns] = True
    return mask


@pytest.fixture
def project(tmp_path):
    images = {f"night/{n}.png": np.full((SIDE, SIDE, 3), 20 * n, np.uint8) for n in range(6)}
    with BaseProject(images, labels=["thing"], store=tmp_path / "work.db") as made:
        yield made


@pytest.fixture
def engine(project, monkeypatch):
    def found(image, *_args, **_options):
        items = [
            Annotation.from_mask(block(10, x=x), label="object", origin="automatic")
            for x in (0, 10, 20, 30)
        ]
        return Annotations(items, ImageInfo.of(image))

    monkeypatch.setattr(automatic, "everything", found)
    with DataEngine(project) as made:
        model = SimpleNamespace(sha256="c0" * 32)
        made._predictor = SimpleNamespace(model=model, reset_image=lambda: None)
        made.automatic(progress=False)
        yield made


def correct(drawn, key):
    """Of four masks one stays, one is trimmed to 0.8, one to 0.5, one is taken off; one is new."""
    annotations = drawn[key].annotations
    same, good, bad, wrong = annotations
    annotations.exchange(
        {
            good.id: (good, good.with_mask(Rle.encode(block(8, x=10)), "erase")),
            bad.id: (bad, bad.with_mask(Rle.encode(block(5, x=20)), "erase")),
        }
    )
    annotations.remove(wrong.id)
    annotations.add(block(3, x=33), label="object")
    drawn[key].status = "done"
    return same


def test_a_sample_is_the_same_for_the_same_seed(engine, project):
    first = engine.sample(3, seed=4)
    keys, path = first.keys, first.store.path
    assert len(keys) == 3
    assert set(keys) <= set(project.keys)
    assert all(len(image.annotations) == 4 for image in first)
    assert {a.origin for image in first for a in image.annotations} == {"automatic"}
    assert first[0].image.sha256 == project[keys[0]].image.sha256
    again = engine.sample(3, seed=4)
    assert (again.keys, again.store.path) == (keys, path)
    others = {engine.sample(3, seed=seed).keys for seed in range(6)}
    assert len(others) > 2
    assert engine.sample(99).keys == project.keys


def test_corrections_survive_that_the_sample_is_drawn_again(engine, project):
    drawn = engine.sample(2)
    correct(drawn, drawn.keys[0])
    engine.close()
    again = DataEngine(project)
    assert again.quality().pairs == 3
    assert again.sample(2).keys == drawn.keys
    assert again.quality().pairs == 3
    again.close()


def test_quality_is_that_of_constructed_corrections(engine):
    drawn = engine.sample(3)
    found = engine.quality()
    assert (found.pairs, found.waiting) == (0, 3)
    assert np.isnan(found.above_90)
    assert "nothing corrected" in repr(found)
    correct(drawn, drawn.keys[0])
    found = engine.quality()
    assert sorted(found.ious) == pytest.approx([0.5, 0.8, 1.0])
    assert found.above_90 == pytest.approx(1 / 3)
    assert found.above_75 == pytest.approx(2 / 3)
    assert (found.images, found.waiting) == (1, 2)
    assert (found.untouched, found.rejected, found.added) == (1, 1, 1)
    drawn[1].status = "rejected"  # as a whole
    found = engine.quality()
    assert (found.pairs, found.rejected) == (3, 5)
    assert "33% have an IoU above 0.9" in repr(found)
    row = engine.report().loc["automatic"]
    assert (row.above_75, row.untouched, row.rejected) == (pytest.approx(2 / 3), 1, 5)


def test_exactly_0_9_is_not_above(project):
    key = project.keys[0]
    whole, part = Rle.encode(block(10)), Rle.encode(block(9))
    item = Annotation.from_rle(whole, label="thing")
    record = Record("0" * 64, MOMENT, masks=(Suggestion(item.id, "thing", whole),))
    project[key].annotations.extend([item], meta=record_values(key, record))
    project[key].annotations.exchange({item.id: (item, item.with_mask(part, "erase"))})
    project[key].status = "accepted"
    found = quality(project.store, project.keys)
    assert found.ious.tolist() == [0.9]
    assert (found.above_90, found.above_75) == (0.0, 1.0)


def test_few_masks_of_each_image(engine):
    drawn = engine.sample(4, masks_per_image=2)
    assert [len(image.annotations) for image in drawn] == [2, 2, 2, 2]
    before = [a.id for image in drawn for a in image.annotations]
    drawn = engine.sample(4, masks_per_image=2)
    assert [a.id for image in drawn for a in image.annotations] == before


def test_a_kill_while_the_sample_is_filled(engine, monkeypatch):
    fill, done = sample._fill, []

    def killed(*args):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(fill(*args))

    monkeypatch.setattr(sample, "_fill", killed)
    with pytest.raises(KeyboardInterrupt):
        engine.sample(4)
    monkeypatch.undo()
    assert [len(image.annotations) for image in engine.sample(4)] == [4, 4, 4, 4]


def test_without_automatic_masks_there_is_no_sample(project):
    engine = DataEngine(project)
    with pytest.raises(StoreError, match="automatic"):
        engine.sample(2)
    with pytest.raises(StoreError, match="No sample"):
        engine.quality()


@pytest.mark.parametrize(
    "options", [{"n": 0}, {"n": "all"}, {"seed": -1}, {"seed": None}, {"masks_per_image": 0}]
)
def test_impossible_samples(engine, options):
    with pytest.raises(SettingError, match="expected"):
        engine.sample(**options)


def test_a_record_comes_back_and_nonsense_is_none(project):
    key, rle = project.keys[0], Rle.encode(block(4))
    record = Record("ab" * 32, MOMENT, 1.5, 0.25, (Suggestion("x", "thing", rle),), (rle,))
    project[key].annotations.extend([], meta=record_values(key, record))
    assert read_record(project.store, key) == record
    assert read_record(project.store, project.keys[1]) is None
    (name,) = record_values(key, record)
    for nonsense in (7, [], {"checkpoint": "x"}, {**project.store.get_meta(name), "masks": [3]}):
        project.store.set_meta(name, nonsense)
        assert read_record(project.store, key) is None


def test_a_sample_whose_store_is_gone_is_none(engine, project):
    drawn = engine.sample(2)
    path = drawn.store.path
    engine.close()
    path.unlink()
    assert sample.open_sample(project) is None
    project.store.set_meta(sample._NAME, "nonsense")
    assert sample.open_sample(project) is None
