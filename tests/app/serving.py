"""The page as it is launched, in this process, and asked over HTTP as programs ask it."""

from __future__ import annotations

import contextlib
import io
import json

import httpx

from app.ui import build_demo, launch_kwargs
from tests.free_port import free_port

META = {"_type": "gradio.FileData"}


@contextlib.contextmanager
def launched(store):
    """The address of a page over `store`."""
    demo = launched.demo = build_demo(store)
    arguments = launch_kwargs("127.0.0.1") | {"quiet": True, "ssr_mode": False}
    # A port of our own: gradio's search for one leaves a socket behind for each that is taken.
    _, address, _ = demo.launch(prevent_thread_lock=True, server_port=free_port(), **arguments)
    try:
        yield address.rstrip("/")
    finally:
        demo.close()


def png(picture):
    """A picture as the bytes of a PNG file."""
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()


class Caller:
    """One client of a page, without any library for it: two requests per call, as with curl."""

    def __init__(self, address, patience=240):
        self.address = address
        self.http = httpx.Client(timeout=patience)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.http.close()

    def upload(self, data, name="picture.png"):
        """What an endpoint takes for a picture."""
        answer = self.http.post(f"{self.address}/gradio_api/upload", files={"files": (name, data)})
        answer.raise_for_status()
        return {"path": answer.json()[0], "meta": META}

    def call(self, endpoint, *values):
        """How a call ended, "complete" or "error", and its value or sentence."""
        url = f"{self.address}/gradio_api/call/{endpoint}"
        begun = self.http.post(url, json={"data": [*values]})
        if begun.status_code != 200:
            return str(begun.status_code), begun.text
        end = self.http.get(f"{url}/{begun.json()['event_id']}").text
        event, data = end.strip().split("\n\n")[-1].split("\n", 1)
        value = json.loads(data.removeprefix("data: "))
        event = event.removeprefix("event: ")
        return (event, value[0]) if event == "complete" else (event, value)
