"""A visitor's page without a browser: the requests that gradio's script would make, and no more."""

from __future__ import annotations

import contextlib
import json
import uuid

from tests.app.serving import Caller

API = "/gradio_api"


class RawVisitor(Caller):
    """One open page: its session, what is chosen on it, and the stream of what happens to it."""

    def __init__(self, address, patience=240):
        super().__init__(address, patience)
        self.session = uuid.uuid4().hex[:10]
        config = self.http.get(f"{address}/config").json()
        self.events = config["dependencies"]
        self.parts = {part["id"]: part["props"] for part in config["components"]}

    def press(self, name="run", **chosen):
        """Press a button; what is `chosen` by the ids of elements goes along.

        The number of the event's function, and its id.
        """
        [button] = [part for part, props in self.parts.items() if props.get("elem_id") == name]
        [event] = [event for event in self.events if [button, "click"] in event["targets"]]
        body = {
            "data": [self._value(part, chosen) for part in event["inputs"]],
            "fn_index": event["id"],
            "session_hash": self.session,
            "trigger_id": button,
            "event_data": None,
        }
        answer = self.http.post(f"{self.address}{API}/queue/join", json=body)
        answer.raise_for_status()
        return event["id"], answer.json()["event_id"]

    def _value(self, part, chosen):
        name = self.parts[part].get("elem_id")
        return chosen.get(name, self.parts[part].get("value"))

    @contextlib.contextmanager
    def stream(self):
        """The messages of the session, one by one; leaving it hangs up."""
        address = f"{self.address}{API}/queue/data?session_hash={self.session}"
        with self.http.stream("GET", address) as answer:
            yield (
                json.loads(line.removeprefix("data: "))
                for line in answer.iter_lines()
                if line.startswith("data: ")
            )

    def cancel(self, function, event):
        """What "Stop" does."""
        body = {"session_hash": self.session, "fn_index": function, "event_id": event}
        return self.http.post(f"{self.address}{API}/cancel", json=body)

    def compare(self, image, name="picture.png", **chosen):
        """Upload a picture, press "Compare", and wait for how that ends."""
        file = self.upload(image, name)
        self.press(picture=file, **chosen)
        with self.stream() as messages:
            return next(m for m in messages if m["msg"] == "process_completed")
