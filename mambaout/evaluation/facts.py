"""Write down what every model on offer is: `python -m mambaout.evaluation.facts`.

Writes `facts.json` of `mambaout.catalogue`, from timm's registry and the networks themselves. Takes
a minute or two, and no weights.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace

import timm
import torch
from timm.data import infer_imagenet_subset
from timm.models import model_entrypoint

from mambaout.catalogue.cards import FAMILIES
from mambaout.catalogue.facts import FACTS_FILE, Declared
from mambaout.catalogue.published import PUBLISHED
from mambaout.evaluation.counting import cost
from mambaout.models.mixing import why_no_causal_form
from mambaout.models.weights import declared_weights

_DATA = {"imagenet-1k": "ImageNet-1k", "imagenet-12k": "ImageNet-12k"}


def names() -> list[str]:
    """Our families' models with weights; of timm's, those that a paper compares with."""
    return [
        name
        for name in timm.list_models(pretrained=True)
        if (module := _module(name)) in FAMILIES
        and (module.startswith("mambaout.") or name in PUBLISHED)
    ]


def facts(name: str) -> Declared:
    """Everything about one model, which is built without memory for it."""
    found = declared(name)
    with torch.device("meta"):
        model = timm.create_model(name)
    return replace(
        found,
        params=sum(parameter.numel() for parameter in model.parameters()),
        # Those of a miniature are on the card beside its weights.
        macs=cost(model, found.input_size).macs if name in PUBLISHED else None,
        no_causal_form=why_no_causal_form(model),
    )


def declared(name: str) -> Declared:
    """What the family declares, without what only the network tells."""
    cfg = declared_weights(name)
    return Declared(
        name=name,
        module=_module(name),
        num_classes=cfg.num_classes,
        data=_data(name, cfg.num_classes),
        input_size=cfg.input_size,
        license=cfg.license or "",
        params=0,
        file=cfg.file,
        hf_hub_id=cfg.hf_hub_id,
        hf_hub_filename=cfg.hf_hub_filename,
        url=cfg.url if isinstance(cfg.url, str) else None,
    )


def main() -> None:
    """Write the facts of all models, one a line."""
    lines = [f"  {json.dumps(name)}: {json.dumps(_entry(facts(name)))}" for name in names()]
    FACTS_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _entry(known: Declared) -> dict[str, object]:
    """Without the name, which is the key, and without what is as by default."""
    values = asdict(known)
    return {
        field.name: values[field.name]
        for field in fields(known)
        if field.name != "name" and values[field.name] != field.default
    }


def _module(name: str) -> str:
    return model_entrypoint(name.partition(".")[0]).__module__


def _data(name: str, classes: int) -> str:
    subset = infer_imagenet_subset({"num_classes": classes})
    if subset in _DATA:
        return _DATA[subset]
    dataset = "Tiny-ImageNet" if ".tiny_imagenet" in name else "an unnamed set"
    return f"{classes} classes of {dataset}"


if __name__ == "__main__":
    main()
