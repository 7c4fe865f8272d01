"""Muon, for convolutions as well. Import inside functions, after `backend.load_keras`: it imports Keras."""

import math
from typing import Any

import keras  # noqa: TID253 - the class below derives from Keras'; see the module's docstring

ops = keras.ops


class Muon(keras.optimizers.Muon):  # type: ignore[misc]  # Keras comes without types
    """Momentum whose step is the nearest orthogonal matrix: each direction in which a kernel can move counts equally.

    (K. Jordan and others, "Muon: an optimizer for hidden layers in neural networks", 2024.) Keras' own takes matrices
    only and leaves the kernels of convolutions to Adam; here they are matrices of inputs times filters, as in Jordan's.
    Biases and other vectors are left to Adam. A step is as large as one of Adam's (J. Liu and others, "Muon is scalable
    for LLM training", arXiv 2502.16982), so that both share one learning rate.
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        of_convolution = len(variable.shape) > 2
        return not of_convolution and super()._should_use_adamw(variable)

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """The nearest orthogonal matrix, about, in the shape of ``x``."""
        return ops.reshape(super().zeropower_via_newtonschulz5(ops.reshape(x, (-1, x.shape[-1])), steps), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """``x``, scaled so that its root mean square is `rms_rate` times the learning rate that is in it."""
        inputs = math.prod(x.shape[:-1])
        return x * math.sqrt(max(inputs, x.shape[-1])) * self.rms_rate
