"""A made-up GPU: tensors "on" it lie in the CPU's memory, and torch refuses what a real GPU would refuse.

Tensors that were moved to `cuda` are known by their memory. Their `device` is `cuda`, and so is that of all that is
computed from them. An operation on tensors of both places fails, as does `numpy()` of a moved tensor. What a model
computes is what it computes on the CPU, since it does.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
READS: dict[Any, Callable[[bool], Any]] = {  # properties that tell a tensor's place, by whether it was moved
    Tensor.device.__get__: lambda moved: GPU if moved else CPU,  # type: ignore[attr-defined]
    Tensor.is_cuda.__get__: lambda moved: moved,  # type: ignore[attr-defined]
    Tensor.is_cpu.__get__: lambda moved: not moved,  # type: ignore[attr-defined]
}
ACROSS = {"copy_", "__get__", "__set__", "_has_compatible_shallow_copy_type", "manual_seed"}
"""Functions that take tensors of both places."""


@dataclass
class MadeUpGpu(TorchFunctionMode):
    """The GPU within the body of `with`. `passes` has the class of each module that ran there, and whether here."""

    passes: set[tuple[type[nn.Module], bool]] = field(default_factory=set)
    depth: int = 0  # of the modules that run
    moved: dict[int, StorageWeakRef] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in READS and args[0].device.type != "meta":
            return READS[func](self.holds(args[0]))
        name = getattr(func, "__name__", "")
        if func in (Tensor.to, Tensor.cpu, Tensor.cuda):
            return self._to(name, *args, **kwargs)
        given = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
        on_gpu = self._agree(name, func, args, given)
        if kwargs.get("device") is not None:
            on_gpu = torch.device(kwargs["device"]).type == "cuda"
            kwargs["device"] = CPU if on_gpu else kwargs["device"]
        made = func(*args, **kwargs)
        if on_gpu and name not in ACROSS:
            self._mark(made)
        return made

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor was moved here, or computed from one that was."""
        with torch._C.DisableTorchFunction():
            memory = _memory(tensor)
            found = self.moved.get(memory._cdata) if memory is not None else None
        return found is not None and not found.expired()

    def _agree(self, name: str, func: Any, args: Any, given: list[Tensor]) -> bool:
        """Whether a function runs here; refuses tensors of both places, but for numbers and a CPU's indices."""
        here = [self.holds(each) for each in given]
        if any(here) and name in ("numpy", "__array__"):
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
        if name == "__getitem__" and here[0]:
            return True
        if any(here) and name not in ACROSS:
            away = [each for each, moved in zip(given, here, strict=True) if not moved and each.dim() > 0]
            if away:
                shapes = [tuple(each.shape) for each in away]
                raise RuntimeError(f"{name}: expected all tensors to be on cuda:0, found some on the CPU: {shapes}")
        return any(here)

    def _to(self, name: str, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        copy = kwargs.pop("copy", False)
        if args and isinstance(args[0], Tensor):
            device, rest = (GPU if self.holds(args[0]) else CPU), {"dtype": args[0].dtype}
        elif name != "to":
            device, rest = torch.device("cuda" if name == "cuda" else "cpu"), {}
        else:
            device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
            rest = {} if dtype is None else {"dtype": dtype}
        before = self.holds(tensor)
        on_gpu = before if device is None else device.type == "cuda"
        if device is not None and device.type == "meta":
            return tensor.to(device, **rest)
        made = tensor.to(**rest, copy=copy or on_gpu != before)
        if on_gpu:
            self._mark(made)
        return made

    def _mark(self, made: Any) -> None:
        for each in tree_flatten(made)[0]:
            if isinstance(each, Tensor) and (memory := _memory(each)) is not None:
                self.moved[memory._cdata] = StorageWeakRef(memory)

    def enter(self, module: nn.Module, _: Any) -> None:
        """Note where a module runs that no other module calls: here only if all its weights are."""
        with torch._C.DisableTorchFunction():
            weights = [each for each in (*module.parameters(), *module.buffers()) if not each.is_meta]
        if not self.depth and weights:
            self.passes.add((type(module), all(map(self.holds, weights))))
        self.depth += 1

    def leave(self, *_: Any) -> None:
        """Note the end of a forward pass."""
        self.depth -= 1


def _memory(tensor: Tensor) -> Any:
    try:
        return None if tensor.is_meta else tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):  # tensors of `vmap` have none
        return None


@contextlib.contextmanager
def made_up_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[MadeUpGpu]:
    """Make torch see one GPU within the body."""
    with monkeypatch.context() as patch:
        for name, value in {
            "is_available": True,
            "is_bf16_supported": False,
            "device_count": 1,
            "get_device_name": "made-up GPU",
            "synchronize": None,
            "max_memory_allocated": 0,
            "manual_seed": None,
            "manual_seed_all": None,
            "get_rng_state": torch.zeros(1),
            "set_rng_state": None,
        }.items():
            patch.setattr(torch.cuda, name, lambda *_, value=value, **__: value)
        patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # which jobs set for themselves
        patch.setattr(torch, "use_deterministic_algorithms", lambda *_, **__: None)
        gpu = MadeUpGpu()
        hooks = register_module_forward_pre_hook(gpu.enter), register_module_forward_hook(gpu.leave, always_call=True)
        try:
            with gpu:
                yield gpu
        finally:
            for hook in hooks:
                hook.remove()
