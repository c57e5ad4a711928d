"""What the makers of each set of weights say about it; none of it was measured here."""

from __future__ import annotations

from dataclasses import dataclass

from mambaout.errors import Sentence


@dataclass(frozen=True)
class Published:
    """One set of weights as its makers present it."""

    title: str
    top1: float | None  # percent of the ImageNet-1k validation set; None: not an ImageNet-1k model
    pixels: int  # side of the pictures it was measured on
    source: str


def _readme(repository: str) -> Sentence:
    return Sentence("README of {repository}", repository=repository)


_TIMM = Sentence("timm's results for ImageNet-1k")
_VIM = _readme("hustvl/Vim")
_VMAMBA = _readme("MzeroMiko/VMamba")
_LOCAL = _readme("hunto/LocalMamba")
_EFFICIENT = _readme("TerryPei/EfficientVMamba")
_PLAIN = _readme("ChenhongyiYang/PlainMamba")
_NVIDIA = _readme("NVlabs/MambaVision")
_MLVLAB = _readme("mlvlab/EfficientViM")

# In the order in which each family is offered, small before large.
PUBLISHED = {
    "mambaout_femto.in1k": Published("MambaOut-Femto", 78.88, 224, _TIMM),
    "mambaout_kobe.in1k": Published("MambaOut-Kobe", 79.99, 224, _TIMM),
    "mambaout_tiny.in1k": Published("MambaOut-Tiny", 82.74, 224, _TIMM),
    "mambaout_small.in1k": Published("MambaOut-Small", 84.09, 224, _TIMM),
    "mambaout_base.in1k": Published("MambaOut-Base", 84.19, 224, _TIMM),
    "mambaout_small_rw.sw_e450_in1k": Published("MambaOut-Small (rw)", 84.04, 224, _TIMM),
    "mambaout_base_short_rw.sw_e500_in1k": Published(
        "MambaOut-Base, short (rw)", 84.36, 224, _TIMM
    ),
    "mambaout_base_tall_rw.sw_e500_in1k": Published("MambaOut-Base, tall (rw)", 84.44, 224, _TIMM),
    "mambaout_base_wide_rw.sw_e500_in1k": Published("MambaOut-Base, wide (rw)", 84.45, 224, _TIMM),
    "mambaout_base_plus_rw.sw_e150_in12k_ft_in1k": Published(
        "MambaOut-Base, plus (rw), tuned from ImageNet-12k", 86.64, 224, _TIMM
    ),
    "mambaout_base_plus_rw.sw_e150_r384_in12k_ft_in1k": Published(
        "MambaOut-Base, plus (rw), tuned from ImageNet-12k at 384 pixels", 87.51, 384, _TIMM
    ),
    "mambaout_base_plus_rw.sw_e150_in12k": Published(
        "MambaOut-Base, plus (rw), ImageNet-12k", None, 224, _TIMM
    ),
    "vim_tiny_patch16_224.hustvl_in1k": Published("Vim-Tiny", 76.1, 224, _VIM),
    "vim_tiny_patch16_stride8_224.hustvl_in1k": Published(
        "Vim-Tiny, long sequence", 78.3, 224, _VIM
    ),
    "vim_small_patch16_224.hustvl_in1k": Published("Vim-Small", 80.5, 224, _VIM),
    "vim_small_patch16_stride8_224.hustvl_in1k": Published(
        "Vim-Small, long sequence", 81.6, 224, _VIM
    ),
    "vim_base_patch16_224.hustvl_in1k": Published("Vim-Base", 81.9, 224, _VIM),
    "vmamba_tiny_v0.mzeromiko_in1k": Published("VMamba-Tiny, first version", 82.2, 224, _VMAMBA),
    "vmamba_small_v0.mzeromiko_in1k": Published("VMamba-Small, first version", 83.5, 224, _VMAMBA),
    "vmamba_base_v0.mzeromiko_in1k": Published("VMamba-Base, first version", 83.7, 224, _VMAMBA),
    "vmamba_tiny_s2l5.mzeromiko_in1k": Published("VMamba-Tiny s2l5", 82.5, 224, _VMAMBA),
    "vmamba_small_s2l15.mzeromiko_in1k": Published("VMamba-Small s2l15", 83.6, 224, _VMAMBA),
    "vmamba_base_s2l15.mzeromiko_in1k": Published("VMamba-Base s2l15", 83.9, 224, _VMAMBA),
    "vmamba_tiny_s1l8.mzeromiko_in1k": Published("VMamba-Tiny s1l8", 82.6, 224, _VMAMBA),
    "vmamba_small_s1l20.mzeromiko_in1k": Published("VMamba-Small s1l20", 83.3, 224, _VMAMBA),
    "vmamba_base_s1l20.mzeromiko_in1k": Published("VMamba-Base s1l20", 83.8, 224, _VMAMBA),
    "localvim_tiny.hunto_in1k": Published("LocalVim-Tiny", 76.2, 224, _LOCAL),
    "localvim_tiny_midcls.hunto_in1k": Published(
        "LocalVim-Tiny, class token mid-way", 77.8, 224, _LOCAL
    ),
    "localvmamba_small.hunto_in1k": Published("LocalVMamba-Small", 83.7, 224, _LOCAL),
    "efficientvmamba_tiny.terrypei_in1k": Published("EfficientVMamba-Tiny", 76.5, 224, _EFFICIENT),
    "efficientvmamba_small.terrypei_in1k": Published(
        "EfficientVMamba-Small", 78.7, 224, _EFFICIENT
    ),
    "efficientvmamba_base.terrypei_in1k": Published("EfficientVMamba-Base", 81.8, 224, _EFFICIENT),
    "plainmamba_l1.chenhongyiyang_in1k": Published("PlainMamba-L1", 77.9, 224, _PLAIN),
    "plainmamba_l2.chenhongyiyang_in1k": Published("PlainMamba-L2", 81.6, 224, _PLAIN),
    "plainmamba_l3.chenhongyiyang_in1k": Published("PlainMamba-L3", 82.3, 224, _PLAIN),
    "mambavision_tiny.nvidia_in1k": Published("MambaVision-T", 82.3, 224, _NVIDIA),
    "mambavision_tiny2.nvidia_in1k": Published("MambaVision-T2", 82.7, 224, _NVIDIA),
    "mambavision_small.nvidia_in1k": Published("MambaVision-S", 83.3, 224, _NVIDIA),
    "mambavision_base.nvidia_in1k": Published("MambaVision-B", 84.2, 224, _NVIDIA),
    "mambavision_base.nvidia_in21k_ft_in1k": Published(
        "MambaVision-B, tuned from ImageNet-21k", 84.9, 224, _NVIDIA
    ),
    "mambavision_large.nvidia_in1k": Published("MambaVision-L", 85.0, 224, _NVIDIA),
    "mambavision_large.nvidia_in21k_ft_in1k": Published(
        "MambaVision-L, tuned from ImageNet-21k", 86.1, 224, _NVIDIA
    ),
    "mambavision_large2.nvidia_in1k": Published("MambaVision-L2", 85.3, 224, _NVIDIA),
    "mambavision_large2_512.nvidia_in21k_ft_in1k": Published(
        "MambaVision-L2, tuned from ImageNet-21k at 512 pixels", 87.3, 512, _NVIDIA
    ),
    "mambavision_large3_256.nvidia_in21k_ft_in1k": Published(
        "MambaVision-L3, tuned from ImageNet-21k at 256 pixels", 87.3, 256, _NVIDIA
    ),
    "mambavision_large3_512.nvidia_in21k_ft_in1k": Published(
        "MambaVision-L3, tuned from ImageNet-21k at 512 pixels", 88.1, 512, _NVIDIA
    ),
    "efficientvim_m1.e300_in1k": Published("EfficientViM-M1, 300 epochs", 72.9, 224, _MLVLAB),
    "efficientvim_m1.e450_in1k": Published("EfficientViM-M1, 450 epochs", 73.5, 224, _MLVLAB),
    "efficientvim_m1_dist.in1k": Published("EfficientViM-M1, distilled", 74.6, 224, _MLVLAB),
    "efficientvim_m2.e300_in1k": Published("EfficientViM-M2, 300 epochs", 75.4, 224, _MLVLAB),
    "efficientvim_m2.e450_in1k": Published("EfficientViM-M2, 450 epochs", 75.8, 224, _MLVLAB),
    "efficientvim_m2_dist.in1k": Published("EfficientViM-M2, distilled", 76.7, 224, _MLVLAB),
    "efficientvim_m3.e300_in1k": Published("EfficientViM-M3, 300 epochs", 77.6, 224, _MLVLAB),
    "efficientvim_m3.e450_in1k": Published("EfficientViM-M3, 450 epochs", 77.9, 224, _MLVLAB),
    "efficientvim_m3_dist.in1k": Published("EfficientViM-M3, distilled", 79.1, 224, _MLVLAB),
    "efficientvim_m4.e300_in1k": Published("EfficientViM-M4, 300 epochs", 79.4, 256, _MLVLAB),
    "efficientvim_m4.e450_in1k": Published("EfficientViM-M4, 450 epochs", 79.6, 256, _MLVLAB),
    "efficientvim_m4_dist.in1k": Published("EfficientViM-M4, distilled", 80.7, 256, _MLVLAB),
    "deit_tiny_patch16_224.fb_in1k": Published("DeiT-Tiny", 72.19, 224, _TIMM),
    "deit_small_patch16_224.fb_in1k": Published("DeiT-Small", 79.86, 224, _TIMM),
    "deit_base_patch16_224.fb_in1k": Published("DeiT-Base", 81.98, 224, _TIMM),
}
