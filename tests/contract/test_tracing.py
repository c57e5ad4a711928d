"""Every family can be traced: compiled into one graph, and exported for any number of pictures.

A scan is traced in its plain form, token by token, so the models are tiny and see few tokens.
"""

from __future__ import annotations

import pytest
import torch

from tests.contract.families import HEIGHT, SMALL, WIDTH, family, networks, pictures, small
from tests.models.causality import redrawn

NETWORKS = networks()
ONE_OF_EACH_FAMILY = {family(name): name for name in NETWORKS}.values()


def tiny(name):
    """As `small`, for pictures of half the height and width."""
    size = {"img_size": (HEIGHT // 2, WIDTH // 2)} if "img_size" in SMALL[family(name)] else {}
    return redrawn(small(name, **size))


@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
@torch.no_grad()
def test_compiles_into_one_graph(name):
    model, images = tiny(name), pictures(shrink=2)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), model(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_exports_for_any_number_of_pictures(name):
    model = tiny(name)
    batch = torch.export.Dim("batch", min=1, max=64)
    shapes = ({0: batch},)
    program = torch.export.export(model, (pictures(shrink=2),), dynamic_shapes=shapes).module()
    for images in (pictures(1, shrink=2), pictures(3, shrink=2)):
        torch.testing.assert_close(program(images), model(images), rtol=1e-4, atol=1e-4)
