"""What must be set before the first import of gradio or torch, so neither is imported here.

gradio and torch read these variables once, while they are imported.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path


def gpu_is_lent() -> bool:
    """Whether this machine's GPU is lent by the call: asked as the package `spaces` asks itself."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in {"1", "t", "true"}


def prepare() -> Path:
    """Set the environment of the page; called by ``app.py`` before it imports anything else.

    Visitors' pictures go to a directory that only this user can open, and that is removed when the
    process ends. gradio's own choice is one directory for every gradio program on the machine,
    from which each of them serves the uploads of the others. A ``GRADIO_TEMP_DIR`` that is set
    already is kept, so that a second call changes nothing.

    Returns:
        The directory of the uploads.

    Raises:
        RuntimeError: gradio was imported before, and has chosen its directory.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    # How long OpenMP's threads wait busily for their next task. The default, 300,000 turns, makes
    # two requests at once slower than one after the other.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    uploads = _private_uploads()
    if gpu_is_lent():
        import_module("spaces")  # before anything looks for a GPU; it imports gradio and torch
    return uploads


def _private_uploads() -> Path:
    uploads = os.environ.get("GRADIO_TEMP_DIR")
    if uploads:
        return Path(uploads)
    if "gradio" in sys.modules:
        raise RuntimeError(
            "expected app.environment.prepare() to be called before gradio is imported, "
            "but gradio is imported and has chosen its directory for uploads: "
            "move the call to the top of the program"
        )
    private = Path(tempfile.mkdtemp(prefix="mambaout-uploads-")).resolve()  # mode 0700
    os.environ["GRADIO_TEMP_DIR"] = str(private)
    atexit.register(_remove, private, os.getpid())
    return private


def _remove(directory: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a forked worker, while the page goes on
        shutil.rmtree(directory, ignore_errors=True)
