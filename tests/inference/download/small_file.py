"""A published file of 300 kB, and what is found of it in the cache folder."""

import hashlib
import random
from dataclasses import replace

from segwidget.inference.registry import MODELS

CONTENT = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)


def row_of(content, url, name="vit_b"):
    """The row of a published model, as if its file were this one."""
    return replace(
        MODELS[name], url=url, size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )


def part(row):
    return row.path.with_name(f"{row.file_name}.part")


def leave(row, content):
    """Leave a part as an earlier download would."""
    row.path.parent.mkdir(parents=True, exist_ok=True)
    part(row).write_bytes(content)


def assert_here(row, content=CONTENT):
    """The file is here, and nothing else but its lock."""
    assert row.path.read_bytes() == content
    assert {p.name for p in row.path.parent.iterdir()} <= {row.file_name, f".{row.file_name}.lock"}
