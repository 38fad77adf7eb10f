"""What the published predictor's notebook shows, step by step, as one would write it for oneself.

Written for the package segment-anything. The test beside it runs it a second time with nothing but
the package's name replaced.
"""

import numpy as np
import torch
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide


def walk(sam, image, second_image):
    """The results of every step, by name."""
    assert isinstance(sam, Sam)
    assert {"default", "vit_h", "vit_l", "vit_b"} <= set(sam_model_registry)
    device = "cpu"
    sam.to(device=device)
    sam.eval()
    height, width = image.shape[:2]
    results = {}

    predictor = SamPredictor(sam)
    predictor.set_image(image)
    results["embedding"] = predictor.get_image_embedding()

    # A click, which may mean three things.
    click, foreground = np.array([[0.4 * width, 0.55 * height]]), np.array([1])
    masks, scores, logits = predictor.predict(
        point_coords=click, point_labels=foreground, multimask_output=True
    )
    results["one point"] = masks, scores, logits
    best = logits[np.argmax(scores)]

    # A second click refines the best of them, or takes something away.
    clicks = np.array([[0.4 * width, 0.55 * height], [0.6 * width, 0.5 * height]])
    for name, labels in (("two points", np.array([1, 1])), ("minus", np.array([1, 0]))):
        results[name] = predictor.predict(
            point_coords=clicks,
            point_labels=labels,
            mask_input=best[None, :, :],
            multimask_output=False,
        )

    # A box, and a box without one part of what it holds.
    box = np.array([int(0.2 * width), int(0.3 * height), int(0.7 * width), int(0.9 * height)])
    results["box"] = predictor.predict(
        point_coords=None, point_labels=None, box=box[None, :], multimask_output=False
    )
    results["box minus a point"] = predictor.predict(
        point_coords=clicks[1:], point_labels=np.array([0]), box=box, multimask_output=False
    )
    results["logits"] = predictor.predict(box=box, return_logits=True)

    # Boxes for several things at once.
    several = np.stack([box, box // 2, box - [0, 10, 30, 0]])
    boxes = torch.as_tensor(several, device=predictor.device)
    moved = predictor.transform.apply_boxes_torch(boxes, image.shape[:2])
    results["boxes"] = predictor.predict_torch(
        point_coords=None, point_labels=None, boxes=moved, multimask_output=False
    )
    places = torch.as_tensor(clicks, device=predictor.device)[:, None]
    moved_places = predictor.transform.apply_coords_torch(places, image.shape[:2])
    results["points for several things"] = predictor.predict_torch(
        moved_places, torch.ones(2, 1, device=predictor.device)
    )

    # Several images, each with its prompts, from end to end.
    transform = ResizeLongestSide(sam.image_encoder.img_size)

    def prepare(picture):
        small = torch.as_tensor(transform.apply_image(picture), device=sam.device)
        return small.permute(2, 0, 1).contiguous()

    batch = [
        {
            "image": prepare(image),
            "boxes": transform.apply_boxes_torch(boxes, image.shape[:2]),
            "original_size": image.shape[:2],
        },
        {
            "image": prepare(second_image),
            "point_coords": torch.as_tensor(
                transform.apply_coords(np.array([[[30, 40], [5, 6]]]), second_image.shape[:2])
            ).float(),
            "point_labels": torch.tensor([[1, 0]]),
            "mask_inputs": torch.as_tensor(best)[None, None],
            "original_size": second_image.shape[:2],
        },
    ]
    for i, answer in enumerate(sam(batch, multimask_output=False)):
        assert set(answer) == {"masks", "iou_predictions", "low_res_logits"}
        results[f"image {i}"] = (
            answer["masks"],
            answer["iou_predictions"],
            answer["low_res_logits"],
        )

    # An image that is already a tensor, and another order of its channels.
    predictor.reset_image()
    assert not predictor.is_image_set
    predictor.set_torch_image(prepare(image)[None], image.shape[:2])
    results["tensor"] = predictor.predict(point_coords=click, point_labels=foreground)
    predictor.set_image(np.ascontiguousarray(second_image[..., ::-1]), image_format="BGR")
    results["BGR"] = predictor.predict(point_coords=np.array([[30, 40]]), point_labels=foreground)
    results["its embedding"] = predictor.features
    results["sizes"] = np.array([*predictor.original_size, *predictor.input_size])
    results["threshold"] = np.array(sam.mask_threshold)
    assert sam.image_format == "RGB"
    return results
