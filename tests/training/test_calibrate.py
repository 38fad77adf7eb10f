"""The IoU head is fitted to what the finished network answers."""

import pytest
import torch

from segwidget.sam.build import build_compact
from segwidget.training.calibrate import Answers, collect, refit_iou_head
from segwidget.training.data import RandomCrops, load_sets
from segwidget.training.losses import mask_iou
from segwidget.training.pretrain import set_input_size

SIZE = 64


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    net = build_compact().eval()
    set_input_size(net, SIZE)
    return net


def test_answers_are_the_heads_inputs_and_true_ious(model, shards):
    torch.manual_seed(1)
    batch = next(iter(RandomCrops(load_sets(shards), SIZE, 2, 3, (0.8, 1.0), 0)))
    seen = []
    decode = model.decode
    model.decode = lambda *a, **k: (seen.append(decode(*a, **k)), seen[-1])[1]
    try:
        answers = collect(model, [batch], rounds=2)
    finally:
        del model.decode
    assert answers.tokens.shape == (2 * 6, 128)
    with torch.no_grad():
        predicted = model.mask_decoder.iou_prediction_head(answers.tokens)
    torch.testing.assert_close(predicted, torch.cat([iou for _, iou in seen]))
    target = batch[1].flatten(0, 1).unsqueeze(1).expand(-1, 4, -1, -1)
    expected = torch.cat([mask_iou(logits, target) for logits, _ in seen])
    assert torch.equal(answers.ious, expected)
    assert not model.mask_decoder.iou_prediction_head._forward_pre_hooks


def test_the_head_learns_and_nothing_else_moves(model):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(600, 128, generator=generator)
    answers = Answers(tokens, (tokens[:, :4] * 0.2 + 0.5).clamp(0, 1))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    first, last = refit_iou_head(model, answers, epochs=20)
    assert last < 0.6 * first
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved
    assert all("iou_prediction_head" in name for name in moved)
    with torch.no_grad():
        off = (model.mask_decoder.iou_prediction_head(tokens[540:]) - answers.ious[540:]).abs()
    assert float(off.mean()) == pytest.approx(last)


def test_a_fit_that_helps_nothing_is_not_kept(model):
    tokens = torch.randn(100, 128)
    with torch.no_grad():
        perfect = model.mask_decoder.iou_prediction_head(tokens)
    # The held-out tenth is right already; the rest teaches nonsense.
    answers = Answers(tokens, torch.cat([1 - perfect[:90], perfect[90:]]))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    first, last = refit_iou_head(model, answers, epochs=3)
    assert first == last == pytest.approx(0, abs=1e-6)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
