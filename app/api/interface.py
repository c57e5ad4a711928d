"""The endpoints as plain functions: a picture and choices in, one JSON value out.

Their docstrings are what clients and language models read.
"""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from app.api import schema
from app.leaving import still_awaited
from app.results import picture_digest
from app.store import DEFAULT_PAIR, ModelStore
from mambaout.catalogue.bundled import trained_mixing
from mambaout.catalogue.mixing import Mixing
from mambaout.errors import MambaOutError
from mambaout.evaluation.asking import answer, patch_reads
from mambaout.evaluation.comparison_report import PictureFacts, Report, as_dict
from mambaout.evaluation.said import Answered

MIXINGS: tuple[Mixing, Mixing] = ("bidirectional", "causal")
NO_PICTURE = "A picture is needed: upload one first, and name its path."


class Interface:
    """What programs may ask of the page's models."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    def classify(
        self,
        picture: Image.Image | None,
        model: str = DEFAULT_PAIR[0],
        mixing: Mixing = "bidirectional",
        count: int = 5,
    ) -> schema.Classification:
        """Say what one model sees on a picture.

        Args:
            picture: The picture: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF.
            model: The name of a model, as the endpoint "models" lists them.
            mixing: "bidirectional", or "causal": the same weights, looking back only.
            count: How many classes to return, the most probable ones.

        Returns:
            The most probable classes with their probabilities.
        """
        chosen = _given(picture)
        said = self._answer(model, chosen, mixing).said
        facts = PictureFacts.of(chosen)
        return {
            "model": model,
            "mixing": mixing,
            "device": self._store.get(model).device,
            "picture": {"sha256": facts.sha256, "width": facts.width, "height": facts.height},
            "classes": [
                {
                    "key": said.vocabulary.keys[index],
                    "label": said.vocabulary.labels[index],
                    "probability": float(said.probabilities[index]),
                }
                for index in said.best(count)
            ],
        }

    def compare(
        self,
        picture: Image.Image | None,
        left: str = DEFAULT_PAIR[0],
        right: str = DEFAULT_PAIR[1],
        mixing: Mixing = "bidirectional",
        method: str = "gradcam",
    ) -> schema.Report:
        """Ask two models about one picture: what each sees, where it looks, what its scan holds.

        Args:
            picture: The picture: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF.
            left: The name of one model, as the endpoint "models" lists them.
            right: The name of the other one.
            mixing: "bidirectional", or "causal": the same weights, looking back only.
            method: How heat maps are made.

        Returns:
            The answers "left" and "right" and their difference. A model that cannot answer is under
            "missing" with the reason.
        """
        chosen = _given(picture)
        answers: list[Answered] = []
        missing: dict[str, str] = {}
        for side, name in (("left", left), ("right", right)):
            try:
                found = self._answer(name, chosen, mixing, method, scan=True)
            except MambaOutError as reason:
                missing[side] = str(reason)
            else:
                answers.append(replace(found, id=side))
        if not answers:
            raise MambaOutError(" ".join(missing.values()))
        return self._report(chosen, {"mixing": mixing, "method": method}, answers, missing=missing)

    def mixing(
        self,
        picture: Image.Image | None,
        model: str = DEFAULT_PAIR[1],
        method: str = "gradcam",
    ) -> schema.Report:
        """Ask one model twice: with token mixers that look both ways, and that only look back.

        Args:
            picture: The picture: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF.
            model: The name of a model, as the endpoint "models" lists them.
            method: How heat maps are made.

        Returns:
            The answers "bidirectional" and "causal" of the same weights, and their difference.
        """
        chosen = _given(picture)
        answers = [
            replace(self._answer(model, chosen, each, method, scan=True), id=each)
            for each in MIXINGS
        ]
        return self._report(chosen, {"model": model, "method": method}, answers)

    def token_reads(
        self,
        picture: Image.Image | None,
        model: str = DEFAULT_PAIR[1],
        mixing: Mixing = "bidirectional",
        layer: str = "",
        measure: str = "jacobian",
        row: int | None = None,
        column: int | None = None,
    ) -> schema.Reads:
        """Show what one patch of a picture reads from all others, in one layer of a model.

        Args:
            picture: The picture: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF.
            model: The name of a model, as the endpoint "models" lists them.
            mixing: "bidirectional", or "causal": the same weights, looking back only.
            layer: The name of a layer; empty for the last one. The answer lists all names.
            measure: "jacobian", for every model, or "scan", for models with a selective scan.
            row: The row of the reading patch, from 0 at the top; empty for the middle.
            column: Its column, from 0 at the left; empty for the middle.

        Returns:
            A value for every patch, row by row, with their unit and what they leave out.
        """
        chosen = _given(picture)
        loaded = self._store.get(model)
        found = self._store.results.get(
            ("patch reads", model, picture_digest(chosen), mixing, layer, measure, row, column),
            lambda: patch_reads(
                loaded,
                chosen,
                mixing,
                layer=layer or None,
                measure=measure,
                row=row,
                column=column,
            ),
        )
        reads: schema.Reads = found.as_dict()  # type: ignore[assignment]
        return reads

    def models(self) -> schema.Models:
        """List every model on offer, with its size, its licence and whether its weights are here.

        Returns:
            One entry per model; "name" is what the other endpoints take.
        """
        return {
            "models": [
                {
                    "name": card.name,
                    "title": card.title,
                    "family": card.family,
                    "mixer": card.mixer,
                    "has_scan": card.has_scan,
                    "parameters": card.params,
                    "multiply_adds": card.macs,
                    "top1_percent": card.top1,
                    "classes": card.classes,
                    "data": card.data,
                    "pixels": card.input_size[1],
                    "licence": card.licence,
                    "trained_mixing": trained_mixing(card.name),
                    "weights": card.weights.state,
                    "why_unavailable": card.weights.reason
                    if card.weights.state == "unavailable"
                    else "",
                }
                for card in self._store.cards()
            ]
        }

    def _answer(
        self,
        name: str,
        picture: Image.Image,
        mixing: Mixing,
        method: str | None = None,
        *,
        scan: bool = False,
    ) -> Answered:
        still_awaited()
        loaded = self._store.get(name)
        return self._store.results.get(
            ("answered", name, picture_digest(picture), mixing, method, scan),
            lambda: answer(
                loaded, picture, mixing, name, method, scan=scan, progress=still_awaited
            ),
        )

    def _report(
        self,
        picture: Image.Image,
        options: dict[str, str],
        answers: list[Answered],
        missing: dict[str, str] | None = None,
    ) -> schema.Report:
        report = Report(
            picture=PictureFacts.of(picture),
            options=options,
            device=self._store.get(answers[0].name).device,
            answers=answers,
            pairs=[(answers[0].id, answers[1].id)] if len(answers) == 2 else [],
            missing=missing or {},
        )
        found: schema.Report = as_dict(report)  # type: ignore[assignment]
        return found


def _given(picture: Image.Image | None) -> Image.Image:
    if picture is None:
        raise MambaOutError(NO_PICTURE)
    return picture
