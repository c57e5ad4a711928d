"""Build the page and launch it: `python app.py`, with `--help` for what can be chosen."""

from __future__ import annotations

import argparse
import os
import sys
import threading

from app import environment


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; None for that of this process."""
    parser = argparse.ArgumentParser(description="MambaOut beside visual Mamba, live.")
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 7860 or the next)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where models run"
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of answers: auto takes bfloat16 where it is faster and changes none (default)",
    )
    parser.add_argument("--offline", action="store_true", help="never download weights")
    return parser.parse_args(arguments)


chosen = options() if __name__ == "__main__" else options([])
if chosen.offline:
    os.environ["HF_HUB_OFFLINE"] = "1"
environment.prepare()

# After the environment that gradio and the Hub's client read while they are imported.
from app import gpu  # noqa: E402
from app.store import ModelStore  # noqa: E402
from app.ui import build_demo, launch_kwargs  # noqa: E402
from app.warm_up import warm_up  # noqa: E402
from mambaout.errors import MambaOutError  # noqa: E402

# Where a GPU is lent by the call, the page itself has none.
lent = environment.gpu_is_lent()
store = ModelStore(
    "cpu" if lent else chosen.device,
    precision="float32" if lent else chosen.precision,
    offline=chosen.offline,
)
if chosen.device in {"cuda", "mps"}:  # the CPU is always there
    try:
        _ = store.device
    except MambaOutError as error:
        sys.exit(str(error))
demo = build_demo(store)
if lent:
    gpu.preload(store)

if __name__ == "__main__":
    demo.launch(server_port=chosen.port, prevent_thread_lock=True, **launch_kwargs(chosen.host))
    # Now that the page answers: what is imported for the models takes longer than all before.
    threading.Thread(target=warm_up, args=(store, demo), daemon=True).start()
    demo.block_thread()
