"""The same weights, images and prompts give the same numbers in the package segment-anything."""

import pytest
import torch

from segwidget.sam.build import BUILDERS
from segwidget.sam.image_encoder import offsets_table
from tests import reference as published


@pytest.fixture(scope="module")
def segment_anything():
    """The package."""
    return published.segment_anything()


def shapes(network):
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def reference(sizes, small_sam):
    """The package's network at the small sizes, with the small SAM's weights."""
    network = published.build_reference(sizes)
    network.load_state_dict(small_sam.state_dict(), strict=True)
    return network


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_state_dict_keys_and_shapes_are_the_published_ones(segment_anything, name):
    with torch.device("meta"):  # names and shapes without gigabytes of numbers
        ours = BUILDERS[name]()
        theirs = segment_anything.sam_model_registry[name]()
    assert shapes(ours) == shapes(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    theirs.load_state_dict(ours.state_dict(), strict=True, assign=True)
    assert len(ours.state_dict()) == {"vit_b": 314, "vit_l": 482, "vit_h": 594}[name]


def test_weights_come_back_unchanged(build_small, small_sam, reference):
    again = build_small()
    again.load_state_dict(reference.state_dict(), strict=True)
    for key, value in again.state_dict().items():
        assert torch.equal(value, small_sam.state_dict()[key]), key


def test_preprocess(small_sam, reference):
    image = torch.randint(0, 256, (3, 150, 192), generator=torch.Generator().manual_seed(0))
    ours = small_sam.preprocess(image.unsqueeze(0))[0]
    torch.testing.assert_close(ours, reference.preprocess(image), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [5, 8, 14])
def test_relative_positions_learned_at_another_size(segment_anything, size):
    table = torch.randn(2 * 8 - 1, 6, generator=torch.Generator().manual_seed(0))
    module = segment_anything.modeling.image_encoder
    expected = module.get_rel_pos(size, size, table)
    torch.testing.assert_close(offsets_table(table, size), expected, rtol=0, atol=1e-6)


def test_image_embedding(small_sam, reference, pixels, assert_parity):
    ours = small_sam.encode(pixels).embedding
    assert_parity(ours, reference.image_encoder(pixels))
    assert (ours[0] - ours[1]).abs().mean() > 0.1  # two images, two answers


def test_prompt_tokens_and_dense_map(small_sam, reference, sizes, prompts):
    given = prompts.points, prompts.boxes, prompts.masks
    sparse, dense = small_sam.prompt_encoder(*given)
    expected_sparse, expected_dense = reference.prompt_encoder(*given)
    torch.testing.assert_close(sparse, expected_sparse, rtol=0, atol=1e-4)
    torch.testing.assert_close(dense.expand_as(expected_dense), expected_dense, rtol=0, atol=1e-4)
    assert small_sam.prompt_encoder.mask_input_size == reference.prompt_encoder.mask_input_size
    torch.testing.assert_close(
        small_sam.prompt_encoder.get_dense_pe(),
        reference.prompt_encoder.get_dense_pe(),
        rtol=0,
        atol=1e-5,
    )


def test_masks_and_iou(
    small_sam, reference, features, prompts, multimask_output, predict, assert_parity
):
    logits, iou = predict(small_sam, features, prompts, multimask_output)
    sparse, dense = reference.prompt_encoder(prompts.points, prompts.boxes, prompts.masks)
    expected_logits, expected_iou = reference.mask_decoder(
        features.embedding,
        reference.prompt_encoder.get_dense_pe(),
        sparse,
        dense,
        multimask_output,
    )
    assert_parity(logits, expected_logits)
    torch.testing.assert_close(iou, expected_iou, rtol=0, atol=1e-4)
    assert iou.abs().min() > 1e-3
    if multimask_output:  # three different masks
        assert (logits[:, 0] - logits[:, 1]).abs().mean() > 0.1
        assert (logits[:, 1] - logits[:, 2]).abs().mean() > 0.1


def test_decode_gives_the_single_mask_and_the_three(small_sam, reference, features, make_prompts):
    prompts = make_prompts("batch of boxes and points", 192)
    logits, iou = small_sam.decode(features, prompts.points, prompts.boxes)
    sparse, dense = reference.prompt_encoder(prompts.points, prompts.boxes, None)
    expected_logits, expected_iou = reference.mask_decoder.predict_masks(
        features.embedding, reference.prompt_encoder.get_dense_pe(), sparse, dense
    )
    assert logits.shape == (3, 4, 48, 48)
    torch.testing.assert_close(logits, expected_logits, rtol=0, atol=1e-4)
    torch.testing.assert_close(iou, expected_iou, rtol=0, atol=1e-4)


def test_every_weight_matters(build_small, small_sam, features, pixels, make_prompts):
    """Guards the comparisons: no part of the network may drown in their tolerance."""
    cases = [make_prompts(kind, 192) for kind in ("points", "mask and box")]
    sam = build_small()
    state = {key: value.clone() for key, value in small_sam.state_dict().items()}
    sam.load_state_dict(state, strict=True, assign=True)

    def outputs(encoded):
        answers = [sam.decode(encoded, x.points, x.boxes, x.masks) for x in cases]
        return torch.cat([x.flatten() for answer in answers for x in answer])

    before = outputs(features)
    for key, value in state.items():
        if key.endswith("k_proj.bias"):
            continue  # what is added to every key cancels in the softmax
        kept = value.clone()
        value.copy_(kept.flatten().flip(0).view_as(kept))
        encoded = sam.encode(pixels[:1]) if key.startswith("image_encoder") else features
        change = (outputs(encoded) - before).abs().max()
        value.copy_(kept)
        assert change > 2e-3, f"reversing {key} changes the outputs by {change:.2g} only"
