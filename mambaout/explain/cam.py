"""Class activation maps through pytorch-grad-cam, on the token grid and in their own unit.

pytorch-grad-cam (Gildenblat et al., github.com/jacobgil/pytorch-grad-cam, MIT) computes the maps.
This file decides what it is given and what is kept of its answer:

- a view of the model on frozen aliases of its weights, because the package hooks the model it is
  given, switches it to eval mode and empties `.grad` of its parameters;
- a graph that starts at the target layer: what comes before it is computed and not differentiated;
- `TokenGrid.to_nchw`, because the package takes (b, h, w, c) for (b, c, h, w) without complaint and
  takes the class token for the first;
- the raw map: the package stretches every map to [0, 1] and to the picture's size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mambaout.errors import ExplanationError
from mambaout.explain.base import Explanation, check_picture, find_tokens, lay_out
from mambaout.models import TokenGrid, share_weights


def _positive_part(values: np.ndarray) -> np.ndarray:
    return values.clip(min=0)


def _unchanged(values: np.ndarray) -> np.ndarray:
    return values


def _largest_positive(values: np.ndarray) -> np.ndarray:
    return -values if -values.min() > values.max() else values


@dataclass(frozen=True)
class CamMethod:
    """One way to a map: the class in pytorch-grad-cam, and how to read its numbers."""

    title: str
    library_class: str  # its name in `pytorch_grad_cam`
    unit: str
    finish: Callable[[np.ndarray], np.ndarray]  # the last step of the method's own formula
    signed: bool
    caveat: str
    per_class: bool = True


METHODS: dict[str, CamMethod] = {
    # Selvaraju et al. 2017, arXiv:1610.02391, eq. 1 and 2.
    "gradcam": CamMethod(
        title="Grad-CAM",
        library_class="GradCAM",
        unit="logit, by gradients averaged over the grid",
        finish=_positive_part,
        signed=False,
        caveat="Each channel has one weight for the whole picture, so a place may light up that "
        "did not change the logit. Evidence against the class is left out.",
    ),
    # Draelos & Carin 2020, arXiv:2011.08891: the rectification is left to who draws it.
    "hirescam": CamMethod(
        title="HiResCAM",
        library_class="HiResCAM",
        unit="logit, to first order",
        finish=_unchanged,
        signed=True,
        caveat="Exact where the logit is linear in this layer, a first-order estimate elsewhere.",
    ),
    # Chattopadhay et al. 2018, arXiv:1710.11063, eq. 10 and 19.
    "gradcam++": CamMethod(
        title="Grad-CAM++",
        library_class="GradCAMPlusPlus",
        unit="logit, by reweighted positive gradients summed over the grid",
        finish=_positive_part,
        signed=False,
        caveat="Its weights are derived for an exponential of the logit and for activations that "
        "are never negative. Here activations may be negative.",
    ),
    # Jiang et al. 2021, doi:10.1109/TIP.2021.3089943, eq. 6 to 8.
    "layercam": CamMethod(
        title="LayerCAM",
        library_class="LayerCAM",
        unit="logit, by positive gradients only",
        finish=_positive_part,
        signed=False,
        caveat="Places where less of a feature would raise the logit are left out.",
    ),
    # Muhammad & Yeasin 2020, arXiv:2008.00299. Centred before the decomposition, as the package
    # does; a principal direction has no sign of its own, so the larger end is made positive.
    "eigencam": CamMethod(
        title="EigenCAM",
        library_class="EigenCAM",
        unit="activation, along the first principal direction",
        finish=_largest_positive,
        signed=True,
        caveat="The same for every class: it shows what varies most in this layer. "
        "Which end is positive is a convention.",
        per_class=False,
    ),
}


def grad_cam(
    model: nn.Module,
    image: Tensor,
    class_index: int | None = None,
    layer: str | None = None,
    method: str = "gradcam",
) -> Explanation:
    """Which places of a picture speak for a class, seen from one layer of ``model``.

    ``model`` is left as it was found, and several threads may explain it at the same time. The map
    is that of pytorch-grad-cam before it is scaled and resized. With gradients g and activations a
    at the layer's tokens p and channels c: Grad-CAM is relu(Σ_c mean_p(g) a), HiResCAM Σ_c g a,
    LayerCAM relu(Σ_c relu(g) a). Where a target is the input of a token mixer, the map shows what
    that mixer makes of its tokens, without what passes it by on the residual path.

    Args:
        model: a classifier whose family has said where it keeps its tokens (`token_grid`).
        image: one normalised picture, (1, c, H, W).
        class_index: the class to explain, 0 … num_classes-1; None for the model's first choice.
        layer: one of ``token_grid(model).targets``; None for its default.
        method: a key of `METHODS`.

    Returns:
        The map on the layer's token grid, the class token left out.

    Raises:
        ExplanationError: there is no such method, layer or class; the model's tokens are not on a
            grid; the map is zero everywhere or not finite. The text says which.
    """
    chosen, tokens, layer = _checked(model, image, class_index, layer, method)
    view = _frozen_view(model)
    target = view.get_submodule(layer)
    # Before the package's hooks, which then see what this one returns.
    target.register_forward_hook(lambda _module, _args, output: output.detach().requires_grad_())

    def logit(logits: Tensor) -> Tensor:
        return logits[logits.argmax() if class_index is None else class_index]

    # A caller may have switched gradients off for its own forward passes.
    with torch.inference_mode(False), torch.enable_grad():
        cam = _raw(chosen.library_class)(view, [target], reshape_transform=partial(lay_out, tokens))
        # Not `with cam:`, which prints an IndexError and goes on.
        try:
            values = cam(image.detach(), [logit])[0]
            first_choice = int(cam.outputs[0].argmax())
        finally:
            cam.activations_and_grads.release()
    if chosen.per_class:
        class_index = first_choice if class_index is None else class_index
    else:
        class_index = None
    return Explanation(
        values=_finished(values, chosen, layer, class_index),
        unit=chosen.unit,
        signed=chosen.signed,
        method=method,
        layer=layer,
        class_index=class_index,
        caveat=chosen.caveat,
    )


def _checked(
    model: nn.Module, image: Tensor, class_index: int | None, layer: str | None, method: str
) -> tuple[CamMethod, TokenGrid, str]:
    """The method, the model's tokens and the layer's name, once all that was asked for exists."""
    if method not in METHODS:
        raise ExplanationError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    tokens = find_tokens(model)
    layer = tokens.default_target if layer is None else layer
    if layer not in tokens.targets:
        raise ExplanationError(f"layer must be one of {', '.join(tokens.targets)}, got {layer!r}")
    classes: Any = model.num_classes
    if not classes:
        raise ExplanationError(f"{type(model).__name__} has no classifier: its num_classes is 0")
    if class_index is not None and not 0 <= class_index < classes:
        raise ExplanationError(f"class_index must be 0 to {classes - 1}, got {class_index}")
    check_picture(image)
    return METHODS[method], tokens, layer


def _frozen_view(model: nn.Module) -> nn.Module:
    """A view of ``model`` on aliases of its parameters: the same memory, frozen, no `.grad`."""
    view = share_weights(model)
    for module in view.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(weight.detach(), requires_grad=False))
    return view


class _Raw:
    """Mixed into a class of pytorch-grad-cam: the map as its formula gives it.

    `BaseCAM` rectifies a map, stretches it to [0, 1] and to the picture's size in
    `compute_cam_per_layer`, and stretches the mean of all layers' maps in
    `aggregate_multi_layers`. Here is one layer, and neither is done.
    """

    activations_and_grads: Any
    get_cam_image: Any
    target_layers: list[nn.Module]

    def compute_cam_per_layer(
        self,
        input_tensor: Tensor,
        targets: list[Callable[[Tensor], Tensor]],
        eigen_smooth: bool,
    ) -> np.ndarray:
        activations, gradients = (
            kept[0].float().numpy() if kept else None
            for kept in (
                self.activations_and_grads.activations,
                self.activations_and_grads.gradients,
            )
        )
        [target_layer] = self.target_layers
        values: np.ndarray = self.get_cam_image(
            input_tensor, target_layer, targets, activations, gradients, eigen_smooth
        )
        return values

    def aggregate_multi_layers(self, cam_per_target_layer: np.ndarray) -> np.ndarray:
        return cam_per_target_layer


@cache
def _raw(library_class: str) -> Any:
    """A class of pytorch-grad-cam with `_Raw` mixed in."""
    import pytorch_grad_cam

    return type(f"Raw{library_class}", (_Raw, getattr(pytorch_grad_cam, library_class)), {})


def _finished(
    values: np.ndarray, method: CamMethod, layer: str, class_index: int | None
) -> np.ndarray:
    """The map in float32, after the last step of its formula.

    Raises:
        ExplanationError: it is not finite, or zero everywhere.
    """
    if not np.isfinite(values).all():
        raise ExplanationError(
            f"the {method.title} map of {layer} holds values that are infinite or not a number: "
            "check the model's weights"
        )
    finished = method.finish(values).astype(np.float32)
    if finished.any():
        return finished
    if values.any():
        reason = f"every place counts against class {class_index}; hirescam shows evidence against"
    elif method.per_class:
        reason = f"no place of this layer changes the logit of class {class_index}"
    else:
        reason = "all places of this layer are the same"
    raise ExplanationError(f"the {method.title} map of {layer} is zero everywhere: {reason}")
