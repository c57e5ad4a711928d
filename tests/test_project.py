"""What holds for the project as a whole, whichever package one looks at."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest needs it there too
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PACKAGES = ("mambaout", "app")

# Imported by name, and not in requirements.txt because of a package there that chooses the version.
BROUGHT_ALONG = {
    "starlette": "gradio's server is built on it and chooses its version",
    "llvmlite": "numba compiles with exactly one version of it",
    "triton": "torch compiles with exactly one version of it, on Linux with CUDA",
    "pydantic": "gradio describes its interface with it and chooses its version",
    "typing_extensions": "pydantic's typed dictionaries before Python 3.12 are its",
    "torchvision": "timm's picture transforms are torchvision's; its version goes with torch's",
}

A_MACHINES_PATH = re.compile(
    r"(?<![\w.~$}/-])(?:/(?:root|home|Users|work|workspace|mnt|scratch)/|[A-Z]:\\Users\\)"
)
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK|TBD|lorem ipsum)\b")
A_PACKAGE_INDEX = re.compile(r"--(?:extra-)?index-url|--find-links|--trusted-host")


def settings():
    """What pyproject.toml tells the tools, by tool."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]


def sources(*folders):
    """The Python files below `folders`, which may also name a file, as paths from the root."""
    found = []
    for folder in map(ROOT.joinpath, folders):
        found += [folder] if folder.is_file() else sorted(folder.rglob("*.py"))
    return [path.relative_to(ROOT) for path in found]


def parsed(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def imported_modules(tree):
    """The dotted names that `tree` imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def imported_packages(*folders):
    """The top-level packages imported by the files below `folders`, each with one such file."""
    return {
        module.partition(".")[0]: str(path)
        for path in sources(*folders)
        for module in imported_modules(parsed(path))
    }


def normalised(distribution):
    """A distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def required(file):
    """The distributions named in a requirements file."""
    lines = (line.partition("#")[0] for line in (ROOT / file).read_text("utf-8").splitlines())
    return {normalised(re.match(r"[\w.-]+", line).group()) for line in lines if line.strip()}


@functools.cache
def installed_packages():
    """Which distributions each top-level package belongs to."""
    return metadata.packages_distributions()


def distributions_of(package):
    return set(map(normalised, installed_packages().get(package, [])))


def project_files():
    """Every file of a checkout that git does not ignore."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout, so nobody can say which files are the project's")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def text_of(path):
    """The text of a file, or nothing if it holds something else."""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode("utf-8")


@pytest.mark.parametrize(
    "pattern",
    [A_MACHINES_PATH, UNFINISHED, A_PACKAGE_INDEX],
    ids=["a machine's path", "unfinished", "a package index"],
)
def test_no_file_says_what_only_its_author_could_use(pattern):
    this_file = Path(__file__)  # it has to spell out what it looks for
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in project_files()
        if path != this_file
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line", ["open('/home/me/cat.jpg')", "see /root/X", r"C:\Users\me", '"/scratch/data/x.png"']
)
def test_a_machines_path_is_recognised(line):
    assert A_MACHINES_PATH.search(line)


@pytest.mark.parametrize(
    "line", ["https://example.org/home/x", "docs/work/x.md", "~/data/x", "$HOME/work/x", "/usr/bin"]
)
def test_a_path_that_everybody_has_is_left_alone(line):
    assert not A_MACHINES_PATH.search(line)


def test_what_the_library_and_the_page_import_is_required():
    own = {*PACKAGES, *sys.stdlib_module_names, *BROUGHT_ALONG}
    required_to_run = required("requirements.txt")
    undeclared = {
        package: file
        for package, file in imported_packages(*PACKAGES, "app.py").items()
        if package not in own and not distributions_of(package) & required_to_run
    }
    assert not undeclared


def test_what_is_required_to_run_is_imported():
    packages = imported_packages(*PACKAGES, "app.py")
    used = set().union(*map(distributions_of, packages))
    assert required("requirements.txt") <= used


def test_what_is_required_to_develop_is_imported_or_run():
    packages = imported_packages("tests")
    used = set().union(*map(distributions_of, packages))
    if "timeout" in settings()["pytest"]["ini_options"]:
        used.add("pytest-timeout")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    if "-n $(WORKERS) --dist" in makefile:
        used.add("pytest-xdist")
    commands = set(re.findall(r"\$\(bin\)/([\w-]+)", makefile))
    for distribution in required("requirements-dev.txt") - used:
        scripts = metadata.distribution(distribution).entry_points.select(group="console_scripts")
        program = {script.name for script in scripts} or {distribution}
        assert program & commands, f"nothing imports or runs {distribution}"


def test_every_package_is_installed():
    in_place = {
        ".".join(path.parent.parts) for path in sources(*PACKAGES) if path.name == "__init__.py"
    }
    setuptools = settings()["setuptools"]
    assert set(setuptools["packages"]) == in_place | set(setuptools["package-dir"])


def test_every_file_of_a_package_is_installed():
    setuptools = settings()["setuptools"]
    installed = {
        path
        for package, patterns in setuptools["package-data"].items()
        for pattern in patterns
        for path in (ROOT / setuptools["package-dir"].get(package, package)).glob(pattern)
    }
    folders = [ROOT / folder for folder in (*PACKAGES, *setuptools["package-dir"].values())]
    left_behind = [
        path.relative_to(ROOT)
        for path in project_files()
        if path.suffix != ".py"
        and any(folder in path.parents for folder in folders)
        and path not in installed
    ]
    assert not left_behind


def test_the_page_imports_its_own_modules_when_it_starts():
    """`gradio app.py` calls the script `app` too, and hides the package once it has started."""
    page = sources("app")
    assert page
    late = [
        f"{path}:{node.lineno} imports {module}"
        for path in page
        for function in ast.walk(parsed(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in imported_modules(node)
        if module.partition(".")[0] == "app"
    ]
    assert not late
