"""Bulk runs on a Ray cluster of two workers."""

import logging
import os
import warnings
from collections import Counter

import psutil
import pytest
from PIL import Image as PILImage

from segwidget.engine.prelabel import prelabel, read_manifest, read_prelabels
from segwidget.errors import ModelError
from segwidget.inference.everything import EverythingSettings

ACTOR = "RayPrelabeler"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own, of many kinds, on its way up and down
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def cluster():
    """Two cores, so two workers of one thread each; nothing is told to anybody."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray = pytest.importorskip("ray")
        data = pytest.importorskip("ray.data")

        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=100 << 20,
        )
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        yield ray
        ray.shutdown()


def workers():
    return [
        process
        for process in psutil.process_iter(["cmdline", "ppid"])
        if any(ACTOR in word for word in process.info["cmdline"] or ())
        and psutil.Process() in process.parents()
    ]


def pictures(folder, count):
    folder.mkdir()
    for i in range(count):
        PILImage.new("RGB", (60, 40), (30, 40, 5 * i)).save(folder / f"{i:03}.png")
    (folder / "bad.png").write_text("not a picture")
    return folder


def test_a_worker_is_killed_half_way_and_nothing_is_lost_or_twice(tmp_path, cluster):
    count, killed = 16, []
    folder, out = pictures(tmp_path / "in", count), tmp_path / "out"

    def kill(report):
        if report.done >= 2 and not killed:
            found = workers()
            assert len(found) == 2
            found[0].kill()
            killed.append((found[0].pid, report.done))

    report = prelabel(
        folder,
        out,
        settings=EverythingSettings(points_per_side=1),
        engine="ray",
        workers=2,
        threads=1,
        shard_size=2,
        on_progress=kill,
    )
    assert len(killed) == 1
    assert killed[0][1] < count
    assert (report.done, report.found) == (count, 0)
    assert [key for key, _ in report.skipped] == ["bad.png"]
    names = Counter(f"{i:03}.png" for i in range(count))
    assert Counter(a.image.name for a in read_prelabels(out)) == names
    assert Counter(key for line in read_manifest(out) for key in line["images"]) == names
    assert not list(out.glob(".*.part"))
    # The other engine finds it all done.
    again = prelabel(folder, out, settings=EverythingSettings(points_per_side=1))
    assert (again.done, again.found) == (0, count + 1)


def test_what_an_actor_cannot_go_on_from_arrives_as_what_it_is(tmp_path, cluster):
    with pytest.raises(ModelError, match="nonsense"):
        prelabel(
            pictures(tmp_path / "in", 1),
            tmp_path / "out",
            engine="ray",
            workers=1,
            threads=1,
            device="nonsense",
        )
