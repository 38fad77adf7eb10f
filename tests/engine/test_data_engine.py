"""The data engine's stages over drawn shapes."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PILImage
from PIL import ImageDraw

import segwidget
from segwidget.annotation.annotation import Annotation, Annotations
from segwidget.annotation.automatic import to_annotation
from segwidget.annotation.formats.sa1b import read_sa1b
from segwidget.annotation.image_info import ImageInfo
from segwidget.annotation.project import BaseProject
from segwidget.annotation.proposed import read_record
from segwidget.engine import automatic, semi
from segwidget.engine.data_engine import DataEngine
from segwidget.engine.similarity import mask_vectors
from segwidget.errors import FormatError, SettingError, StoreError
from segwidget.inference.everything import EverythingSettings, Proposal
from segwidget.inference.rle import Rle

FEW = EverythingSettings(points_per_side=4)
SIDE = 96
YELLOW, BLUE, GRAY = (240, 200, 30), (30, 60, 200), (90, 95, 92)
# What the stand-in for everything mode believes of each color: predicted IoU and stability.
BELIEFS = {GRAY: (0.95, 0.9), YELLOW: (0.9, 0.85), BLUE: (0.8, 0.9)}
UNSURE = (0.6, 0.6)  # of the disk's upper half


def draw(number):
    """A yellow disk and a blue bar on gray, elsewhere in each picture."""
    picture = PILImage.new("RGB", (SIDE, SIDE), GRAY)
    pen = ImageDraw.Draw(picture)
    x = 8 + 6 * number
    pen.ellipse((x, 12, x + 30, 42), fill=YELLOW)
    pen.rectangle((10, 62, 80, 80), fill=BLUE)
    return picture


def disk(number):
    return (np.asarray(draw(number)) == YELLOW).all(axis=2)


def bar():
    return (np.asarray(draw(0)) == BLUE).all(axis=2)


class Colors:
    """A predictor's stand-in: it finds what has one color, and knows it by that again."""

    def __init__(self, sha256="c0" * 32):
        self.model = SimpleNamespace(
            name="colors", sha256=sha256, network=SimpleNamespace(variant="compact-float32")
        )
        self.image = None

    def set_image(self, image):
        self.image = image

    def reset_image(self):
        self.image = None

    def propose(self, settings):
        found = []
        for color, scores in BELIEFS.items():
            mask = (self.image.pixels == color).all(axis=2)
            found.append((mask, *scores))
            if color == YELLOW:
                half = mask.copy()
                half[27:] = False
                found.append((half, *UNSURE))
        least = settings.pred_iou_thresh or 0, settings.stability_score_thresh or 0
        return [
            Proposal(
                rle.size, rle.counts, rle.box, rle.area, iou, stability, (4.0, 4.0),
                (0, 0, SIDE, SIDE),
            )
            for mask, iou, stability in found
            if iou > least[0] and stability >= least[1]
            for rle in [Rle.encode(mask)]
        ]  # fmt: skip

    def vectors(self, rles):
        pixels = self.image.pixels.astype(np.float32)
        means = [pixels[rle.decode()].mean(axis=0) for rle in rles]
        middle = pixels.mean(axis=(0, 1))
        return np.array([[mean, mean - middle] for mean in means], np.float32), middle

    def everything(self, image, **options):
        self.set_image(image)
        settings = EverythingSettings(pred_iou_thresh=options["pred_iou_thresh"])
        items = [
            to_annotation(one, label="object", origin="automatic") for one in self.propose(settings)
        ]
        return Annotations(items, ImageInfo.of(image))


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(semi, "find_all", lambda predictor, settings: predictor.propose(settings))
    monkeypatch.setattr(semi, "mask_vectors", lambda predictor, rles: predictor.vectors(rles))
    monkeypatch.setattr(
        automatic,
        "everything",
        lambda image, colors, **options: colors.everything(image, **options),
    )


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "shapes"
    (place / "more").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "c.png", "more/a.png")):
        draw(number).save(place / name)
    return place


@pytest.fixture
def project(folder):
    with BaseProject(folder, labels=["disk", "bar"]) as made:
        yield made


@pytest.fixture
def engine(project, stand_in):
    with DataEngine(project) as made:
        made._predictor = Colors()
        yield made


def propose(engine, **options):
    return engine.propose(**{"progress": False, **options})


def run_automatic(engine, **options):
    return engine.automatic(**{"progress": False, **options})


def best(items, mask):
    """The annotation that fits a mask best, and its IoU."""
    rle = Annotation.from_mask(mask, label="any").rle
    return max(((item, item.rle.iou(rle)) for item in items), key=lambda pair: pair[1])


# Semi-automatic.


def test_it_is_a_name_of_the_package():
    assert segwidget.DataEngine is DataEngine


def test_confident_masks_are_filled_in(engine, project):
    report = propose(engine)
    assert (report.images, report.masks, report.labels) == (4, 12, {"disk": 12})
    for number, image in enumerate(project):
        assert {a.origin for a in image.annotations} == {"proposed"}
        assert image.annotations[0].model == "colors"
        assert [best(image.annotations, m)[1] for m in (disk(number), bar())] == [1.0, 1.0]
        assert image.status == "todo"


def test_thresholds_and_the_label_may_be_chosen(engine, project):
    report = propose(engine, predicted_iou=0.85, stability=0.88, label="bar", limit=1)
    assert report.labels == {"bar": 1}  # the background
    assert propose(engine, predicted_iou=0.5, stability=0.5, again=True, limit=1).masks == 4


def test_the_embedded_model_finds_and_knows_shapes(project):
    for number in (0, 1):
        project[number].annotations.add(disk(number), label="disk")
        project[number].annotations.add(bar(), label="bar")
        project[number].status = "done"
    project[3].status = "done"
    with DataEngine(project) as engine:
        at = np.array([[x, y] for x in (35, 45) for y in (25, 71)]) / SIDE
        grid = EverythingSettings(points_per_side=None, point_grids=[at], points_per_batch=4)
        assert engine.propose(settings=grid, progress=False, predicted_iou=0.5).images == 1
        neighbors = engine._memory.neighbors(project, engine.predictor, None)
        engine.predictor.set_image(project[2].image)
        vectors, _ = mask_vectors(
            engine.predictor, [Rle.encode(m) for m in (disk(2), bar(), ~(disk(2) | bar()))]
        )
    guesses = neighbors.guess(vectors)
    assert [(g.label, g.trust) for g in guesses[:2]] == [("disk", 1.0), ("bar", 1.0)]
    assert guesses[2].trust < 0.5
    item, fit = best(project[2].annotations, disk(2))
    assert (item.label, fit > 0.75) == ("disk", True)


def test_it_goes_on_where_it_was_and_adds_nothing_twice(engine, project):
    assert propose(engine, limit=2).images == 2
    before = dict(project.store.counts())
    told = []
    report = propose(engine, on_progress=lambda *now: told.append(now))
    assert (report.images, told) == (2, [(1, 2), (2, 2)])
    assert propose(engine).images == 0
    counts = project.store.counts()
    assert len(counts) == 4
    assert {key: counts[key] for key in before} == before


def test_it_may_be_stopped_between_images(engine, project):
    assert propose(engine, cancelled=lambda: len(project.store.counts()) >= 1).images == 1
    assert propose(engine).images == 3


def test_a_kill_leaves_the_masks_and_the_record_or_neither(engine, project, monkeypatch):
    store_commit = type(project.store).commit

    def killed(self, *args, **options):
        store_commit(self, *args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(project.store), "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            propose(engine, limit=1)
    record = read_record(project.store, "a.png")
    assert {one.id for one in record.masks} == {a.id for a in project["a.png"].annotations}

    unwritable = {"data engine: proposed in b.png": {1, 2}}  # no JSON
    with monkeypatch.context() as patch:
        patch.setattr(semi, "record_values", lambda *_: unwritable)
        with pytest.raises(StoreError):
            propose(engine, limit=1)
    assert len(project["b.png"].annotations) == 0
    assert propose(engine).images == 3


def test_masks_that_are_there_stay_and_are_not_proposed_again(engine, project):
    mine = project[0].annotations.add(disk(0), label="disk", seconds=4.0)
    propose(engine, limit=1)
    items = project[0].annotations.items
    assert items[0] == mine
    assert all(item.rle.iou(mine.rle) < 0.8 for item in items[1:])


def test_what_was_taken_off_does_not_come_again(engine, project):
    propose(engine, limit=1)
    item, _ = best(project[0].annotations, bar())
    project[0].annotations.remove(item.id)
    assert propose(engine, again=True, limit=1).masks == 2
    assert all(other.rle.iou(item.rle) < 0.8 for other in project[0].annotations)
    assert item.rle in read_record(project.store, "a.png").refused
    propose(engine, again=True, limit=1)
    assert all(other.rle.iou(item.rle) < 0.8 for other in project[0].annotations)


def test_labels_are_guessed_from_confirmed_masks(engine, project):
    for number in (0, 1):
        project[number].annotations.add(disk(number), label="disk")
        project[number].annotations.add(bar(), label="bar")
        project[number].status = "done"
    report = propose(engine)
    assert (report.images, report.labels) == (2, {"disk": 2, "bar": 2})  # and no background
    for number in (2, 3):
        items = project[number].annotations
        assert [best(items, m)[0].label for m in (disk(number), bar())] == ["disk", "bar"]
        assert [best(items, m)[1] for m in (disk(number), bar())] == [1.0, 1.0]


def test_what_looks_like_what_was_taken_off_is_left_out(engine, project):
    propose(engine, limit=1)
    item, _ = best(project[0].annotations, bar())
    project[0].annotations.remove(item.id)
    project[0].status = "done"
    propose(engine)
    for number in (1, 2, 3):
        items = project[number].annotations
        assert best(items, disk(number))[1] == 1.0
        assert best(items, bar())[1] < 0.1


def test_what_was_drawn_anew_is_wanted_all_the_same(engine, project):
    propose(engine, limit=1)
    item, _ = best(project[0].annotations, bar())
    project[0].annotations.remove(item.id)
    project[0].annotations.add(np.roll(bar(), 2, axis=1), label="bar")
    project[0].status = "done"
    propose(engine)
    assert best(project[1].annotations, bar())[1] == 1.0


def test_a_similarity_may_be_asked_for(engine, project):
    project[0].annotations.add(disk(0), label="disk")
    project[0].status = "done"
    assert propose(engine, similarity=-1.0, limit=1).masks == 3
    assert propose(engine, similarity=0.99, again=True, limit=1).masks == 1


def test_finished_images_are_left_alone(engine, project):
    for image in project:
        image.status = "done"
    project[3].status = "rejected"
    assert propose(engine).images == 0
    assert engine.order == ()


def test_a_damaged_image_hurts_no_other(project, folder, stand_in):
    (folder / "broken.png").write_bytes(b"no picture")
    project.close()
    with BaseProject(folder) as found, DataEngine(found) as engine:
        engine._predictor = Colors()
        report = propose(engine)
        assert report.images == 4
        assert list(report.skipped) == ["broken.png"]
        assert list(run_automatic(engine, limit=5).skipped) == ["broken.png"]


def test_proposals_of_an_earlier_model_give_way_where_untouched(engine, project):
    propose(engine, limit=1)
    first, *rest = project[0].annotations.items
    record = read_record(project.store, "a.png")
    project.store.set_meta("accepted masks of a.png", [first.id])
    other = semi.replace(record, checkpoint="0" * 64)
    project[0].annotations.extend([], meta=semi.record_values("a.png", other))
    assert propose(engine, limit=1).images == 1
    ids = {a.id for a in project[0].annotations}
    assert first.id in ids
    assert ids.isdisjoint(a.id for a in rest)
    assert read_record(project.store, "a.png").refused == ()


def test_images_with_more_that_is_uncertain_come_first(engine, project, folder, monkeypatch):
    assert engine.order == project.keys
    monkeypatch.setitem(BELIEFS, BLUE, (0.65, 0.8))  # too unsure to be filled in
    propose(engine, limit=2)
    value = 0.65 * 0.8
    gain = read_record(project.store, "a.png").gain
    assert gain == pytest.approx(4 * value * (1 - value))  # the half disk is covered
    monkeypatch.setitem(BELIEFS, BLUE, (0.8, 0.9))
    propose(engine, limit=1)
    assert read_record(project.store, "c.png").gain == 0.0
    assert engine.order == ("a.png", "b.png", "c.png", "more/a.png")
    project["a.png"].status = "done"
    propose(engine, again=True, limit=1)  # nothing is uncertain in b.png any more
    assert engine.order == ("b.png", "c.png", "more/a.png")


def test_gain_counts_uncertain_masks_that_nothing_covers():
    def item(x, y, side):
        mask = np.zeros((40, 40), bool)
        mask[y : y + side, x : x + side] = True
        return Annotation.from_mask(mask, label="thing")

    half = (item(0, 0, 10), 0.5)
    assert semi._gain([half], [], ()) == 1.0
    assert semi._gain([half, (item(0, 0, 9), 0.4)], [], ()) == 1.0  # the same thing, counted once
    assert semi._gain([half, (item(20, 20, 9), 0.5)], [], ()) == 2.0
    assert semi._gain([half], [item(0, 0, 12)], ()) == 0.0
    assert semi._gain([half], [], (item(0, 0, 10).rle,)) == 0.0
    assert semi._gain([(item(0, 0, 10), 1.0), (item(20, 0, 10), 0.0)], [], ()) == 0.0


@pytest.mark.parametrize(
    "options",
    [
        {"predicted_iou": 1.5}, {"stability": -0.1}, {"similarity": 2}, {"predicted_iou": True},
        {"similarity": "high"}, {"limit": -1}, {"limit": 1.5}, {"label": "cat"},
    ],
)  # fmt: skip
def test_impossible_settings_change_nothing(engine, project, options):
    with pytest.raises(SettingError, match="expected"):
        propose(engine, **options)
    assert project.store.counts() == {}


# Automatic.


def test_settings_are_those_of_sa1b():
    from segwidget.inference.everything.grid import make_crops

    crops = make_crops(640, 480, automatic.SA1B)
    points = [(crop.layer, len(crop.points)) for crop in crops]
    assert points == [(0, 32 * 32)] + [(1, 16 * 16)] * 4 + [(2, 8 * 8)] * 16
    assert automatic.SA1B.box_nms_thresh == automatic.SA1B.crop_nms_thresh == 0.7
    assert automatic.SA1B.min_mask_region_area == 100


def test_automatic_masks_go_into_a_file_for_each_image(engine, project, folder):
    report = run_automatic(engine)
    assert report.folder == folder / "segwidget-sa1b"
    files = sorted(path.relative_to(report.folder).as_posix() for path in report.folder.rglob("*"))
    assert files == ["a.json", "b.json", "c.json", "more", "more/a.json"]
    masks = read_sa1b(report.folder / "more/a.json", image="more/a.png")
    assert {a.origin for a in masks} == {"automatic"}
    assert best(masks, disk(3))[1] == 1.0
    assert all(a.area < 0.95 * SIDE * SIDE for a in masks)
    assert project.store.counts() == {}
    assert list(automatic.read_masks(project, "more/a.png")) == list(masks)


def test_automatic_goes_on_where_it_was(engine, project, tmp_path):
    out = tmp_path / "out"
    assert run_automatic(engine, out=out, limit=1).images == 1
    report = run_automatic(engine)
    assert (report.images, report.earlier, report.folder) == (3, 1, out)
    (out / "b.json").unlink()
    assert run_automatic(engine).images == 1
    other = EverythingSettings(points_per_side=2)
    assert run_automatic(engine, settings=other).images == 4
    assert len(list(out.rglob("*.json"))) == 4


def test_a_kill_between_a_file_and_the_store_does_the_image_again(engine, project, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(automatic, "_write_done", killed)
        with pytest.raises(KeyboardInterrupt):
            run_automatic(engine)
    report = run_automatic(engine)
    assert (report.images, report.earlier) == (4, 0)
    assert len(list(report.folder.rglob("*.json"))) == 4


def test_what_covers_the_image_is_left_out(engine, monkeypatch):
    whole = np.ones((SIDE, SIDE), bool)
    nearly = whole.copy()
    nearly[:5] = False  # 94.8 %
    monkeypatch.setattr(
        automatic,
        "everything",
        lambda image, *_args, **_options: Annotations(
            [Annotation.from_mask(mask, label="object") for mask in (whole, nearly)],
            ImageInfo.of(image),
        ),
    )
    assert run_automatic(engine, limit=1).masks == 1


def test_a_store_cannot_lead_out_of_its_folder(engine, project):
    run_automatic(engine, limit=1)
    name = automatic._name("a.png")
    value = project.store.get_meta(name)
    project.store.set_meta(name, {**value, "file": "../../secret.json"})
    with pytest.raises(FormatError, match="outside"):
        automatic.read_masks(project, "a.png")
    with pytest.raises(StoreError, match="no automatic masks"):
        automatic.read_masks(project, "b.png")


@pytest.mark.parametrize("limit", [-1, "all", True])
def test_impossible_limits(engine, limit):
    with pytest.raises(SettingError, match="limit"):
        run_automatic(engine, limit=limit)


# Report.


def test_the_report_has_a_row_for_each_stage(engine, project):
    report = engine.report()
    assert isinstance(report, pd.DataFrame)
    assert list(report.index) == ["assisted", "semi-automatic", "automatic"]
    assert report["masks"].tolist() == [0, 0, 0]
    assert report["seconds_per_mask"].isna().all()

    project[0].annotations.add(disk(0), label="disk", seconds=4.0)
    project[0].annotations.add(bar(), label="bar", seconds=8.0)
    project[0].status = "done"
    propose(engine)
    kept, *_ = project[1].annotations
    project[1].annotations.add(np.eye(SIDE, dtype=bool), label="bar", seconds=6.0)
    project[1].status = "done"
    run_automatic(engine)
    report = engine.report()
    assisted, semi_automatic, all_masks = (report.loc[name] for name in report.index)
    assert (assisted.images, assisted.masks, assisted.seconds_per_mask) == (1, 2, 6.0)
    assert semi_automatic.images == 1
    assert semi_automatic.masks == len(project[1].annotations)
    assert (semi_automatic.by_hand, semi_automatic.seconds_by_hand) == (1, 6.0)
    assert semi_automatic.seconds_per_mask == pytest.approx(6.0 / semi_automatic.masks)
    assert (semi_automatic.above_90, semi_automatic.rejected) == (1.0, 0)
    assert semi_automatic.model_seconds > 0
    assert (all_masks.images, all_masks.by_hand) == (4, 0)
    assert all_masks.masks > 4
    assert np.isnan(all_masks.above_90)
    assert kept.origin == "proposed"
    assert engine.plot()._repr_png_().startswith(b"\x89PNG")


def test_a_project_without_an_app_says_so(engine):
    with pytest.raises(SettingError, match=r"segwidget\.Project"):
        engine.assisted()
    assert "4 images" in repr(engine)
