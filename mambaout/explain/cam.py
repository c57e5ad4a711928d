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

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mambaout.errors import ExplanationError, Sentence
from mambaout.explain.base import Explanation, check_picture, find_tokens, lay_out
from mambaout.explain.cam_methods import METHODS, CamMethod
from mambaout.explain.views import lent_view
from mambaout.models import TokenGrid, share_weights

_PIXELS = 2**19  # of the masked pictures that the model sees at a time: ten of 224 x 224


def grad_cam(
    model: nn.Module,
    image: Tensor,
    class_index: int | None = None,
    layer: str | None = None,
    method: str = "gradcam",
    *,
    versus: int | None = None,
    max_masks: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> Explanation:
    """Which places of a picture speak for a class, seen from one layer of ``model``.

    ``model`` is left as it was found, and several threads may explain it at the same time. The map
    is that of pytorch-grad-cam before it is scaled and resized. With gradients g and activations a
    at the layer's tokens p and channels c: Grad-CAM is relu(Σ_c mean_p(g) a), HiResCAM Σ_c g a,
    LayerCAM relu(Σ_c relu(g) a). Where a target is the input of a token mixer, the map shows what
    that mixer makes of its tokens, without what passes it by on the residual path.

    Gradient methods cost one forward pass and the way back to the layer. "scorecam" costs a forward
    pass for each mask; its masks are the ``max_masks`` channels that vary most over the picture,
    because a channel that is the same everywhere masks nothing, and 768 passes would take minutes.

    Args:
        model: a classifier whose family has said where it keeps its tokens (`token_grid`).
        image: one normalised picture, (1, c, H, W).
        class_index: the class to explain, 0 … num_classes-1; None for the model's first choice.
        layer: one of ``token_grid(model).targets``; None for its default.
        method: a key of `METHODS`.
        versus: explain why the class rather than this one: the difference of their logits, in
            place of the logit. For "finercam", None is the likeliest class but for the one
            explained.
        max_masks: for "scorecam", the number of channels tried, at least 1.
        progress: for "scorecam", called with the number of masks tried and that of all; what it
            raises ends the work.

    Returns:
        The map on the layer's token grid, the class token left out.

    Raises:
        ExplanationError: there is no such method, layer or class; the model's tokens are not on a
            grid; the map is zero everywhere or not finite. The text says which.
    """
    chosen, tokens, layer = _checked(model, image, class_index, layer, method, versus)
    if max_masks < 1:
        raise ExplanationError(f"max_masks must be at least 1, got {max_masks}")
    asked = _Asked(class_index, versus, chosen.contrast)

    # A caller may have switched gradients off for its own forward passes.
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        lent_view(model, _frozen_view) as view,
    ):
        target = view.get_submodule(layer)
        # Before the package's hooks, which then see what this one returns.
        cut = target.register_forward_hook(_starts_a_graph)
        cam = _raw(chosen.library_class)(
            _Still(view), [target], reshape_transform=partial(lay_out, tokens)
        )
        cam.max_masks, cam.progress = max_masks, progress
        # Not `with cam:`, which prints an IndexError and goes on.
        try:
            values = cam(image.detach(), [asked])[0]
        finally:
            cam.activations_and_grads.release()
            cut.remove()
    caveat = chosen.caveat
    if chosen.masks and cam.tried < cam.of_channels:
        tried = Sentence(
            "Tried were {tried} of {channels} channels, those that vary most.",
            tried=cam.tried,
            channels=cam.of_channels,
        )
        caveat = Sentence.joined(caveat, tried)
    return Explanation(
        values=_finished(values, chosen, layer, asked),
        unit=chosen.unit
        if asked.versus is None or chosen.contrast
        else Sentence("Δ {unit}", unit=chosen.unit),
        signed=chosen.signed,
        method=method,
        layer=layer,
        class_index=asked.class_index if chosen.per_class else None,
        caveat=caveat,
        versus=asked.versus,
    )


def _starts_a_graph(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
    return output.detach().requires_grad_()


class _Asked:
    """What is explained, as pytorch-grad-cam asks for it: a number from one picture's logits.

    What was left to the model is decided at the first call, which is on the picture itself.
    """

    def __init__(self, class_index: int | None, versus: int | None, contrast: bool) -> None:
        self.class_index, self.versus, self.contrast = class_index, versus, contrast

    def __call__(self, logits: Tensor) -> Tensor:
        if self.class_index is None:
            others = logits.clone() if self.versus is None else _without(logits, self.versus)
            self.class_index = int(others.argmax())
        if self.versus is None and self.contrast:
            self.versus = int(_without(logits, self.class_index).argmax())
        logit = logits[self.class_index]
        # Not the package's weights for several rivals: they are quotients of probabilities with
        # 1e-9 added, and vanish where a single rival is less likely than that.
        return logit if self.versus is None else logit - logits[self.versus]

    @property
    def named(self) -> Sentence:
        """Which class it is, and which other one it is set against."""
        if self.versus is None:
            return Sentence("class {index}", index=self.class_index)
        return Sentence(
            "class {index} rather than class {rival}", index=self.class_index, rival=self.versus
        )


def _without(logits: Tensor, index: int) -> Tensor:
    return logits.detach().index_fill(0, torch.tensor(index, device=logits.device), -torch.inf)


def _checked(
    model: nn.Module,
    image: Tensor,
    class_index: int | None,
    layer: str | None,
    method: str,
    versus: int | None,
) -> tuple[CamMethod, TokenGrid, str]:
    """The method, the model's tokens and the layer's name, once all that was asked for exists."""
    if method not in METHODS:
        raise ExplanationError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    chosen = METHODS[method]
    tokens = find_tokens(model)
    layer = tokens.default_target if layer is None else layer
    if layer not in tokens.targets:
        raise ExplanationError(f"layer must be one of {', '.join(tokens.targets)}, got {layer!r}")
    classes: Any = model.num_classes
    if not classes:
        raise ExplanationError(
            Sentence("{model} has no classifier: its num_classes is 0", model=type(model).__name__)
        )
    for name, index in (("class_index", class_index), ("versus", versus)):
        if index is not None and not 0 <= index < classes:
            raise ExplanationError(f"{name} must be 0 to {classes - 1}, got {index}")
    if versus is not None and (versus == class_index or not chosen.per_class):
        raise ExplanationError(
            f"versus must be another class than the one explained, got {versus} for both"
            if chosen.per_class
            else f"{chosen.title} is the same for every class: it explains none against another"
        )
    if classes < 2 and (chosen.contrast or versus is not None):
        raise ExplanationError(
            Sentence("a class can be explained against another only where there are two")
        )
    check_picture(image)
    return chosen, tokens, layer


def _frozen_view(model: nn.Module) -> nn.Module:
    """A view of ``model`` on aliases of its parameters: the same memory, frozen, no `.grad`."""
    view = share_weights(model).eval()
    for module in view.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(weight.detach(), requires_grad=False))
    return view


class _Still:
    """A frozen view as the package is given it: in eval mode, without gradients to empty.

    The package would walk through all modules and all parameters to find nothing to do.
    """

    def __init__(self, view: nn.Module) -> None:
        self._view = view

    def __call__(self, images: Tensor) -> Tensor:
        logits: Tensor = self._view(images)
        return logits

    def eval(self) -> _Still:
        return self

    def zero_grad(self) -> None:
        """No parameter has a gradient."""

    def parameters(self) -> Iterator[nn.Parameter]:
        return self._view.parameters()


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


class _BoundedMasks:
    """Mixed into Score-CAM of pytorch-grad-cam: the channels' weights, some channels tried only.

    The package makes all masked pictures at once (230 MB for 384 channels at 224 x 224 pixels),
    tries every channel, and writes a progress bar to the standard error stream.
    """

    activations_and_grads: Any
    model: nn.Module
    outputs: Tensor
    max_masks: int
    progress: Callable[[int, int], None] | None
    tried = of_channels = 0

    def get_cam_weights(
        self,
        input_tensor: Tensor,
        _target_layer: nn.Module,
        targets: list[Callable[[Tensor], Tensor]],
        activations: np.ndarray,
        _gradients: None,
    ) -> np.ndarray:
        self.activations_and_grads.release()  # or it would keep those of every masked picture
        [ask] = targets
        ask(self.outputs[0])  # what is left to the model is decided on the picture as it is
        maps = torch.from_numpy(activations)[0]
        varied = maps.flatten(1).std(1, correction=0).argsort(descending=True, stable=True)
        tried = varied[: self.max_masks].sort().values
        self.tried, self.of_channels = len(tried), len(maps)
        scores = torch.cat(list(self._scores(input_tensor, maps[tried], ask)))
        weights = np.zeros((1, self.of_channels), np.float32)
        weights[0, tried] = scores.softmax(0).numpy()
        return weights

    @torch.no_grad()
    def _scores(
        self, image: Tensor, maps: Tensor, ask: Callable[[Tensor], Tensor]
    ) -> Iterator[Tensor]:
        at_once = max(1, _PIXELS // (image.shape[2] * image.shape[3]))
        for first in range(0, len(maps), at_once):
            masks = F.interpolate(
                maps[first : first + at_once, None].to(image),
                image.shape[2:],
                mode="bilinear",
                align_corners=True,
            )
            least, most = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
            logits = self.model(image * (masks - least) / (most - least + 1e-8))
            yield torch.stack([ask(of_one) for of_one in logits]).float().cpu()
            if self.progress is not None:
                self.progress(min(first + at_once, len(maps)), len(maps))


@cache
def _raw(library_class: str) -> Any:
    """A class of pytorch-grad-cam with `_Raw` mixed in."""
    import pytorch_grad_cam

    own = (_Raw, _BoundedMasks) if library_class == "ScoreCAM" else (_Raw,)
    return type(f"Raw{library_class}", (*own, getattr(pytorch_grad_cam, library_class)), {})


def _finished(values: np.ndarray, method: CamMethod, layer: str, asked: _Asked) -> np.ndarray:
    """The map in float32, after the last step of its formula.

    Raises:
        ExplanationError: it is not finite, or zero everywhere.
    """
    if not np.isfinite(values).all():
        raise ExplanationError(
            Sentence(
                "the {method} map of {layer} holds values that are infinite or not a number: "
                "check the model's weights",
                method=method.title,
                layer=layer,
            )
        )
    finished = method.finish(values).astype(np.float32)
    if finished.any():
        return finished
    if values.any():
        reason = Sentence(
            "every place counts against {asked}; hirescam shows evidence against", asked=asked.named
        )
    elif method.per_class:
        reason = Sentence("no place of this layer changes the logit of {asked}", asked=asked.named)
    else:
        reason = Sentence("all places of this layer are the same")
    raise ExplanationError(
        Sentence(
            "the {method} map of {layer} is zero everywhere: {reason}",
            method=method.title,
            layer=layer,
            reason=reason,
        )
    )
