"""Select the device and data type that networks run with."""

from __future__ import annotations

import torch


def select_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def select_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 if the hardware multiplies it natively, else float32."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        features = torch.cpu.get_capabilities()
        native = features.get("avx512_bf16") or features.get("amx_tile")
    return torch.bfloat16 if native else torch.float32


def supports_int8() -> bool:
    """Return whether the CPU multiplies 8-bit integers natively, and PyTorch's oneDNN is built."""
    features = torch.cpu.get_capabilities()
    native = features.get("avx512_vnni") or features.get("amx_int8")
    return bool(native) and torch.backends.mkldnn.is_available()
