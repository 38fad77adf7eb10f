"""A dialogue is a function of prompts and picks, however it came about."""

import threading

import numpy as np
import pytest
import torch

from segwidget.errors import PromptError
from segwidget.inference.dialogue import MAX_ANSWERS, MAX_PROMPTS, Dialogue
from segwidget.inference.embeddings import embedding_cache
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, Point
from segwidget.sam.build import build_compact

A, B, C = Point(10, 20), Point(50, 30), Point(70, 5, 0)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return Model(build_compact(64).eval(), "tiny", "cd" * 32)


@pytest.fixture
def predictor(model):
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # several would only wait for each other
    held = len(embedding_cache)
    predictor = Predictor(model)
    predictor.set_image(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))
    yield predictor
    predictor.reset_image(forget=True)
    assert len(embedding_cache) == held
    torch.set_num_threads(before)


@pytest.fixture
def calls(predictor, monkeypatch):
    """The prompts of each call of the predictor."""
    calls, predict = [], predictor.predict

    def counted(prompts, **options):
        calls.append(tuple(prompts))
        return predict(prompts, **options)

    monkeypatch.setattr(predictor, "predict", counted)
    return calls


@pytest.fixture
def dialogue(predictor, calls):
    return Dialogue(predictor)


def same(a, b):
    return np.array_equal(a.low_res_logits, b.low_res_logits) and np.array_equal(
        a.predicted_iou, b.predicted_iou
    )


def test_each_prompt_costs_one_answer(dialogue, calls):
    for n in (1, 2, 3):
        dialogue.answer((A, B, C)[:n])
    assert calls == [(A,), (A, B), (A, B, C)]


def test_prompts_at_once_are_answered_one_after_another(dialogue, calls):
    dialogue.answer((A, B, C))
    assert calls == [(A,), (A, B), (A, B, C)]


def test_what_was_answered_is_found_again(dialogue, calls):
    first = dialogue.answer((A,))
    dialogue.answer((A, B))
    assert dialogue.answer((A,)) is first
    assert dialogue.answer([A]) is first
    assert len(calls) == 2


def test_another_pick_is_another_dialogue(dialogue, calls):
    best, third = dialogue.answer((A, B)), dialogue.answer((A, B), (2,))
    assert not same(best, third)
    assert calls == [(A,), (A, B), (A, B)]
    assert dialogue.answer((A, B), (0,)) is best


def test_the_picked_logits_refine_the_answer(dialogue, predictor):
    first = dialogue.answer((A,))
    for pick in range(4):
        alone = predictor.predict((A, B), mask_input=first.low_res_logits[pick], refine=False)
        assert same(dialogue.answer((A, B), (pick,)), alone)


def test_the_same_prompts_and_picks_have_the_same_answer_whatever_came_before(predictor):
    one, other = Dialogue(predictor), Dialogue(predictor)
    for prompts, picks in [((A,), ()), ((A, B), (1,)), ((B,), ()), ((A, B, C), (1, 2))]:
        one.answer(prompts, picks)
    predictor.predict((C, A))
    assert same(one.answer((A, B, C), (1, 2)), other.answer((A, B, C), (1, 2)))
    one.clear()
    assert same(one.answer((A, B, C), (1, 2)), other.answer((A, B, C), (1, 2)))


def test_a_pick_beyond_the_last_counts_as_the_last(dialogue):
    assert same(dialogue.answer((A, B), (99,)), dialogue.answer((A, B), (3,)))


def test_picks_too_many_are_left_out(dialogue):
    assert dialogue.answer((A, B), (1, 2, 0)) is dialogue.answer((A, B), (1,))


def test_the_store_of_answers_is_bounded(dialogue, calls):
    for x in range(MAX_ANSWERS + 5):
        dialogue.answer((Point(x, 1),))
    assert len(dialogue._answers) == MAX_ANSWERS
    dialogue.answer((Point(MAX_ANSWERS, 1),))
    assert len(calls) == MAX_ANSWERS + 5
    dialogue.answer((Point(0, 1),))  # the oldest is gone
    assert len(calls) == MAX_ANSWERS + 6


def test_using_an_answer_keeps_it(dialogue, calls):
    first = dialogue.answer((A,))
    for x in range(MAX_ANSWERS + 5):
        dialogue.answer((Point(x, 1),))
        assert dialogue.answer((A,)) is first


def test_more_prompts_than_the_store_holds_still_refine_one_another(predictor):
    prompts = tuple(Point(x % 80, x % 60, x % 2) for x in range(MAX_ANSWERS + 3))
    dialogue = Dialogue(predictor)
    whole = dialogue.answer(prompts)
    before = dialogue.answer(prompts[:-1])
    alone = predictor.predict(prompts, mask_input=before.low_res_logits[0], refine=False)
    assert same(whole, alone)


def test_a_prefix_that_is_pushed_out_meanwhile_still_refines(predictor, monkeypatch):
    expected = Dialogue(predictor).answer((A, B), (1,))
    dialogue = Dialogue(predictor)
    dialogue.answer((A,))
    predict = predictor.predict

    def predict_and_forget(prompts, **options):
        dialogue.clear()  # as other threads' answers may do
        return predict(prompts, **options)

    monkeypatch.setattr(predictor, "predict", predict_and_forget)
    assert same(dialogue.answer((A, B), (1,)), expected)


def test_several_threads_get_what_each_would_get_alone(predictor):
    questions = [((A,), ()), ((A, B), (1,)), ((A, B, C), (1, 2)), ((B, C), (2,)), ((C, A), ())]
    expected = [Dialogue(predictor).answer(*question) for question in questions]
    dialogue, wrong = Dialogue(predictor), []

    def ask(start):
        for i in range(20):
            n = (start + i) % len(questions)
            if i % 7 == 6:
                dialogue.clear()
            if not same(dialogue.answer(*questions[n]), expected[n]):
                wrong.append(n)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []


def test_impossible_dialogues_are_refused_with_a_sentence(dialogue, calls):
    with pytest.raises(PromptError, match="no prompt"):
        dialogue.answer(())
    with pytest.raises(PromptError, match="several boxes"):
        dialogue.answer((Box(1, 1, 5, 5), A, Box(2, 2, 9, 9)))
    with pytest.raises(PromptError, match=f"at most {MAX_PROMPTS}"):
        dialogue.answer((A,) * (MAX_PROMPTS + 1))
    assert calls in ([], [()])  # only the predictor itself may have been asked about nothing


def test_a_prompt_that_fails_leaves_the_answers_before_it(dialogue):
    first = dialogue.answer((A,))
    with pytest.raises(PromptError, match="outside"):
        dialogue.answer((A, Point(500, 5)))
    assert dialogue.answer((A,)) is first
