"""npm for `js/`, run by the Node that also builds the package: ``python .ci/npm.py test``."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hatch_build import find_npm  # noqa: E402

command, environment = find_npm()
sys.exit(subprocess.call([*command, "--prefix", str(ROOT / "js"), *sys.argv[1:]], env=environment))
