"""The tracks of CVAT's XML for videos, read as annotations of single images.

A track has a shape for each frame at which it is seen. CVAT writes all of them: those that a person
has drawn are keyframes, and those between are what CVAT has interpolated. Both are taken as they
stand in the file; nothing is interpolated here. An image is found by CVAT's own name of its frame,
`frame_000012` with any suffix, or else by its place in the project's order.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from segwidget.annotation.annotation import Annotations
from segwidget.annotation.formats.cvat_shapes import Shape, in_z_order, read_shape
from segwidget.annotation.formats.raster import watched
from segwidget.annotation.formats.registry import Imported
from segwidget.annotation.formats.shapes import CUT, image_of
from segwidget.annotation.formats.xml_file import whole
from segwidget.annotation.labels import LabelSet
from segwidget.errors import FormatError, SegwidgetError

_NAMED = 5  # frames that a sentence names


class _Seen(NamedTuple):
    """A shape of a track at a frame where it is seen.

    Attributes:
        track: the place of its track in the file.
        where: its own place, for messages.
        label: what it shows.
        element: of the shape.
    """

    track: int
    where: str
    label: str
    element: Element


def read_tracks(
    root: Element,
    file: str,
    labels: LabelSet | None,
    inputs: Mapping[str, dict[str, str]],
    sizes: Any,
    read: Imported,
) -> None:
    """Read all tracks of a file, frame by frame, where there are any.

    Args:
        root: of the file.
        file: its name, for messages.
        labels: of the file.
        inputs: the kinds of the labels' attributes.
        sizes: gives the size of an image by its name, has the `names` of all images in order, and
            its method `find` gives the name of the image that is called so, or None.
        read: gets a record for each frame that has annotations, and one sentence on what was taken
            and what was not, before those on single shapes.
    """
    tracks = root.findall("track")
    if not tracks:
        return
    problems: list[str] = []
    told = f"{file!r}: {len(tracks)} tracks of a video were"
    counts: Counter[str] = Counter()
    try:
        frames = _seen_by_frame(tracks, _steps(root)[1], counts, problems)
        image_at, how = _images(root, frames, sizes)
    except FormatError as error:
        read.problems.append(f"{told} left out: {error}")
        return
    failed: dict[int, list[str]] = defaultdict(list)
    unknown: list[int] = []
    records = []
    for frame in watched(sorted(frames), "CVAT"):
        name = image_at(frame)
        if name is None:
            unknown.append(frame)
            continue
        try:
            height, width = sizes(name)
            image = image_of(name, width, height)
        except SegwidgetError as error:
            problems.append(f"frame {frame}: its annotations were left out. {error}")
            continue
        found: list[Shape] = []
        for one in frames[frame]:
            try:
                shape = read_shape(
                    one.element, one.label, (height, width), inputs.get(one.label, {})
                )
            except SegwidgetError as error:
                failed[one.track].append(f"{one.where} was left out: {error}")
                continue
            if shape.cut:
                failed[one.track].append(f"{one.where} {CUT}")
            found.append(shape)
            keyframe = one.element.get("keyframe", "1") != "0"
            counts["keyframes" if keyframe else "between"] += 1
        if found:
            records.append(Annotations(in_z_order(found), image, labels))
    sentences = [
        f"{told} read as annotations of {len(records)} images, which were found by {how}: "
        f"{counts['keyframes']} shapes at keyframes, and {counts['between']} between them as CVAT "
        f"has interpolated them; {counts['outside']} that are outside of the picture were left out."
    ]
    if counts["silent"]:
        sentences.append(
            f"Of {counts['silent']} frames between others the file says nothing, and nothing was "
            "interpolated for them."
        )
    if unknown:
        more = ", …" if len(unknown) > _NAMED else ""
        sentences.append(
            f"{len(unknown)} frames have no image in the project, so their annotations were left "
            f"out: {', '.join(map(str, unknown[:_NAMED]))}{more}."
        )
    for texts in failed.values():  # a track that is no area is none at each of its frames
        more = f" So it is with {len(texts) - 1} more of this track." if len(texts) > 1 else ""
        problems.append(texts[0] + more)
    read.problems += [" ".join(sentences), *problems]
    read.records += records


def _seen_by_frame(
    tracks: Iterable[Element], step: int, counts: Counter[str], problems: list[str]
) -> dict[int, list[_Seen]]:
    """What is seen at each frame; how many shapes and frames are not is counted."""
    frames: dict[int, list[_Seen]] = defaultdict(list)
    for index, track in enumerate(tracks):
        label, before = track.get("label", ""), None
        for at, shape in enumerate(track):
            where = f"track[{index}].{shape.tag[:30]}[{at}]"
            try:
                frame = whole(shape.get("frame"), "frame")
            except FormatError as error:
                problems.append(f"{where} was left out: {error}")
                continue
            if before is not None:
                counts["silent"] += max(0, (frame - before) // step - 1)
            before = frame
            if shape.get("outside", "0") == "1":
                counts["outside"] += 1
                before = None  # it need not be seen again at once
            else:
                frames[frame].append(_Seen(index, where, label, shape))
    return frames


def _images(
    root: Element, frames: Iterable[int], sizes: Any
) -> tuple[Callable[[int], str | None], str]:
    """What gives the name of a frame's image, and how it finds it.

    Raises:
        FormatError: nothing tells which frame an image is.
    """
    names = getattr(sizes, "names", None)
    if names is None:
        raise FormatError(
            "only a project knows which image a frame is. Import the file with project.import_()."
        )
    named = {frame: sizes.find(f"frame_{frame:06d}") for frame in frames}
    if any(named.values()):
        return named.get, "their names, such as frame_000000"
    count = (root.findtext("meta/*/size") or "").strip()[:20]
    if count != str(len(names)):
        raise FormatError(
            f"the file says that its video has {count or 'some'} frames, but the project has "
            f"{len(names)} images, so their order does not tell which frame an image is. Name the "
            "images as CVAT does, frame_000000.png and so on."
        )
    start, step = _steps(root)

    def in_order(frame: int) -> str | None:
        place, rest = divmod(frame - start, step)
        return names[place] if rest == 0 and 0 <= place < len(names) else None

    return in_order, "their order"


def _steps(root: Element) -> tuple[int, int]:
    """The first frame of the video that a task has, and from one to the next."""
    start = re.fullmatch(r"\s*(\d{1,9})\s*", root.findtext("meta/*/start_frame") or "")
    step = re.search(r"step\s*=\s*([1-9]\d{0,8})", root.findtext("meta/*/frame_filter") or "")
    return int(start[1]) if start else 0, int(step[1]) if step else 1
