"""What holds for every test."""

import os


def pytest_configure():
    """Keep no embeddings on disk, so that tests do not find each other's; some turn it on."""
    os.environ["SEGWIDGET_EMBEDDINGS_MAX_BYTES"] = "0"
