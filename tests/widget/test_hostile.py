"""Ten thousand hostile messages: nothing is raised, nothing kept is lost, nothing piles up."""

import copy
import gc
import json
import random
import threading

import psutil
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segwidget.inference.prompts import Point
from segwidget.widget.binding import MAX_SHOWN
from segwidget.widget.intents import INTENTS

from .conftest import HEIGHT, PATIENCE, WIDTH, Page

MESSAGES = 10_000
VARIANTS = 8  # of each message that Hypothesis draws, which takes longer than sending it
WARM_UP = 2_000
GROWTH = 150 << 20  # bytes of memory after the warm-up; Hypothesis remembers what it has drawn

# Words that are replaced when a message is sent.
KEPT, REQUEST = "<the id of something kept>", "<the request that is answered>"

# After these the page may find fewer annotations, and only those that were named or undone.
TAKES_BACK = {"undo", "redo"}

HTML = "<img src=x onerror=alert(1)>"
HUGE = [2**31, -(2**63), 10**30, 10**400, -1, 0]
texts = st.sampled_from(
    [
        *["", " ", "car", "person", KEPT, REQUEST, HTML, "\0", "\ud800", "\udfff mask", "🦥" * 99],
        *["x" * 10_000, "../../etc/passwd", "{}", "\u202eabc", "line\nline", "__class__", "0" * 32],
    ]
)
numbers = st.one_of(
    st.integers(-3, 100),
    st.floats(-10, WIDTH + 10),
    st.sampled_from([*HUGE, float("nan"), float("inf"), -float("inf"), 1e300, -0.0, True, False]),
)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


LARGE = [
    nested(200),
    list(range(2_000)),
    ["a"] * 2_000,
    {str(i): i for i in range(500)},
    [[1.5, 2.5]] * 2_000,
    [{"type": "point", "x": 1, "y": 1, "label": 1}] * 500,
]
POOL = [
    *[None, True, 0, 3, -1, 1.5, 10**30, float("nan"), -float("inf"), "", "car", KEPT, REQUEST],
    *[HTML, "\ud800", [KEPT], [KEPT, KEPT], [[1, 2], [3, 4]], [[[]]], {}, {"op": "undo"}, *LARGE],
]
leaves = st.one_of(st.none(), numbers, numbers, texts, texts, st.sampled_from(LARGE))
junk = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
xs, ys = st.integers(0, WIDTH).map(float), st.integers(0, HEIGHT).map(float)
corners = st.tuples(xs, ys).map(list)
boxes = st.tuples(xs, ys, xs, ys).map(list)
wrong_rles = st.fixed_dictionaries(
    {"size": st.sampled_from([[HEIGHT, WIDTH], [10**9, 10**9], [0, 0], [-1, 5]]), "counts": texts}
)
prompts = st.one_of(
    st.builds(lambda x, y, to: {"type": "point", "x": x, "y": y, "label": to}, xs, ys, numbers),
    st.builds(lambda x, y: {"type": "point", "x": x, "y": y, "label": 1}, xs, ys),
    boxes.map(lambda b: dict(zip(("type", "x0", "y0", "x1", "y1"), ("box", *b), strict=True))),
    st.builds(
        lambda p, t: {"type": "polygon", "points": p, "tolerance": t},
        st.lists(corners, max_size=6),
        numbers,
    ),
    wrong_rles.map(lambda rle: {"type": "mask", "rle": rle}),
    junk,
)
dialogues = st.lists(prompts, max_size=3)
names = st.one_of(st.sampled_from([KEPT, "car", REQUEST, "0" * 32, "ab" * 16]), texts)

# What would be right for a field, by its name or by its kind.
BY_NAME = {
    "prompts": dialogues,
    "picks": st.lists(st.integers(0, 3), max_size=3),
    "points": st.lists(corners, max_size=5),
    "boxes": st.lists(boxes, max_size=5),
    "box": boxes,
    "ids": st.lists(names, max_size=3),
    "id": names,
    "request": st.just(REQUEST) | texts,
    "picked": st.integers(-1, 5),
    "how": st.sampled_from(["add", "subtract", "intersect", ""]),
    "to": st.sampled_from(["front", "back", "forward", "backward", ""]),
    "kind": st.sampled_from(["pca", "attention", ""]),
    "settings": st.fixed_dictionaries(
        {"points_per_side": st.sampled_from([1, 2, -1, 10**9, "2", None])}, optional={"x": junk}
    ),
}
BY_KIND = {
    str: names,
    int: st.integers(-1, 5),
    float: numbers,
    bool: st.booleans(),
    list: st.lists(names, max_size=3),
    dict: st.dictionaries(texts, junk, max_size=2),
}


def fields_of(op):
    """An intent with fields that are right, wrong, or missing."""
    fields = {name.rstrip("?"): kind for name, kind in INTENTS[op][1].items()}
    right = {n: BY_NAME.get(n, BY_KIND.get(k, boxes)) for n, k in fields.items()}
    wrong = {n: junk | value for n, value in right.items()}
    return st.one_of(
        st.fixed_dictionaries({"op": st.just(op), **right}),
        st.fixed_dictionaries({"op": st.just(op)}, optional=wrong),
    )


intents = st.sampled_from(sorted(INTENTS)).flatmap(fields_of)
custom = st.one_of(intents, intents, junk).map(lambda c: {"method": "custom", "content": c})


def states(seg):
    """Values for the traits that a page may write, for others, and for what is no trait."""
    names = st.sampled_from([*seg.keys, "_lock", "comm", "made_in", "__class__", "", HTML])
    clicks = st.fixed_dictionaries(
        {"prompts": dialogues, "request": st.sampled_from(["p-1", "p-2", "p-3"]) | texts},
        optional={"picked": numbers, "label": texts},
    )
    return st.one_of(clicks, clicks, st.dictionaries(names, junk, max_size=3))


def updates(seg):
    paths = st.just([]) | st.lists(st.just(["prompts"]) | st.just(["prompts", 0, "x"]), max_size=1)
    return st.builds(
        lambda state, paths: {"method": "update", "state": state, "buffer_paths": paths},
        states(seg),
        paths,
    )


malformed = st.one_of(
    junk,
    st.fixed_dictionaries(
        {}, optional={"method": texts, "state": junk, "buffer_paths": junk, "content": junk}
    ),
    st.sampled_from(
        ["update", "custom", "request_state", "request_states", "close", "echo_update"]
    ).map(lambda method: {"method": method}),
)


def varied(data, chance):
    """A message with one thing in it left out or replaced by something drawn elsewhere."""
    data = copy.deepcopy(data)
    part = data
    if isinstance(data, dict):
        inner = data.get("content") or data.get("state")
        part = inner if isinstance(inner, dict) and inner else data
    if isinstance(part, dict) and part:
        name = chance.choice(sorted(part))
        if chance.random() < 0.2:
            del part[name]
        elif name != "op" or chance.random() < 0.1:
            part[name] = chance.choice(POOL)
    return data


def replaced(value, words):
    """A message with the words for what exists just now put in."""
    if isinstance(value, str):
        return words.get(value, value)
    if isinstance(value, list) and len(value) < 100:
        return [replaced(inner, words) for inner in value]
    if isinstance(value, dict) and len(value) < 100:
        return {key: replaced(inner, words) for key, inner in value.items()}
    return value


class Attack:
    """Sends, and checks after each message what holds for every one."""

    def __init__(self, seg):
        self.seg, self.page, self.count = seg, Page(seg), 0
        self.process = psutil.Process()

    def send(self, data, buffers):
        before = {a.id for a in self.seg.annotations}
        words = {KEPT: next(iter(sorted(before)), KEPT), REQUEST: self.seg.request}
        data = replaced(data, words)
        # Jupyter's own decoding takes NaN, giant integers and halves of surrogate pairs.
        received = json.loads(json.dumps(data))
        self.seg.comm.handler({"content": {"data": received}, "buffers": buffers})
        content = data.get("content") if isinstance(data, dict) else None
        op = content.get("op") if isinstance(content, dict) else None
        if not (isinstance(op, str) and op in TAKES_BACK):
            lost = before - {a.id for a in self.seg.annotations}
            named = (content.get("ids") if op == "delete" else None) or []
            assert all(lost_id in named for lost_id in lost), "something kept is lost"
        self.count += 1
        if self.count % 100 == 0:
            self.settle()

    def settle(self):
        """Let the threads finish, keep something, and look at what may pile up."""
        seg = self.seg
        seg.cancel_everything()
        assert seg.wait(PATIENCE)
        assert len(seg._shown) <= MAX_SHOWN
        assert [a["id"] for a in self.page["annotations"]] == [a.id for a in seg.annotations]
        self.page.comm.sent.clear()
        seg.leave_region()
        if len(seg.annotations) > 30:
            seg.annotations = seg.annotations[-3:]
        if len(seg.labels) > 50:
            seg.labels = ["car", "person"]
        if len(seg.annotations) < 3:
            seg.prompts = [Point(20 + self.count % 40, 30)]
            seg.keep("car" if "car" in seg.labels.names else None)

    def memory(self):
        gc.collect()
        return self.process.memory_info().rss


def test_ten_thousand_hostile_messages(seg, caplog):
    attack = Attack(seg)
    attack.settle()
    buffers = st.sampled_from([[], [b""], [memoryview(b"ab" * 500)], [b"x"] * 5])

    def rounds(count):
        @settings(
            max_examples=count // VARIANTS,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.one_of(custom, custom, updates(seg), malformed), buffers, st.integers(0, 2**32))
        def attacked(data, buffers, seed):
            attack.send(data, buffers)
            chance = random.Random(seed)
            for _ in range(VARIANTS - 1):
                attack.send(varied(data, chance), buffers)

        attacked()

    rounds(WARM_UP)
    before, threads = attack.memory(), threading.active_count()
    rounds(MESSAGES - WARM_UP)
    attack.settle()
    assert attack.count >= MESSAGES
    assert caplog.messages == []  # ipywidgets logs what it catches
    assert attack.memory() - before < GROWTH
    assert threading.active_count() <= threads + 1

    page = attack.page
    page.do("clear")
    page.do("leave_region")
    page.set(label=seg.labels.names[0])
    count = len(seg.annotations)
    page.set(prompts=[{"type": "point", "x": 40, "y": 30, "label": 1}], request="the last click")
    assert seg.wait(PATIENCE)
    assert page["candidates"]["request"] == "the last click"
    page.do("keep", request="the last click", picked=0)
    assert len(page["annotations"]) == count + 1
