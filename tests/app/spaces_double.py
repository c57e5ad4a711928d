"""What the package `spaces` does on ZeroGPU, as far as a page sees it, without a GPU.

As its release 0.51 does: one forked process for each decorated function, kept for the next call;
arguments go there pickled, and what the function yields comes back pickled; it runs in a thread of
its own, in a context of its own; what it raises comes back as the name of its class, in a
`gradio.Error`. Stricter in one respect: whatever belongs to torch may not cross, on any device.
"""

from __future__ import annotations

import contextvars
import io
import multiprocessing
import pickle
import threading

import gradio as gr
import torch

FORK = multiprocessing.get_context("fork")

calls = []  # the seconds that each call asked for
refusing = []  # not empty: nothing is lent


class Crossing(pickle.Pickler):
    """Pickles what may go from one process to the other."""

    def reducer_override(self, value):
        if isinstance(value, torch.Tensor | torch.nn.Module):
            raise pickle.PicklingError(f"a {type(value).__name__} would cross")
        return NotImplemented


def packed(value):
    data = io.BytesIO()
    Crossing(data).dump(value)
    return data.getvalue()


class Worker:
    """The process with the GPU."""

    def __init__(self, function):
        self.here, there = FORK.Pipe()
        self.process = FORK.Process(target=self._serve, args=(function, there), daemon=True)
        self.process.start()

    @staticmethod
    def _serve(function, there):
        def steps(arguments):
            try:
                for step in function(*arguments):
                    there.send_bytes(packed(("step", step)))
            except Exception as error:  # noqa: BLE001 - whatever it is, the page hears of it
                there.send_bytes(packed(("error", type(error).__name__)))
            else:
                there.send_bytes(packed(("end", None)))

        while True:
            arguments = pickle.loads(there.recv_bytes())
            context = contextvars.Context()
            thread = threading.Thread(target=context.run, args=(steps, arguments))
            thread.start()
            thread.join()


def GPU(*, duration):  # noqa: N802 - as it is called there
    def decorate(function):
        workers = []

        def run(*arguments):
            calls.append(duration(*arguments))
            if refusing:
                raise gr.Error("You have exceeded your GPU quota", title="ZeroGPU quota exceeded")
            if not workers:
                workers.append(Worker(function))
            workers[0].here.send_bytes(packed(arguments))
            while True:
                kind, value = pickle.loads(workers[0].here.recv_bytes())
                if kind == "error":
                    raise gr.Error(value, title="ZeroGPU worker error")
                if kind == "end":
                    return
                try:
                    yield value
                except GeneratorExit:  # there it is asked to stop, and ends with its next step
                    workers.pop().process.kill()
                    raise

        return run

    return decorate
