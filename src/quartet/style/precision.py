"""On what, and in which number format, networks run here."""

from __future__ import annotations

import torch


def device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def compute_type(where: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, float32 elsewhere."""
    if where.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # torch 2.13.0: only the GPU's support can be asked for in public.
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32
