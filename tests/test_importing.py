"""What importing the library costs, and what it does for timm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mambaout
import mambaout.evaluation
import mambaout.explain

ROOT = Path(__file__).parents[1]
COSTLY = {"gradio", "matplotlib", "numba", "pytorch_grad_cam", "sklearn", "timm", "torch"}
VIM = "timm.create_model('vim_tiny_patch16_224')"


def silently(*lines):
    """Run a program in a fresh interpreter, in which every warning is an error."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(lines)],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_importing_the_library_imports_nothing_costly():
    silently(
        "import mambaout, sys",
        "from mambaout.catalogue.cards import offered",
        "from mambaout.pictures import open_picture",
        "assert len(offered()) > 60",
        "assert offered()[0].weights.state == 'bundled'",
        f"costly = {COSTLY} & set(sys.modules)",
        "assert not costly, costly",
    )


def test_the_models_need_no_page_and_no_explainer_and_leave_torch_as_it_was():
    silently(
        "import sys, torch",
        "def settings():",
        "    return torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()",
        "before = settings()",
        "import mambaout.models, mambaout.explain",
        "mambaout.with_mixing, mambaout.explain.scan_trace, mambaout.evaluation.cost",
        "assert settings() == before, settings()",
        "unwanted = {'gradio', 'matplotlib', 'pytorch_grad_cam', 'sklearn'} & set(sys.modules)",
        "assert not unwanted, unwanted",
    )


@pytest.mark.parametrize(
    "imports",
    [
        ("import mambaout", "import timm"),
        ("import timm", "import mambaout"),
        ("import mambaout.models.staged", "import timm"),
    ],
    ids="; ".join,
)
def test_timm_knows_the_families_whichever_is_imported_first(imports):
    silently(*imports, f"assert type({VIM}).__module__ == 'mambaout.models.vim'")


def test_asking_whether_timm_is_there_changes_nothing():
    """As packages do that can do without it."""
    silently(
        "import importlib.util, mambaout, sys",
        "assert importlib.util.find_spec('timm').origin.endswith('__init__.py')",
        "assert 'timm' not in sys.modules",
        "import importlib.resources, timm.layers",
        VIM,
        # Whoever looks at the module finds timm's own loader.
        "assert not timm.__spec__.loader.__class__.__module__.startswith('mambaout')",
        "assert timm.__loader__ is timm.__spec__.loader",
        "assert importlib.resources.files('timm').joinpath('version.py').is_file()",
    )


AT_ONCE = """
import threading
import mambaout

PROGRAMS = (
    "import timm; timm.create_model('vim_tiny_patch16_224')",
    "from timm import create_model; create_model('vmamba_tiny_s1l8')",
    "import timm.layers, timm; timm.create_model('vim_tiny_patch16_224')",
)
wrong = []
start = threading.Barrier(len(PROGRAMS))

def run(program):
    start.wait()
    try:
        exec(program, {})
    except BaseException as error:
        wrong.append(f"{program}: {error!r}")

threads = [threading.Thread(target=run, args=(program,)) for program in PROGRAMS]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not wrong, wrong
"""


def test_threads_that_import_timm_at_once_all_have_the_models():
    silently(AT_ONCE)


@pytest.mark.parametrize("package", [mambaout, mambaout.evaluation, mambaout.explain])
def test_every_public_name_is_there_and_nothing_else(package):
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match=f"{package.__name__}.*no_such_name"):
        _ = package.no_such_name


@pytest.mark.parametrize("package", [mambaout.evaluation, mambaout.explain])
def test_no_public_name_hides_behind_a_module_of_that_name(package):
    modules = {path.stem for path in Path(package.__file__).parent.glob("*.py")}
    assert not modules & set(package.__all__)
