"""What the families tell timm about themselves is complete, and true of the networks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import timm
import torch
from timm.models import get_arch_pretrained_cfgs, model_entrypoint
from torch import nn

import mambaout.models
from tests.contract.families import SMALL, architectures, family

FOLDER = Path(mambaout.models.__file__).parent
DECLARED = {
    name: declared
    for architecture in architectures()
    for name, declared in get_arch_pretrained_cfgs(architecture).items()
}
WITH_WEIGHTS = set(timm.list_models(pretrained=True))


def imports(file):
    """The files of `mambaout.models` that one of them imports, without their ending."""
    found = set()
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.ImportFrom) and node.module == "mambaout.models":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package, _, name = node.module.rpartition(".")
            found |= {name} if package == "mambaout.models" else set()
    return found


def registers(file):
    """What decorators of ``file`` register its functions with, such as "register_model"."""
    decorators = [
        decorator
        for node in parsed(file).body
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
    ]
    return {ast.unparse(d).removesuffix(".register") for d in decorators} - {"cache"}


def parsed(file):
    return ast.parse((FOLDER / f"{file}.py").read_text(encoding="utf-8"))


def test_importing_the_package_imports_every_family_by_name():
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "__main__"}
    by_name = imports("__init__")
    families = {file for file in files if "register_model" in registers(file)}
    assert len(families) > 5
    assert families <= by_name
    assert families <= set(mambaout.models.__all__)
    reached, ahead = set(), {"__init__"}
    while ahead:
        reached |= ahead
        ahead = set().union(*map(imports, ahead)) & files - reached
    forgotten = {file for file in files - reached if registers(file) - {"singledispatch"}}
    assert not forgotten


def test_public_names_are_there():
    public = set(mambaout.models.__all__)
    assert all(hasattr(mambaout.models, name) for name in public)
    assert {"load_checkpoint", "fetch_weights", "offered", "class_labels", "with_mixing"} < public


def test_every_family_is_in_the_contract():
    assert {family(name) for name in architectures()} == set(SMALL)


@pytest.mark.parametrize("file", SMALL)
def test_no_family_is_filed_under_one_of_timms(file):
    """timm lists models by the last part of the module's name: two of one name are one to it."""
    modules = {model_entrypoint(name).__module__ for name in timm.list_models(module=file)}
    assert modules == {f"mambaout.models.{file}"}


@pytest.mark.parametrize("name", DECLARED)
def test_declaration_is_complete(name):
    declared = DECLARED[name]
    assert declared.license in {"apache-2.0", "mit", "cc-by-nc-sa-4.0"}
    assert declared.paper_name
    assert declared.paper_ids.startswith("arXiv:")
    assert 0 < declared.crop_pct <= 1
    assert declared.crop_mode in {"center", "squash"}
    assert declared.interpolation == "bicubic"
    assert all(0 < value < 1 for value in (*declared.mean, *declared.std))
    assert len(declared.mean) == len(declared.std) == declared.input_size[0] == 3


@pytest.mark.parametrize("name", DECLARED)
def test_weights_have_one_source_or_are_not_offered(name):
    declared = DECLARED[name]
    sources = [s for s in (declared.file, declared.hf_hub_id, declared.url) if s]
    assert len(sources) == (name in WITH_WEIGHTS)
    if declared.file:
        assert declared.file == f"{name}.safetensors"
    else:
        assert declared.origin_url.startswith("https://")
    if declared.hf_hub_id:
        assert len(declared.hf_hub_id.split("/")) == 2
        assert declared.hf_hub_filename.endswith((".safetensors", ".pth", ".ckpt"))
    if declared.url:
        assert declared.url.startswith("https://")
        assert declared.url.endswith((".pth", ".ckpt"))


@pytest.mark.parametrize("name", DECLARED)
def test_declaration_is_true_of_the_network(name):
    declared = DECLARED[name]
    with torch.device("meta"):
        model = timm.create_model(name)
    assert model.pretrained_cfg.get("tag") == declared.tag
    first = model.get_submodule(declared.first_conv)
    assert isinstance(first, nn.Conv2d)
    assert first.in_channels == declared.input_size[0]
    classifier = model.get_submodule(declared.classifier)
    assert isinstance(classifier, nn.Linear)
    assert classifier is model.get_classifier()
    assert classifier.out_features == declared.num_classes == model.num_classes
    if declared.pool_size:
        reduction = model.feature_info[-1]["reduction"]
        assert [side * reduction for side in declared.pool_size] == [*declared.input_size[1:]]
