"""Everything mode: settings, progress, stopping, memory, and what it computes on the way."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from segwidget.errors import PromptError, ResourceError
from segwidget.inference.everything import (
    EverythingSettings,
    Progress,
    propose,
    without_duplicates,
)
from segwidget.inference.everything.canvas import Canvas, Piece, unroll
from segwidget.inference.everything.filters import near_crop_edge, non_maximum, without_crumbs
from segwidget.inference.everything.grid import crop_boxes, make_crops, point_grid
from segwidget.inference.everything.settings import PUBLISHED
from segwidget.inference.models import Model
from segwidget.inference.network import SamNetwork
from segwidget.inference.predictor import Predictor
from segwidget.inference.preprocessing import Frame
from segwidget.inference.prompts import Point
from segwidget.inference.rle import pack

LOOSE = EverythingSettings(
    points_per_side=4,
    pred_iou_thresh=-10,
    stability_score_thresh=0,
    stability_score_offset=0.01,
    box_nms_thresh=1,
)


class Watched:
    """A network that notes batches, and runs out of memory when it is told to."""

    def __init__(self, network, error=None, limit=10**9):
        self.network, self.error, self.limit = network, error, limit
        self.batches, self.refused, self.encoded = [], [], 0
        self.variant, self.device = network.variant, network.device
        self.frame, self.prepare = network.frame, network.prepare

    def encode(self, pixels):
        self.encoded += 1
        return self.network.encode(pixels)

    def decode(self, prepared, coords, labels, masks=None):
        if len(coords) > self.limit:
            self.refused.append(len(coords))
            raise self.error
        self.batches.append(len(coords))
        return self.network.decode(prepared, coords, labels, masks)


@pytest.fixture
def watched(model, cache, picture):
    """Make a predictor with an image, on a network that is watched."""

    def make(**kwargs):
        network = Watched(model.network, **kwargs)
        predictor = Predictor(Model(network, "watched", "ef" * 32))
        predictor.set_image(picture)
        return predictor, network

    return make


class TestSettings:
    def test_defaults_are_the_published_ones(self):
        settings = EverythingSettings().resolved("sam-float32")
        assert settings.thresholds == PUBLISHED == (0.88, 0.95, 1.0)
        assert (settings.points_per_side, settings.box_nms_thresh) == (32, 0.7)
        assert settings.crop_overlap_ratio == 512 / 1500

    def test_the_embedded_model_has_its_own_thresholds(self, model):
        settings = EverythingSettings(stability_score_thresh=0.9)
        mine = settings.resolved(model.network.variant).thresholds
        assert mine.pred_iou_thresh < PUBLISHED.pred_iou_thresh
        assert mine.stability_score_thresh == 0.9

    def test_sam_2_has_the_thresholds_of_its_own_generator(self):
        assert EverythingSettings().resolved("sam2-float32-ab").thresholds == (0.8, 0.95, 1.0)

    @pytest.mark.parametrize(
        ("wrong", "sentence"),
        [
            ({"points_per_side": 0}, "points_per_side is 0; expected a whole number from 1"),
            ({"points_per_side": 2.5}, "a whole number"),
            ({"points_per_side": True}, "a whole number"),
            ({"points_per_batch": -1}, "points_per_batch"),
            ({"pred_iou_thresh": float("nan")}, "a finite number"),
            ({"stability_score_offset": -1}, "at least 0"),
            ({"box_nms_thresh": "much"}, "box_nms_thresh is 'much'"),
            ({"crop_overlap_ratio": 1}, "from 0 to below 1"),
            ({"scores_from": "nowhere"}, "low_res"),
            ({"points_per_side": None}, "exactly one of them"),
            ({"point_grids": [np.zeros((1, 2))]}, "exactly one of them"),
            ({"points_per_side": None, "point_grids": []}, "0 point_grids"),
            ({"points_per_side": None, "point_grids": [np.zeros((3, 3))]}, r"\(3, 3\)"),
            ({"points_per_side": None, "point_grids": [[[0.5, 2.0]]]}, "points outside"),
            ({"points_per_side": None, "point_grids": ["a"]}, "no numbers"),
        ],
    )
    def test_impossible_values_are_named(self, wrong, sentence):
        with pytest.raises(PromptError, match=sentence):
            EverythingSettings(**wrong)

    def test_settings_must_fit_the_image(self, ready):
        settings = EverythingSettings(
            points_per_side=4, crop_n_layers=2, crop_n_points_downscale_factor=4
        )
        with pytest.raises(PromptError, match="none left in layer 2"):
            propose(ready, settings)
        with pytest.raises(PromptError, match="too small"):
            make_crops(3, 3, EverythingSettings(crop_n_layers=4))

    def test_an_image_is_needed(self, model):
        with pytest.raises(PromptError, match="no image"):
            propose(Predictor(model))


class TestGrid:
    def test_points_lie_evenly_within_the_image(self):
        grid = point_grid(3)
        assert grid.shape == (9, 2)
        np.testing.assert_allclose(grid[[0, 1, 3]] * 6, [[1, 1], [3, 1], [1, 3]])
        assert point_grid(1).tolist() == [[0.5, 0.5]]

    def test_crops_overlap_and_cover_the_image(self):
        assert crop_boxes(90, 60, 0, 0.3) == [(0, 0, 90, 60)]
        boxes = crop_boxes(1500, 1000, 1, 512 / 1500)
        assert boxes == [
            (0, 0, 921, 671), (0, 330, 921, 1000), (580, 0, 1500, 671), (580, 330, 1500, 1000),
        ]  # fmt: skip
        covered = np.zeros((1000, 1500), bool)
        for x0, y0, x1, y1 in crop_boxes(1500, 1000, 2, 0.2):
            covered[y0:y1, x0:x1] = True
        assert covered.all()

    def test_points_of_a_crop_count_from_its_corner(self):
        settings = EverythingSettings(
            points_per_side=4, crop_n_layers=1, crop_n_points_downscale_factor=2
        )
        whole, *crops = make_crops(90, 60, settings)
        assert [len(crop.points) for crop in (whole, *crops)] == [16, 4, 4, 4, 4]
        assert all((crop.points < crop.size).all() for crop in crops)


class TestFilters:
    def test_the_better_of_two_alike_is_kept_and_ties_go_by_order(self):
        boxes = [[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [0, 0, 10, 10]]
        assert non_maximum(boxes, [0.5, 0.9, 0.7, 0.5], 0.7).tolist() == [1, 2]
        assert non_maximum(boxes, [0.5] * 4, 0.7).tolist() == [0, 2]
        assert non_maximum(boxes, [0.1, 0.2, 0.3, 0.4], 1.0).tolist() == [3, 2, 1, 0]
        assert non_maximum([], [], 0.7).tolist() == []

    def test_boxes_without_area_suppress_nothing(self):
        assert sorted(non_maximum([[1, 1, 1, 1]] * 3, [1, 2, 3], 0.5)) == [0, 1, 2]

    def test_suppression_is_the_plain_definition(self):
        random = np.random.default_rng(0)
        corner = random.integers(0, 40, (200, 2))
        boxes = np.concatenate([corner, corner + random.integers(1, 30, (200, 2))], axis=1)
        scores = random.integers(0, 30, 200) / 30  # with ties
        kept = []
        for i in sorted(range(200), key=lambda i: (-scores[i], i)):
            for j in kept:
                low, high = np.maximum(boxes[i], boxes[j])[:2], np.minimum(boxes[i], boxes[j])[2:]
                shared = (high - low).clip(0).prod()
                areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[i], boxes[j])]
                if shared / (sum(areas) - shared) > 0.4:
                    break
            else:
                kept.append(i)
        assert non_maximum(boxes, scores, 0.4).tolist() == kept

    @pytest.mark.parametrize(
        ("box", "cut"),
        [
            ((50, 50, 100, 100), False),
            ((50, 50, 285, 100), True),  # at the crop's right edge
            ((5, 50, 100, 100), False),  # at the image's left edge, which is the crop's too
            ((50, 0, 100, 195), True),
            ((50, 50, 279, 100), False),
        ],
    )
    def test_masks_that_are_cut_off(self, box, cut):
        assert near_crop_edge(box, (0, 0, 300, 210), 500, 400) is cut

    def test_crumbs(self):
        mask = np.zeros((40, 60), bool)
        mask[5:20, 5:30] = True
        mask[8:11, 8:11] = False  # a hole of 9
        mask[25, 50] = True
        cleaned, changed = without_crumbs(mask, 10)
        assert changed
        assert cleaned[5:20, 5:30].all()
        assert cleaned.sum() == 15 * 25
        assert without_crumbs(mask, 9)[0].sum() == 15 * 25 - 9
        same, changed = without_crumbs(mask, 1)
        assert same is mask
        assert not changed

    def test_the_largest_island_stays_and_background_is_no_hole(self):
        mask = np.zeros((40, 60), bool)
        mask[0, :3] = mask[10, 10] = True
        cleaned, changed = without_crumbs(mask, 300)
        assert changed
        assert cleaned.sum() == 3
        assert cleaned[0, :3].all()

    @pytest.mark.parametrize("least", [3, 17, 60, 400])
    def test_crumbs_of_a_window_are_those_of_the_whole(self, least):
        from scipy import ndimage as ndi

        def whole(mask):
            labels, count = ndi.label(~mask, np.ones((3, 3)))
            sizes = np.bincount(labels.ravel(), minlength=count + 1)
            filled = mask | np.isin(labels, [i for i in range(1, count + 1) if sizes[i] < least])
            labels, count = ndi.label(filled, np.ones((3, 3)))
            sizes = np.bincount(labels.ravel(), minlength=count + 1)
            large = [i for i in range(1, count + 1) if sizes[i] >= least]
            return np.isin(labels, large or [1 + np.argmax(sizes[1:])])

        random = np.random.default_rng(1)
        for _ in range(20):
            noise = ndi.gaussian_filter(random.standard_normal((50, 70)), random.uniform(0.5, 3))
            mask = noise > np.quantile(noise, random.uniform(0.3, 0.98))
            mask[:, int(random.integers(5, 70)) :] = False
            if mask.any():
                np.testing.assert_array_equal(without_crumbs(mask, least)[0], whole(mask))


def smooth_logits(side, grain, level, seed):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, 1, grain, grain, generator=generator)
    big = torch.nn.functional.interpolate(noise, (side, side), mode="bilinear")[0, 0]
    return (4 * big + level).contiguous()


FRAMES = {
    "published": Frame(150, 100, 256, 64),
    "much smaller": Frame(20, 13, 256, 64),
    "larger": Frame(700, 400, 256, 64),
    "long": Frame(900, 8, 256, 64),
    "compact": Frame(333, 222, 128, 64, two_steps=False),
    "compact, small": Frame(30, 47, 128, 64, two_steps=False),
    "squashed": Frame(300, 100, 256, 64, two_steps=False, squash=True),
}


class TestCanvas:
    @pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
    @pytest.mark.parametrize(("grain", "level"), [(64, -2), (5, -4), (4, 2), (9, -7)])
    def test_counts_and_masks_are_those_of_the_whole_map(self, frame, grain, level):
        canvas = Canvas(frame, 0.5)
        for seed in range(3):
            logits = smooth_logits(64, grain, level, seed)
            full = frame.upsample(logits.unsqueeze(0))[0].numpy()
            mask = np.zeros_like(full, bool)
            window = canvas.window(logits.numpy())
            high = low = 0
            if window is not None:
                (high, low), piece = canvas.measure(window)
                h, w = piece.mask.shape
                mask[piece.y : piece.y + h, piece.x : piece.x + w] = piece.mask
            # Rounding may tip a pixel whose logit is the threshold to within a millionth.
            for count, level_ in ((high, 0.5), (low, -0.5), (mask.sum(), 0.0)):
                assert (
                    abs(int(count) - int((full > level_).sum()))
                    <= (np.abs(full - level_) < 1e-4).sum()
                )
            assert ((mask != (full > 0)) <= (np.abs(full) < 1e-4)).all()

    def test_a_small_mask_is_enlarged_where_it_is(self):
        canvas = Canvas(Frame(1500, 1000, 1024, 256), 1.0)
        logits = np.full((256, 256), -8, np.float32)
        logits[20:30, 100:104] = 8
        window = canvas.window(logits)
        assert window.logits.shape == (14, 8)
        _, piece = canvas.measure(window)
        assert piece.mask.size < 1500 * 1000 / 200
        assert piece.mask.any()
        assert canvas.window(np.full((256, 256), -1, np.float32)) is None

    def test_what_only_the_padding_shows_is_nothing(self):
        canvas = Canvas(Frame(150, 100, 256, 64), 1.0)
        logits = np.full((64, 64), -8, np.float32)
        logits[50:] = 8  # the image ends at row 43
        assert canvas.window(logits) is None

    @pytest.mark.parametrize("seed", range(4))
    def test_run_lengths_are_pycocotools(self, seed):
        import pycocotools.mask as coco

        random = np.random.default_rng(seed)
        whole = np.zeros((23, 31), bool)
        whole[3:20, 4:25] = random.random((17, 21)) < (0.3, 0.7, 0.95, 0.02)[seed]
        piece = Piece(whole[3:20, 4:25], 4, 3)
        runs = piece.runs(31, 23)
        expected = coco.encode(np.asfortranarray(whole.view(np.uint8)))["counts"].decode()
        assert pack(runs) == expected
        np.testing.assert_array_equal(unroll(runs, 31, 23), whole)
        columns, rows = np.flatnonzero(whole.any(0)), np.flatnonzero(whole.any(1))
        assert piece.box() == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)

    def test_long_runs_are_packed_as_pycocotools_does(self):
        import pycocotools.mask as coco

        random = np.random.default_rng(0)
        limits = [2**k + d for k in range(21) for d in (-1, 0, 1) if 2**k + d > 0]
        for _ in range(20):
            runs = random.permutation(limits).astype(np.int64)
            size = [1, int(runs.sum())]
            expected = coco.frPyObjects({"size": size, "counts": runs.tolist()}, *size)
            assert pack(runs) == expected["counts"].decode()
        assert (
            pack(np.array([0, 6]))
            == coco.frPyObjects({"size": [2, 3], "counts": [0, 6]}, 2, 3)["counts"].decode()
        )

    def test_run_lengths_go_on_from_column_to_column(self):
        whole = np.zeros((4, 5), bool)
        whole[:, 1:4] = True
        assert Piece(whole, 0, 0).runs(5, 4).tolist() == [4, 12, 4]
        assert Piece(np.ones((4, 5), bool), 0, 0).runs(5, 4).tolist() == [0, 20]


class TestPropose:
    def test_each_point_gives_up_to_three_masks(self, ready):
        proposals = propose(ready, LOOSE)
        assert 10 < len(proposals) <= 48
        scores = [p.predicted_iou for p in proposals]
        assert scores == sorted(scores, reverse=True)
        for p in proposals:
            assert p.size == (60, 90)
            assert p.crop_box == (0, 0, 90, 60)
            assert 0 <= p.stability_score <= 1

    def test_masks_are_the_predictors(self, ready):
        """The grid's points lie where the predictor's do, but for half an input pixel."""
        proposals = propose(ready, LOOSE)
        best = proposals[0]
        half = 0.5 * 90 / 128
        candidates = ready.predict(Point(best.point[0] + half, best.point[1] + half), refine=False)
        masks = [Piece(mask, 0, 0) for mask in candidates.masks]
        assert best.counts in [pack(piece.runs(90, 60)) for piece in masks if piece.box()]

    def test_progress_and_updates(self, watched):
        predictor, network = watched()
        progress, updates = [], []
        proposals = propose(
            predictor,
            LOOSE,
            on_update=lambda now, found: updates.append((now, found)),
            on_progress=progress.append,
        )
        assert progress[-1] == updates[-1][0] == Progress(16, 16)
        assert [p.done for p in progress] == np.cumsum(network.batches).tolist()
        assert len(updates) == len(progress)
        assert updates[-1][1] == proposals
        assert updates[0][1]  # there is something to see from the start
        assert {p.counts for p in updates[0][1]} <= {p.counts for p in proposals}

    def test_stopping_returns_what_was_found(self, watched):
        predictor, network = watched()
        everything = propose(predictor, LOOSE)
        network.batches.clear()
        some = propose(predictor, LOOSE, cancelled=lambda: sum(network.batches) >= 5)
        assert sum(network.batches) < 16
        assert 0 < len(some) < len(everything)
        assert {p.counts for p in some} <= {p.counts for p in everything}
        assert propose(predictor, LOOSE, cancelled=lambda: True) == ()

    def test_an_interrupt_leaves_the_predictor_as_it_was(self, watched):
        predictor, _ = watched()

        def interrupt(now):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            propose(predictor, LOOSE, on_progress=interrupt)
        assert len(propose(predictor, LOOSE)) > 10
        done = []
        thread = threading.Thread(target=lambda: done.append(predictor.predict(Point(5, 5))))
        thread.start()  # which would wait for ever if the lock were still held
        thread.join(60)
        assert len(done) == 1

    def test_other_threads_are_answered_in_between(self, watched):
        predictor, _ = watched()
        answers = []

        def ask(now):
            if now.done == now.total // 2 or not answers:
                thread = threading.Thread(
                    target=lambda: answers.append(predictor.predict(Point(40, 30)))
                )
                thread.start()
                thread.join(60)

        assert propose(predictor, LOOSE, on_progress=ask)
        assert answers

    def test_the_embedding_is_reused_and_crops_are_embedded(self, watched):
        predictor, network = watched()
        assert network.encoded == 1
        propose(predictor, LOOSE)
        assert network.encoded == 1
        settings = EverythingSettings(
            points_per_side=2, crop_n_layers=1, pred_iou_thresh=-10, stability_score_thresh=0
        )
        propose(predictor, settings)
        assert network.encoded == 5

    def test_low_resolution_scores_find_nearly_the_same(self, ready):
        settings = replace(LOOSE, stability_score_offset=0.05, stability_score_thresh=0.3)
        exact = propose(ready, settings)
        quick = propose(ready, replace(settings, scores_from="low_res"))
        ours, theirs = ({(p.point, p.counts) for p in some} for some in (quick, exact))
        assert len(ours & theirs) > 0.8 * len(theirs) > 8
        for p in quick:
            x0, y0, x1, y1 = p.box
            assert 0 <= x0 < x1 <= 90
            assert 0 <= y0 < y1 <= 60

    def test_duplicates_of_what_is_kept_are_dropped(self, ready):
        proposals = propose(ready, LOOSE)
        kept = [proposals[3].counts, proposals[7].counts]
        rest = without_duplicates(proposals, kept, 0.9)
        assert proposals[3] not in rest
        assert proposals[7] not in rest
        assert len(rest) < len(proposals)
        assert without_duplicates(proposals, [], 0.9) == proposals
        assert without_duplicates((), kept) == ()


OUT_OF_MEMORY = {
    "NumPy": MemoryError("Unable to allocate 3 GiB"),
    "PyTorch on a processor": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 99 bytes."
    ),
    "PyTorch on Windows": RuntimeError("not enough memory: you tried to allocate 99 bytes."),
    "PyTorch on a GPU": torch.cuda.OutOfMemoryError("CUDA out of memory."),
}


class TestMemory:
    @pytest.mark.parametrize("error", OUT_OF_MEMORY.values(), ids=OUT_OF_MEMORY)
    def test_batches_are_halved_and_nothing_is_lost(self, watched, error):
        settings = replace(LOOSE, points_per_batch=8)
        expected = propose(watched()[0], settings)
        predictor, network = watched(error=error, limit=3)
        found = propose(predictor, settings)
        assert network.refused == [8, 4]
        assert network.batches == [2] * 8
        assert {p.point for p in found} == {p.point for p in expected}
        assert len(found) == len(expected)

    def test_not_even_one_point(self, watched):
        predictor, _ = watched(error=MemoryError(), limit=0)
        with pytest.raises(ResourceError, match="one point at a time"):
            propose(predictor, LOOSE)

    def test_other_errors_are_not_taken_for_it(self, watched):
        predictor, _ = watched(error=RuntimeError("shapes do not match"), limit=0)
        with pytest.raises(RuntimeError, match="shapes"):
            propose(predictor, LOOSE)

    def test_a_budget_that_is_too_small_is_refused_before_it_starts(self, watched):
        predictor, network = watched()
        with pytest.raises(ResourceError, match=r"needs about \d.* MB"):
            propose(predictor, replace(LOOSE, memory_budget=1000))
        assert network.batches == []

    def test_a_small_budget_has_small_batches_and_the_same_masks(self, ready, monkeypatch):
        from segwidget.inference.everything import budget, generate

        wide = propose(ready, LOOSE)
        run = generate._Run(ready, LOOSE)
        tight = run.budget.fixed + run.budget.per_prompt + 10
        run = generate._Run(ready, replace(LOOSE, memory_budget=tight))
        assert (run.budget.max_batch, run.budget.held) == (1, 0)
        assert {p.counts for p in run(None, None, lambda: False)} == {p.counts for p in wide}
        monkeypatch.setattr(budget, "free_bytes", lambda device: tight * 2)
        assert generate._Run(ready, LOOSE).budget.total < 2 * tight

    def test_the_fastest_batch_is_found(self):
        from segwidget.inference.everything.budget import BatchSize

        seconds = {1: 1.0, 2: 1.5, 4: 4.0}
        batch = BatchSize((1, 2, 4))
        tried = []
        while batch.chosen is None:
            tried.append(batch.next)
            batch.record(batch.next, seconds[batch.next] + 100 * (len(tried) == 1))
        assert tried == [1, 1, 2, 4, 1, 2, 4]
        assert batch.next == 2
        batch.shrink()
        assert batch.next == 1
        assert BatchSize((3,)).next == 3

    def test_limits_of_containers_count(self, tmp_path):
        from segwidget.inference.everything.budget import _container_bytes, free_bytes

        assert _container_bytes(tmp_path) > 1 << 60
        (tmp_path / "memory.max").write_text("max\n")
        (tmp_path / "memory.current").write_text("5\n")
        assert _container_bytes(tmp_path) > 1 << 60
        (tmp_path / "memory.max").write_text("12\n")
        assert _container_bytes(tmp_path) == 7
        assert 1 << 20 < free_bytes(torch.device("cpu")) < 1 << 60


def peak_of(call):
    """The most bytes that tensors took at once while it ran, by PyTorch's own accounts."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        call()
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


class Plain(Watched):
    """A network that decodes as the published code does."""

    def __init__(self, network):
        super().__init__(network)
        self.prepare = lambda features: features

    def decode(self, prepared, coords, labels, masks=None):
        with torch.inference_mode():
            return self.network.sam.decode(prepared, (coords, labels), padded=True)


class TestPrediction:
    """The budget's formula against a measurement: an upper bound, and not a loose one."""

    @pytest.mark.parametrize("name", ["embedded", "published", "published, in PyTorch"])
    def test_memory_of_a_prompt(self, name, model, published_decoder):
        from segwidget.inference.everything.budget import prompt_bytes

        network = SamNetwork(model.sam if name == "embedded" else published_decoder)
        if name.endswith("PyTorch"):
            network = Plain(network)
        pixels = np.zeros((60, 90, 3), np.uint8)
        prepared = network.prepare(network.encode(pixels))
        coords = torch.rand(8, 2, 2) * 100
        labels = torch.tensor([[1, -1]] * 8)
        measured = [
            peak_of(lambda n=n: network.decode(prepared, coords[:n], labels[:n])) for n in (2, 6)
        ]
        per_prompt = (measured[1] - measured[0]) / 4
        predicted = prompt_bytes(network, network.frame(90, 60))
        assert per_prompt <= predicted <= 2 * per_prompt

    @pytest.mark.parametrize("crumbs", [0, 50])
    @pytest.mark.parametrize("size", [(90, 60), (1400, 900)])
    def test_memory_of_a_whole_run(self, ready, picture, size, crumbs):
        import tracemalloc

        from segwidget.inference.everything.generate import _Run

        width, height = size
        ready.set_image(np.resize(picture, (height, width, 3)))
        settings = replace(LOOSE, points_per_batch=4, min_mask_region_area=crumbs)
        propose(ready, settings)
        run = _Run(ready, settings)
        tracemalloc.start()  # which NumPy tells of its arrays; PyTorch keeps its own accounts
        tensors = peak_of(lambda: run(None, None, lambda: False))
        arrays = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        predicted = run.budget.predicted(4)
        # The buffers were there before; the interpreter's own objects are a megabyte or two.
        assert tensors + arrays < predicted + 2e6
        assert predicted < 2.5 * (tensors + arrays + run._keeper.canvas.nbytes)


@pytest.fixture(scope="session")
def published_decoder():
    """The published decoder's sizes behind a tiny encoder, random weights."""
    from segwidget.sam.image_encoder import ImageEncoderViT
    from segwidget.sam.mask_decoder import MaskDecoder
    from segwidget.sam.prompt_encoder import PromptEncoder
    from segwidget.sam.sam import Sam
    from segwidget.sam.transformer import TwoWayTransformer

    encoder = ImageEncoderViT(
        1024, embed_dim=8, depth=1, num_heads=1, out_chans=256, global_attn_indexes=()
    )
    transformer = TwoWayTransformer(2, 256, num_heads=8, mlp_dim=2048)
    decoder = MaskDecoder(transformer_dim=256, transformer=transformer)
    sam = Sam(encoder, PromptEncoder(256, (64, 64), (1024, 1024)), decoder)
    return sam.eval().requires_grad_(False)
