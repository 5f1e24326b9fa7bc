"""The floor of an inference's time: its matrix products, recorded and repeated with nothing else around them.

Products with one weight share one matrix, others have their own, so that memory is read as in the inference itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True)
class Product:
    """Shapes of one product's operands, and which weight the right one is (None: computed from the data)."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    weight: int | None


@dataclass
class Products:
    """All matrix products of an inference."""

    all: list[Product] = field(default_factory=list)

    def multiplications(self) -> int:
        """Multiply-accumulate operations of all products."""
        return sum(torch.Size(product.left).numel() * product.right[-1] for product in self.all)

    def replay(self, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Callable[[], None]:
        """The products alone, on matrices prepared beforehand."""
        weights: dict[tuple, Tensor] = {}
        calls = []
        for index, product in enumerate(self.all):
            key = (product.right, f"product {index}" if product.weight is None else product.weight)
            if key not in weights:
                # A linear layer multiplies by the transpose of its stored weight; so does the floor.
                *batch, inner, outer = product.right
                weights[key] = torch.randn(*batch, outer, inner, device=device, dtype=dtype).transpose(-1, -2)
            left = torch.randn(product.left, device=device, dtype=dtype)
            out = torch.empty(*product.left[:-1], product.right[-1], device=device, dtype=dtype)
            calls.append((left, weights[key], out))

        def run() -> None:
            for left, right, out in calls:
                torch.matmul(left, right, out=out)

        return run


@torch.no_grad()
def products_of(inference: Callable[[], object]) -> Products:
    """The products of an inference on the CPU in float32; not in inference mode, which hides them."""
    inference()
    with _Recorder() as recorder:
        inference()
    return recorder.products


class _Recorder(TorchDispatchMode):
    """Notes the operands' shapes of every matrix product that runs inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.products = Products()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Note the call where it multiplies matrices, then let it run."""
        aten = torch.ops.aten
        name = function.overloadpacket
        if name is aten.addmm:
            self._note(args[1].shape, args[2].shape, args[2].data_ptr())
        elif name is aten.mm:
            self._note(args[0].shape, args[1].shape, args[1].data_ptr())
        elif name is aten.bmm:
            self._note(args[0].shape, args[1].shape, None)
        elif name is aten.convolution:  # of patches that do not overlap: one product per image
            self._convolution(args[0], args[1])
        elif name is aten._scaled_dot_product_flash_attention_for_cpu:
            query, key, value = (x.flatten(0, 1) for x in args[:3])
            self._note(query.shape, key.transpose(1, 2).shape, None)
            self._note((*query.shape[:2], key.shape[1]), value.shape, None)
        return function(*args, **(kwargs or {}))

    def _note(self, left: tuple[int, ...], right: tuple[int, ...], weight: int | None) -> None:
        self.products.all.append(Product(tuple(left), tuple(right), weight))

    def _convolution(self, images: Tensor, weight: Tensor) -> None:
        outputs, *patch = weight.shape
        size = patch[0] * patch[1] * patch[2]
        patches = images.shape[0] * (images.shape[2] // patch[1]) * (images.shape[3] // patch[2])
        self._note((patches, size), (size, outputs), weight.data_ptr())
