"""Loading checkpoints: every layout in, every damage out, and no model touched by halves."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import pickle
import struct
import sys
import threading
import types
import zipfile
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from mambaout.errors import CheckpointError
from mambaout.models.checkpoints import CheckpointMismatch, load_checkpoint
from mambaout.models.fingerprints import looks_like
from tests.models.author_files import mambaout_tensors, saved, vim_release, vim_tensors


@pytest.fixture(scope="module")
def tensors():
    return vim_tensors()


@pytest.fixture
def vim():
    return timm.create_model("vim_atto").eval()


def write(path, content):
    path.write_bytes(content)
    return path


def snapshot(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def unchanged(model, before):
    return all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def loaded(model, tensors):
    state = model.state_dict()
    return all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


# ---------------------------------------------------------------- what fits is loaded


WRAPPINGS = {
    "bare": lambda t: t,
    "vim trainer": vim_release,
    "state_dict": lambda t: {"state_dict": t, "epoch": 3},
    "data parallel": lambda t: {"model": {f"module.{n}": v for n, v in t.items()}},
    "twice": lambda t: {"state_dict": {f"module.model.{n}": v for n, v in t.items()}},
    "backbone": lambda t: {
        "state_dict": {n if n.startswith("head") else f"backbone.{n}": v for n, v in t.items()}
    },
    "parameters": lambda t: {"model": {n: torch.nn.Parameter(v) for n, v in t.items()}},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".pth.tar", None])
def test_wrappings_of_authors_are_unwrapped(tmp_path, vim, tensors, wrapping, suffix):
    assert not loaded(vim, tensors)
    checkpoint = WRAPPINGS[wrapping](tensors)
    if suffix:
        checkpoint = write(tmp_path / f"weights{suffix}", saved(checkpoint))
    report = load_checkpoint(vim, checkpoint)
    assert loaded(vim, tensors)
    assert report.matched == report.total == len(tensors) == 143
    assert report.values == sum(t.numel() for t in tensors.values())
    if suffix:
        assert report.sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        assert str(report).startswith("143 of 143 tensors (")
        assert report.source == str(checkpoint)
    else:
        assert report.sha256 is None


@pytest.mark.parametrize("prefix", ["", "model."])
def test_safetensors(tmp_path, vim, tensors, prefix):
    path = tmp_path / "weights.safetensors"
    save_file({f"{prefix}{n}": t for n, t in tensors.items()}, path)
    assert load_checkpoint(vim, path).matched == 143
    assert loaded(vim, tensors)


@pytest.mark.parametrize("spelled", [b"\x80", b"PK", b" <"], ids=["pickle", "zip", "web page"])
def test_safetensors_whose_length_spells_another_format(tmp_path, vim, tensors, spelled):
    """Such a file begins with the length of its header, which may be any number."""
    path = tmp_path / "weights.safetensors"
    save_file(tensors, path)
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    length = int.from_bytes(spelled, "little")
    while length < end:
        length += 256 ** len(spelled)
    padded = length.to_bytes(8, "little") + content[8:end].ljust(length) + content[end:]
    assert padded.startswith(spelled)
    assert load_checkpoint(vim, write(path, padded)).matched == 143


def test_loaded_weights_decide_the_logits(vim, tensors):
    image = torch.randn(1, 3, 64, 64)
    other = timm.create_model("vim_atto").eval()
    with torch.inference_mode():
        assert not torch.equal(vim(image), other(image))
        load_checkpoint(vim, tensors)
        load_checkpoint(other, vim_release(tensors))
        assert torch.equal(vim(image), other(image))


def test_dictionary_is_left_as_it_was(vim, tensors):
    given = {f"module.{name}": tensor.clone() for name, tensor in tensors.items()}
    names = list(given)
    load_checkpoint(vim, given)
    with torch.no_grad():
        vim.head.bias.add_(1.0)
    assert list(given) == names
    assert torch.equal(given["module.head.bias"], tensors["head.bias"])


def test_mambaout_in_the_authors_names():
    model, other = timm.create_model("mambaout_atto"), timm.create_model("mambaout_atto")
    authors = mambaout_tensors(other)
    assert "downsample_layers.0.conv1.weight" in authors
    assert "stages.0.1.conv.weight" in authors
    assert not set(authors) & {"stem.conv1.weight", "head.fc.weight"}
    load_checkpoint(model, authors)
    assert loaded(model, other.state_dict())


def test_half_precision_is_widened(tmp_path, vim, tensors):
    path = tmp_path / "half.safetensors"
    save_file({name: tensor.half() for name, tensor in tensors.items()}, path)
    load_checkpoint(vim, path)
    assert vim.head.weight.dtype is torch.float32
    assert loaded(vim, {name: tensor.half().float() for name, tensor in tensors.items()})


def test_yacs_configuration_is_read_without_yacs(tmp_path, vim, tensors, monkeypatch):
    module = types.ModuleType("yacs.config")

    class CfgNode(dict):
        pass

    CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"
    module.CfgNode = CfgNode
    config = CfgNode(MODEL=CfgNode(TYPE="vssm", DROP=0.1), AMP=True)
    config.__dict__["__immutable__"] = True
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
        patch.setitem(sys.modules, "yacs.config", module)
        content = saved({"model": tensors, "config": config, "max_accuracy": 82.6})
    assert b"yacs.config" in content
    assert "yacs.config" not in sys.modules
    load_checkpoint(vim, write(tmp_path / "vssm.pth", content))
    assert loaded(vim, tensors)


def test_list_of_accepted_names_is_left_as_it_was(tmp_path, vim, tensors):
    path = write(tmp_path / "vim.pth", saved(vim_release(tensors)))
    with pytest.raises(pickle.UnpicklingError):  # without the list PyTorch refuses this file
        torch.load(path, weights_only=True)
    accepted = set(torch.serialization.get_safe_globals())
    assert argparse.Namespace not in accepted
    load_checkpoint(vim, path)
    assert set(torch.serialization.get_safe_globals()) == accepted
    with torch.serialization.safe_globals([argparse.Namespace]):
        load_checkpoint(vim, path)
        assert set(torch.serialization.get_safe_globals()) == accepted | {argparse.Namespace}


def test_files_read_at_the_same_time(tmp_path, tensors):
    path = write(tmp_path / "vim.pth", saved(vim_release(tensors)))
    models = [timm.create_model("vim_atto") for _ in range(4)]
    failures = []

    def load(model):
        try:
            load_checkpoint(model, path)
        except CheckpointError as error:
            failures.append(error)

    threads = [threading.Thread(target=load, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(loaded(model, tensors) for model in models)


# ---------------------------------------------------------------- what does not fit is named


def test_every_mismatch_is_named_and_nothing_is_loaded(vim, tensors):
    before = snapshot(vim)
    wrong = dict(tensors)
    del wrong["norm_f.weight"]
    wrong["head.scale"] = torch.ones(1)
    wrong["pos_embed"] = torch.ones(1, 730, 128)
    wrong["head.bias"] = torch.ones(24, dtype=torch.int64)
    with pytest.raises(CheckpointMismatch) as failure:
        load_checkpoint(vim, wrong)
    assert failure.value.missing == ("norm_f.weight",)
    assert failure.value.unexpected == ("head.scale",)
    assert failure.value.misshapen == (
        "pos_embed: (1, 730, 128) in the checkpoint, (1, 257, 128) in the model",
        "head.bias: (24,) int64 in the checkpoint, (24,) in the model",
    )
    text = str(failure.value)
    assert "140 of 143 tensors match. Nothing was loaded." in text
    for name in ("norm_f.weight", "head.scale", "pos_embed", "head.bias"):
        assert name in text
    assert "It looks like Vim (width 128, 8 layers, 730 tokens, 24 classes)" in text
    assert unchanged(vim, before)


def test_positions_are_not_stretched_to_fit(tensors):
    small = timm.create_model("vim_atto", img_size=32)
    before = snapshot(small)
    filtered = sys.modules[type(small).__module__].checkpoint_filter_fn(dict(tensors), small)
    assert filtered["pos_embed"].shape == small.pos_embed.shape  # timm would load this
    with pytest.raises(CheckpointMismatch) as failure:
        load_checkpoint(small, tensors)
    assert failure.value.misshapen == (
        "pos_embed: (1, 257, 128) in the checkpoint, (1, 65, 128) in the model",
    )
    assert unchanged(small, before)


def test_long_lists_are_shortened_in_the_message_alone(vim, tensors):
    wrong = {name: t for name, t in tensors.items() if not name.startswith("layers.3.")}
    with pytest.raises(CheckpointMismatch, match=r"missing \(17\):") as failure:
        load_checkpoint(vim, wrong)
    assert len(failure.value.missing) == 17
    assert "and 5 more" in str(failure.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_refused(vim, tensors, value):
    before = snapshot(vim)
    broken = {name: tensor.clone() for name, tensor in tensors.items()}
    broken["layers.7.mixer.D_b"][3] = value
    with pytest.raises(CheckpointError, match=r"not finite(?s:.)*layers\.7\.mixer\.D_b"):
        load_checkpoint(vim, broken)
    assert unchanged(vim, before)


def test_another_family_is_recognised(tensors):
    mambaout = timm.create_model("mambaout_atto")
    before = snapshot(mambaout)
    with pytest.raises(CheckpointMismatch, match=r"looks like Vim \(width 128, 8 layers"):
        load_checkpoint(mambaout, tensors)
    assert unchanged(mambaout, before)
    vim = timm.create_model("vim_atto")
    depths = "-".join(str(len(stage.blocks)) for stage in mambaout.stages)
    with pytest.raises(CheckpointError, match=rf"like MambaOut \(depths {depths}, 24 classes\)"):
        load_checkpoint(vim, mambaout.state_dict())
    with pytest.raises(CheckpointError, match=rf"like MambaOut \(depths {depths}, 24 classes\)"):
        load_checkpoint(vim, mambaout_tensors(mambaout))
    with pytest.raises(CheckpointError, match="no family known here"):
        load_checkpoint(vim, {"encoder.weight": torch.ones(2, 2)})


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("Vim", ["layers.0.mixer.A_b_log", "layers.0.mixer.A_log"]),
        ("LocalVim", ["layers.0.mixer.A_log_0", "layers.0.mixer.attn.norm.weight"]),
        ("VMamba (depths 1)", ["layers.0.blocks.0.op.x_proj_weight"]),
        ("VMamba (depths 1)", ["layers.0.blocks.0.self_attention.x_proj_weight"]),
        (
            "LocalVMamba (depths 1)",
            [
                "layers.0.blocks.0.op.x_proj_weight",
                "layers.0.blocks.0.op.multi_scan.attn.norm.bias",
            ],
        ),
        (
            "EfficientVMamba (depths 1)",
            ["layers.0.blocks.0.op.x_proj_weight", "layers.0.blocks.0.conv_branch.0.weight"],
        ),
        (
            "EfficientVMamba",
            ["layers.2.3.conv_dw.0.weight", "layers.1.blocks.0.conv_branch.0.bias"],
        ),
        ("PlainMamba", ["layers.0.mamba.direction_Bs", "layers.0.mamba.A_log"]),
        ("MambaVision (depths 1)", ["levels.2.blocks.0.mixer.conv1d_z.weight"]),
        ("EfficientViM (depths 1)", ["stages.0.blocks.0.mixer.BCdt_proj.conv.weight"]),
        ("MambaOut", ["downsample_layers.0.conv1.weight"]),
        ("ViT or DeiT", ["blocks.0.attn.qkv.weight"]),
        (None, ["conv1.weight", "layer1.0.conv1.weight"]),
    ],
)
def test_fingerprints(family, names):
    assert (looks_like({name: torch.ones(1) for name in names}) or "").startswith(family or "")
    assert (looks_like({name: torch.ones(1) for name in names}) is None) == (family is None)


def test_two_tensors_for_one_name(vim, tensors):
    twice = tensors | {"module.head.bias": tensors["head.bias"]}
    with pytest.raises(CheckpointError, match=r"two tensors for head\.bias"):
        load_checkpoint(vim, twice)


def test_model_without_memory(tensors):
    with torch.device("meta"):
        model = timm.create_model("vim_atto")
    with pytest.raises(CheckpointError, match="meta device"):
        load_checkpoint(model, tensors)


@pytest.mark.parametrize(
    ("checkpoint", "reason"),
    [
        ({}, "no dictionary of tensors found"),
        ({"model": {"epoch": 3}}, "It holds 'model'"),
        ({"model": {3: torch.ones(1)}}, "no dictionary of tensors found"),
        ({"head.bias": torch.ones(24).to_sparse()}, r"head\.bias is not an ordinary dense tensor"),
        ({"head.bias": torch.ones(24, device="meta")}, r"head\.bias is not an ordinary"),
    ],
)
def test_dictionaries_without_weights(vim, checkpoint, reason):
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(vim, checkpoint)


# ---------------------------------------------------------------- hostile and damaged files


class Bomb:
    """Runs a program when it is unpickled: creates a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


class SystemBomb(Bomb):
    def __reduce__(self):
        import os

        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("bomb", [Bomb, SystemBomb])
@pytest.mark.parametrize("name", ["evil.pth", "evil.ckpt", "evil.safetensors"])
def test_programs_in_a_file_do_not_run(tmp_path, vim, tensors, bomb, name):
    trace = tmp_path / "it_ran"
    content = saved({"model": tensors, "args": bomb(trace)})
    torch.load(io.BytesIO(content), weights_only=False)
    assert trace.exists()  # the file does what it is feared for
    trace.unlink()
    before = snapshot(vim)
    refusal = "a pickle with the ending" if name.endswith("safetensors") else "asks for .* refused"
    with pytest.raises(CheckpointError, match=refusal):
        load_checkpoint(vim, write(tmp_path / name, content))
    assert not trace.exists()
    assert unchanged(vim, before)


@pytest.mark.parametrize("name", ["evil.pth", "evil.safetensors"])
def test_bare_pickles_are_not_opened(tmp_path, vim, name):
    trace = tmp_path / "it_ran"
    content = pickle.dumps(Bomb(trace))
    pickle.loads(content)
    assert trace.exists()
    trace.unlink()
    with pytest.raises(CheckpointError, match="not opened"):
        load_checkpoint(vim, write(tmp_path / name, content))
    assert not trace.exists()


def test_files_of_old_pytorch_are_not_opened(tmp_path, vim, tensors):
    path = tmp_path / "old.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"since PyTorch 1\.6"):
        load_checkpoint(vim, path)


@pytest.mark.parametrize("share", [0.0001, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_that_were_cut_off(tmp_path, vim, tensors, share, suffix):
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".pth":
        whole.write_bytes(saved(vim_release(tensors)))
    else:
        save_file(tensors, whole)
    load_checkpoint(vim, whole)
    before = snapshot(vim)
    content = whole.read_bytes()
    path = write(tmp_path / f"cut{suffix}", content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="download it again"):
        load_checkpoint(vim, path)
    assert unchanged(vim, before)


def test_damaged_pickle_inside_a_sound_container(tmp_path, vim, tensors):
    generator = torch.Generator().manual_seed(0)
    source = zipfile.ZipFile(io.BytesIO(saved(vim_release(tensors))))
    entries = {info.filename: source.read(info) for info in source.infolist()}
    pickled = next(name for name in entries if name.endswith("data.pkl"))
    refused = 0
    for attempt in range(40):
        damaged = bytearray(entries[pickled])
        for at in torch.randint(len(damaged), (20,), generator=generator).tolist():
            damaged[at] = int(torch.randint(256, (1,), generator=generator))
        path = tmp_path / f"{attempt}.pth"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as container:
            for name, content in entries.items():
                container.writestr(name, bytes(damaged) if name == pickled else content)
        try:
            load_checkpoint(vim, path)
        except CheckpointError:
            refused += 1
    assert refused >= 35  # a few changes hit nothing that is read


def header(claim, text=b"{}", data=b""):
    return struct.pack("<Q", claim) + text + data


HOSTILE_HEADERS = {
    "header of 10 GB": header(10 * 1024**3),
    "header of 2**63 bytes": header(1 << 63),
    "not JSON": header(8, b"not json"),
    "list": header(2, b"[]"),
    "no tensors": header(2, b"{}"),
    "only a length": struct.pack("<Q", 64),
    "tensor of 10 GB": None,
    "offsets backwards": None,
    "shape larger than its bytes": None,
}


def tensor_header(shape, offsets, data=b"\0" * 96):
    text = json.dumps({"head.bias": {"dtype": "F32", "shape": shape, "data_offsets": offsets}})
    return header(len(text), text.encode(), data)


HOSTILE_HEADERS["tensor of 10 GB"] = tensor_header([2560, 1024, 1024], [0, 10 * 1024**3])
HOSTILE_HEADERS["offsets backwards"] = tensor_header([24], [96, 0])
HOSTILE_HEADERS["shape larger than its bytes"] = tensor_header([1 << 40], [0, 96])


@pytest.mark.parametrize("kind", HOSTILE_HEADERS)
def test_hostile_safetensors_headers(tmp_path, vim, kind):
    before = snapshot(vim)
    path = write(tmp_path / "hostile.safetensors", HOSTILE_HEADERS[kind])
    with pytest.raises(CheckpointError, match=r"not a complete safetensors file|holds no tensors"):
        load_checkpoint(vim, path)
    assert unchanged(vim, before)


def test_tensor_that_claims_more_than_it_stores(tmp_path, vim, tensors):
    huge = torch.zeros(1).expand(1 << 40)
    content = saved({"model": tensors | {"head.bias": huge}})
    assert len(content) < 8 << 20
    with pytest.raises(CheckpointError, match=r"claims 4,398,046,511,104 bytes and stores 4"):
        load_checkpoint(vim, write(tmp_path / "huge.pth", content))


def test_compressed_container(tmp_path, vim):
    source = zipfile.ZipFile(io.BytesIO(saved({"model": {"x": torch.zeros(1 << 20)}})))
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as container:
        for info in source.infolist():
            container.writestr(info.filename, source.read(info))
    assert path.stat().st_size < 16384
    with pytest.raises(CheckpointError, match=r"compressed after torch\.save"):
        load_checkpoint(vim, path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.pth", b"", "is empty"),
        ("pointer.safetensors", b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        ("page.pth", b"\n<!DOCTYPE html><html>Not found", "is a web page"),
        ("notes.txt", b"hello", r"ending in \.safetensors"),
        ("number.pth", None, "found float"),
    ],
)
def test_files_of_other_kinds(tmp_path, vim, name, content, reason):
    path = write(tmp_path / name, saved(1.5) if content is None else content)
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(vim, path)


def test_no_file(tmp_path, vim):
    for path in (tmp_path / "absent.pth", tmp_path):
        with pytest.raises(CheckpointError, match="There is no weight file at"):
            load_checkpoint(vim, path)
