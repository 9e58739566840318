"""Networks without random values, where others replace these at once: of a VGG16 they take a second, most of it for a
classifier that nobody keeps."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode


class SkippedRandomValues(TorchFunctionMode):
    """Within it, tensors that are to be filled at random stay as they were allocated; constants are written as ever."""

    _RANDOM = frozenset(
        {init.uniform_, init.normal_, init.kaiming_uniform_, torch.Tensor.uniform_, torch.Tensor.normal_}
    )

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """What torch calls in place of `func`."""
        named = dict(kwargs or {})
        if func in self._RANDOM:
            return args[0] if args else named["tensor"]
        return func(*args, **named)
