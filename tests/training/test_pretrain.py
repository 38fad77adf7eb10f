"""The recipe on a tiny set and at a tiny size: it learns, and a killed run loses nothing."""

import json
import sys
from dataclasses import replace

import pytest
import torch

from segwidget.sam.checkpoint import read_state
from segwidget.training import pretrain, recipe
from segwidget.training.data import RandomCrops, load_sets
from segwidget.training.pretrain import (
    Trainer,
    attention,
    mean_where,
    set_input_size,
    top_mask,
    train,
)
from segwidget.training.recipe import FOURTH, PHASES, RECIPES, SECOND, THIRD, Phase, Recipe

SIZE = 64
TINY = (
    Phase(0.5, SIZE, 2, 2, (0.6, 1.0), (0.0, 1.0, 0.0)),
    Phase(1.0, SIZE + 32, 2, 2, (0.6, 1.0), (0.0, 0.0, 1.0)),
)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(recipe, "PHASES", TINY)


@pytest.fixture
def batch(shards):
    return next(iter(RandomCrops(load_sets(shards), SIZE, 2, 2, (0.8, 1.0), 0)))


def tensors(trainer):
    return {**trainer.model.state_dict(), **trainer.prototype.state_dict()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def run_steps(trainer, batch, count):
    """Steps whose chance depends on the step alone, so that a resumed run can repeat them."""
    logs = []
    set_input_size(trainer.model, SIZE)
    with attention():
        for _ in range(count):
            torch.manual_seed(trainer.step)
            logs.append(trainer.train_step(*batch))
    return logs


def test_the_phases_cover_the_run():
    untils = [phase.until for phase in PHASES]
    assert untils == sorted(untils)
    assert untils[-1] == 1
    assert PHASES[-1].size == 512  # what the network sees in use
    for phase in PHASES:
        assert sum(phase.rounds) == pytest.approx(1)
        assert phase.size % 32 == 0


@pytest.mark.slow
def test_a_few_steps_learn(tmp_path, batch, tiny):
    trainer = Trainer(Recipe(steps=60, lr=2e-3, warmup=5, prototype_until=1.0), tmp_path, "cpu")
    logs = run_steps(trainer, batch, 30)
    assert trainer.step == 30
    first, last = (sum(log["prototype"] for log in part) / 3 for part in (logs[:3], logs[-3:]))
    assert last < 0.8 * first
    first, last = (sum(log["click2"] for log in part) / 5 for part in (logs[:5], logs[-5:]))
    assert last > first
    assert all(0 <= log["iou_error"] <= 2 for log in logs)
    assert all(torch.isfinite(t).all() for t in tensors(trainer).values())


def test_resuming_goes_on_as_if_nothing_had_happened(tmp_path, batch, tiny):
    recipe = Recipe(steps=8, warmup=2)
    whole = Trainer(recipe, tmp_path / "whole", "cpu")
    run_steps(whole, batch, 4)

    killed = Trainer(recipe, tmp_path / "killed", "cpu")
    assert not killed.resume()
    run_steps(killed, batch, 2)
    killed.running = {"point": 0.25}
    killed.save()
    run_steps(killed, batch, 1)  # done after the last save, and lost
    again = Trainer(recipe, tmp_path / "killed", "cpu")
    assert again.resume()
    assert again.step == 2
    assert again.running == {"point": 0.25}
    run_steps(again, batch, 2)
    assert same(tensors(whole), tensors(again))
    assert same(whole.average.state_dict(), again.average.state_dict())


def test_a_kill_while_saving_leaves_the_last_save(tmp_path, tiny, monkeypatch):
    trainer = Trainer(Recipe(steps=8), tmp_path, "cpu")
    trainer.step = 3
    trainer.save()

    def dies(state, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", dies)
    trainer.step = 5
    with pytest.raises(KeyboardInterrupt):
        trainer.save()
    monkeypatch.undo()
    again = Trainer(Recipe(steps=8), tmp_path, "cpu")
    assert again.resume()
    assert again.step == 3


@pytest.mark.slow
def test_the_command_trains_stops_and_resumes(shards, tmp_path, tiny, monkeypatch, capsys):
    def command(*more):
        arguments = ["--data", str(shards), "--out", str(tmp_path), "--device", "cpu", *more]
        monkeypatch.setattr(sys, "argv", ["pretrain", *arguments, "--steps", "4"])
        pretrain.main()
        return capsys.readouterr().out

    assert "stopped at step 0 of 4" in command("--minutes", "0")
    resumed = command()
    assert "resumed at step 0" in resumed
    assert "stopped at step 4 of 4" in resumed
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[0]["recipe"]["steps"] == 4
    weights = torch.load(tmp_path / "state.pt", weights_only=True)
    assert weights["step"] == 4
    assert "resumed at step 4" in command()  # and there is nothing left to do
    command("--recipe", "second")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    runs = [line["recipe"]["mask_loss"] for line in lines if "recipe" in line]
    assert len(runs) == 4
    assert lines[-1]["recipe"]["lr"] == RECIPES["second"].lr


def test_the_log_grows_every_twenty_steps(shards, tmp_path, monkeypatch):
    steps = []

    def fake_step(trainer, images, masks):
        trainer.step += 1
        steps.append(images.shape)
        return {"point": 0.5}

    monkeypatch.setattr(Trainer, "train_step", fake_step)
    monkeypatch.setattr(recipe, "PHASES", (Phase(1.0, SIZE, 2, 2, (0.6, 1.0), (1.0, 0.0, 0.0)),))
    train(Recipe(steps=45), shards, tmp_path, "cpu", 1, 5)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line.get("step") for line in lines] == [None, 20, 40]
    assert lines[1]["point"] == 0.5
    assert set(steps) == {(2, 3, SIZE, SIZE)}


def test_learning_rate(tmp_path):
    trainer = Trainer(Recipe(steps=1000, lr=1e-3, warmup=100), tmp_path, "cpu")
    rates = []
    for trainer.step in range(1000):
        rates.append(trainer.learning_rate())
    assert rates[0] == pytest.approx(1e-5, rel=0.01)
    assert max(rates) == pytest.approx(1e-3, rel=0.05)
    assert 90 <= rates.index(max(rates)) <= 110
    assert rates[-1] == pytest.approx(1e-5, rel=0.05)


def test_the_average_follows_the_weights(tmp_path):
    trainer = Trainer(Recipe(ema=0.75), tmp_path, "cpu")
    trainer.step = 10_000
    name = "image_encoder.stem.conv.weight"
    before = trainer.average.state_dict()[name].clone()
    with torch.no_grad():
        trainer.model.state_dict()[name].add_(1.0)
    trainer.update_average()
    torch.testing.assert_close(trainer.average.state_dict()[name], before + 0.25)
    trainer.step = 0  # early on the decay is small: random weights are soon forgotten
    trainer.update_average()
    torch.testing.assert_close(trainer.average.state_dict()[name], before + 0.25 + 0.9 * 0.75)


def test_a_broken_gradient_is_skipped(tmp_path, batch, tiny, monkeypatch):
    trainer = Trainer(Recipe(steps=8), tmp_path, "cpu")
    parameters = {k: v.clone() for k, v in trainer.model.named_parameters()}
    nan = torch.tensor(float("nan"))
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *a, **k: nan)
    run_steps(trainer, batch, 1)
    assert trainer.step == 1
    assert all(torch.equal(v, parameters[k]) for k, v in trainer.model.named_parameters())


def test_top_mask_is_never_the_single_one():
    logits = torch.arange(8.0).view(2, 4, 1, 1).expand(2, 4, 3, 3)
    iou = torch.tensor([[0.99, 0.1, 0.7, 0.2], [0.99, 0.8, 0.7, 0.2]])
    assert top_mask(logits, iou)[:, 0, 0].tolist() == [2, 5]


def test_mean_where():
    values = torch.tensor([1.0, 2.0, 6.0])
    assert mean_where("x", values, torch.tensor([True, False, True])) == {"x": 3.5}
    assert mean_where("x", values, torch.tensor([False] * 3)) == {}


def test_a_second_run_goes_on_from_finished_weights(tmp_path, shards):
    (tmp_path / "first").mkdir()
    begun = Trainer(Recipe(), tmp_path / "first", "cpu")
    weights = read_state(begun.export())
    phases = tuple(Phase(None, s, 2, 2, (0.6, 1.0), (1.0, 0.0, 0.0)) for s in (SIZE, 2 * SIZE))
    recipe = replace(
        SECOND,
        steps=4,
        phases=phases,
        odds=((0.5, 0.5), (0.0, 1.0)),
        paste=1.0,
        warmup=1,
    )
    again = Trainer(recipe, tmp_path / "second", "cpu", tmp_path / "first" / "weights.safetensors")
    for key, value in again.model.state_dict().items():
        assert torch.equal(value, weights[key].to(value.dtype))
    train(
        recipe, shards, tmp_path / "second", "cpu", 1, 5, tmp_path / "first" / "weights.safetensors"
    )
    log = (tmp_path / "second" / "log.jsonl").read_text()
    assert json.loads(log.splitlines()[0])["recipe"]["paste"] == 1.0
    done = Trainer(recipe, tmp_path / "second", "cpu")
    assert done.resume()
    assert done.step == 4
    kept = read_state(tmp_path / "second" / "weights.safetensors")
    assert kept.keys() == done.average.state_dict().keys()
    for key, value in done.average.state_dict().items():
        if kept[key].dtype == torch.float32:  # was kept in 8 bits
            step = value.flatten(1).abs().amax(1).clamp(min=1e-30) / 127
            assert ((kept[key] - value).flatten(1).abs().amax(1) / step).max() < 0.501
        else:
            assert torch.equal(kept[key], value.to(kept[key].dtype))


@pytest.mark.parametrize("recipe", [SECOND, THIRD, FOURTH])
def test_the_rate_stays_and_falls_and_all_sizes_are_seen(tmp_path, recipe):
    trainer = Trainer(recipe, tmp_path, "cpu")
    rates, sizes = [], set()
    for trainer.step in range(0, recipe.steps, 50):
        rates.append(trainer.learning_rate())
        sizes.add(trainer.phase.size)
    assert sizes == {phase.size for phase in recipe.phases}
    falls = int(len(rates) * (1 - recipe.decay))
    assert min(rates[2:falls]) == max(rates[2:falls]) == pytest.approx(recipe.lr)
    assert rates[falls + 1 :] == sorted(rates[falls + 1 :], reverse=True)
    assert rates[-1] < 0.05 * recipe.lr


def test_masks_learn_from_the_loss_of_the_recipe(tmp_path, batch, tiny):
    weights = []
    for name in ("focal", "entropy"):
        trainer = Trainer(Recipe(steps=60, warmup=1, mask_loss=name), tmp_path, "cpu")
        run_steps(trainer, batch, 1)
        weights.append(trainer.model.state_dict()["mask_decoder.mask_tokens.weight"])
    assert not torch.equal(*weights)
