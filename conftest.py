"""What holds for every test and for the notebooks when they are run as tests."""

import os
import shutil
import signal
import tempfile


def pytest_configure(config):
    """Keep tests, and all processes that they start, out of the user's own cache."""
    folder = tempfile.mkdtemp(prefix="segwidget-cache-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["SEGWIDGET_CACHE"] = folder
    # A shell ignores Ctrl+C for what it runs in the background, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
