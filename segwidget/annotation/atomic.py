"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from os import PathLike
from pathlib import Path

from segwidget.errors import StoreError


def write_atomically(path: str | PathLike[str], data: bytes) -> Path:
    """Write a file through a temporary one beside it, which then takes its name.

    At any moment, also after a crash, the path holds either what was there before or all of
    `data`. A symbolic link keeps pointing to the file that is written.

    Returns:
        The path as it was given.

    Raises:
        StoreError: the folder is missing or cannot be written, or the disk is full; what was
            there before is untouched.
    """
    given = Path(path)
    try:
        target = Path(os.path.realpath(given))
        if target.is_dir():
            raise StoreError(f"{str(given)!r} is a folder; expected the name of a file in it.")
        if not target.parent.is_dir():
            raise StoreError(
                f"{str(given)!r} cannot be written: there is no folder {str(given.parent)!r}. "
                "Create it first, or check the spelling."
            )
        # Not tempfile's functions: their files are for the owner's eyes only.
        temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.part")
        try:
            with temporary.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            if target.exists():
                temporary.chmod(target.stat().st_mode & 0o777)
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        if isinstance(error, StoreError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise StoreError(
            f"{str(given)!r} cannot be written: {reason}. What was there before is untouched; "
            "choose another place, or make room."
        ) from error
    return given
