"""What must be true before gradio is imported, seen from fresh processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VARIABLES = (
    "GRADIO_TEMP_DIR",
    "GRADIO_ANALYTICS_ENABLED",
    "HF_HUB_DISABLE_TELEMETRY",
    "GOMP_SPINCOUNT",
)


def run(program, **environment):
    """The lines a fresh process prints, without the variables that this one has set."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT, env=inherited | environment, check=True, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert result.stderr == ""
    return result.stdout.splitlines()


def test_uploads_go_where_only_this_user_can_look_and_not_for_longer(tmp_path):
    program = (
        "import os, stat\n"
        "from app.environment import prepare\n"
        "uploads = prepare()\n"
        "(uploads / 'visitor.png').write_bytes(b'x')\n"
        "print(uploads, os.environ['GRADIO_TEMP_DIR'], oct(stat.S_IMODE(uploads.stat().st_mode)))\n"
        "assert prepare() == uploads\n"
    )
    (line,) = run(program, TMPDIR=str(tmp_path))
    uploads, variable, mode = line.split()
    assert uploads == variable
    assert Path(uploads).parent == tmp_path.resolve()
    if os.name == "posix":
        assert mode == "0o700"
    assert not Path(uploads).exists()


def test_two_pages_do_not_share_a_directory():
    program = "from app.environment import prepare\nprint(prepare())"
    assert run(program) != run(program)


def test_a_directory_that_was_chosen_is_kept(tmp_path):
    program = "from app.environment import prepare\nprint(prepare())"
    chosen = tmp_path / "uploads"
    chosen.mkdir(mode=0o755)
    assert run(program, GRADIO_TEMP_DIR=str(chosen)) == [str(chosen)]
    assert chosen.exists()
    assert stat.S_IMODE(chosen.stat().st_mode) == 0o755


def test_variables():
    program = (
        "import os\n"
        "from app.environment import prepare\n"
        "prepare()\n"
        f"for name in {VARIABLES[1:]}: print(os.environ[name])"
    )
    assert run(program) == ["False", "1", "20000"]
    chosen = {"GOMP_SPINCOUNT": "7", "GRADIO_ANALYTICS_ENABLED": "True"}
    assert run(program, **chosen) == ["False", "1", "7"]


def test_it_comes_before_what_it_sets_the_variables_for():
    program = (
        "import sys\n"
        "from app.environment import prepare\n"
        "prepare()\n"
        "print(sorted({'gradio', 'huggingface_hub', 'torch'} & set(sys.modules)))"
    )
    assert run(program) == ["[]"]


def test_too_late_is_an_error_and_not_a_shared_directory():
    program = (
        "import sys, types\n"
        "sys.modules['gradio'] = types.ModuleType('gradio')\n"
        "from app.environment import prepare\n"
        "try:\n"
        "    prepare()\n"
        "except RuntimeError as error:\n"
        "    print(error)\n"
    )
    (message,) = run(program)
    assert "before gradio is imported" in message


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_worker_that_ends_leaves_the_uploads_alone():
    program = (
        "import os, sys\n"
        "from app.environment import prepare\n"
        "uploads = prepare()\n"
        "worker = os.fork()\n"
        "if worker == 0:\n"
        "    sys.exit()\n"
        "os.waitpid(worker, 0)\n"
        "print(uploads.exists())\n"
    )
    assert run(program) == ["True"]
