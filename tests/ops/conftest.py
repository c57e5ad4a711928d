"""Where Triton's kernels run: on a GPU or, where there is none, in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def triton_device(monkeypatch):
    """The device for tensors that Triton's kernels are given."""
    pytest.importorskip("triton", reason="torch brings Triton on Linux only")
    if torch.cuda.is_available():
        return torch.device("cuda")
    from triton.runtime import interpreter

    # Each call of a function inside a kernel makes the interpreter exchange all of triton.language
    # anew, which takes ten times as long as what is called. Once a launch is enough.
    exchanged = set()
    launch = interpreter.InterpretedFunction.run

    def run(self, *args, **kwargs):
        exchanged.clear()
        return launch(self, *args, **kwargs)

    def call(self, *args, **kwargs):
        module = self.fn.__module__
        if module not in exchanged:
            exchanged.add(module)
            interpreter._patch_lang(self.fn)
        return self.rewrite()(*args, **kwargs)

    monkeypatch.setattr(interpreter.InterpretedFunction, "run", run)
    monkeypatch.setattr(interpreter.InterpretedFunction, "__call__", call)
    return torch.device("cpu")
