"""What this machine computes in quickly."""

from __future__ import annotations

import contextlib

import torch

__all__ = ["computes_in_bf16", "quick_inference"]


def computes_in_bf16() -> bool:
    """Whether the GPU, or without one the processor, multiplies bf16 natively.

    Emulated, bf16 is slower than fp32.
    """
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def quick_inference(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Autocast to bf16 where that is native: for answers that need no more than two digits."""
    return torch.autocast(device.type, torch.bfloat16, enabled=computes_in_bf16())
