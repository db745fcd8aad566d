"""bf16, where this machine computes in it natively."""

from __future__ import annotations

import contextlib

import torch

__all__ = ["bf16_inference", "computes_in_bf16"]


def computes_in_bf16() -> bool:
    """Whether the GPU, or without one the processor, multiplies bf16 natively.

    Emulated, bf16 is slower than fp32.
    """
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def bf16_inference(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Autocast to bf16 where that is native; logits keep two to three significant digits."""
    return torch.autocast(device.type, torch.bfloat16, enabled=computes_in_bf16())
