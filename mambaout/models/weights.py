"""Where pretrained weights come from, and how they become a file that timm can load.

Three places, in this order of trust: bundled with the project, already in the user's cache, and
the authors' official files, which are downloaded, read safely, checked against the architecture
and saved once as a safetensors file with the weights alone and our names (an official Vim file is
four times its weights and a pickle).

A family declares its weights in timm's `pretrained_cfg` of each tag. Read here:

`file`              a name in `checkpoints/manifest.json` (bundled), or a path of the user's own
                    safetensors file.
`hf_hub_id`         official file on the Hugging Face Hub: "owner/name" or "owner/name@revision",
`hf_hub_filename`   and its name there ("model.safetensors" if not given).
`url`               official release file elsewhere; what is known of it may follow as
                    "#sha256=<hex>&size=<bytes>".
`license`           is written into the converted file, with the source and the source's SHA-256.
`architecture`, `tag`, `num_classes`, `input_size`   the model that the file must fit, strictly.

The first of `file`, `hf_hub_id`, `url` that is set is used. Environment: MAMBAOUT_CACHE (where
converted files go), MAMBAOUT_CHECKPOINTS (another directory of bundled files), and the Hub's
own HF_HUB_OFFLINE (nothing is downloaded), HF_ENDPOINT, HF_HUB_CACHE.
"""

from __future__ import annotations

from pathlib import Path

import timm
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from timm.models import PretrainedCfg, get_pretrained_cfg

from mambaout.catalogue.bundled import bundled_weights
from mambaout.catalogue.download import Progress
from mambaout.catalogue.hub import HubFile
from mambaout.catalogue.sources import ReleaseFile, converted_path, full_name, official_file
from mambaout.catalogue.status import WeightsStatus, status_of
from mambaout.errors import CheckpointError, Sentence, WeightsUnavailable, said_by
from mambaout.models.conversion import convert


def fetch_weights(name: str, progress: Progress | None = None) -> Path:
    """A weights-only safetensors file for a registered model, downloaded and converted if need be.

    Args:
        name: architecture and tag, such as "vim_tiny_patch16_224.in1k", or the architecture alone
            for its default weights.
        progress: called with the bytes that have arrived and the total (None if not known).

    Returns:
        Path of a file with the model's own names, which
        `timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": path})` and
        `mambaout.models.load_checkpoint(model, path)` take.

    Raises:
        WeightsUnavailable: there are none for this name, or they cannot be downloaded.
        CheckpointError: they are damaged or belong to another model.
    """
    return weights_file(declared_weights(name), progress)


def weights_status(name: str) -> WeightsStatus:
    """Whether `name`'s weights are here, without asking the network and without reading them.

    Raises:
        WeightsUnavailable: no model has this name.
    """
    return status_of(declared_weights(name))


def weights_file(
    cfg: PretrainedCfg,
    progress: Progress | None = None,
    cache_dir: str | Path | None = None,
) -> Path:
    """The local safetensors file of the weights that `cfg` declares (see the module's text).

    Args:
        cfg: the declaration, with the `architecture` that the weights must fit.
        progress: as for `fetch_weights`.
        cache_dir: keep downloads and converted files here instead of in the user's caches.

    Raises:
        WeightsUnavailable, CheckpointError: as `fetch_weights`.
    """
    if cfg.file:
        return bundled_weights(cfg.file) or _users_own(Path(cfg.file))
    source = official_file(cfg)
    if source is None:
        raise WeightsUnavailable(
            Sentence(
                "No weights are published for {model}: build it with pretrained=False, or load a "
                "file of your own with mambaout.models.load_checkpoint(model, path).",
                model=full_name(cfg),
            )
        )
    cache = None if cache_dir is None else Path(cache_dir)
    target = converted_path(cfg, source, cache)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if _readable(target):
                return target
            return _obtain(cfg, source, target, cache, progress)
    except WeightsUnavailable as error:
        raise WeightsUnavailable(
            Sentence(
                "The weights of {model} ({source}) are not on this machine and could not be "
                "downloaded. Connect to the internet and try again, or get the file by other means "
                "and load it with mambaout.models.load_checkpoint(model, path). The reason: "
                "{reason}",
                model=full_name(cfg),
                source=str(source),
                reason=said_by(error),
            )
        ) from error
    except OSError as error:
        raise WeightsUnavailable(
            Sentence(
                "Cannot write to {folder} ({reason}): set MAMBAOUT_CACHE to a directory with "
                "enough space.",
                folder=str(target.parent),
                reason=error.strerror or str(error),
            )
        ) from error


def declared_weights(name: str) -> PretrainedCfg:
    """The declaration of a registered model's weights; of its default ones if `name` has no tag.

    Raises:
        WeightsUnavailable: no model has this name, or the model has no such tag.
    """
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise WeightsUnavailable(f"No model is named {architecture}: see timm.list_models().")
    try:
        cfg = get_pretrained_cfg(name)
    except RuntimeError as error:
        raise WeightsUnavailable(f"{architecture} has no weights with that tag: {error}") from error
    return cfg or PretrainedCfg(architecture=architecture)


def _users_own(path: Path) -> Path:
    if not path.is_file():
        raise WeightsUnavailable(f"There is no weight file at {path}.")
    if path.suffix != ".safetensors":
        raise CheckpointError(
            f"{path.name} is not a safetensors file. Build the model with pretrained=False and use "
            "mambaout.models.load_checkpoint(model, path), which reads the authors' files."
        )
    return path


def _readable(path: Path) -> bool:
    """True if a converted file is there and as long as its header says."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt"):
            return True
    except (SafetensorError, OSError):
        return False


def _obtain(
    cfg: PretrainedCfg,
    source: HubFile | ReleaseFile,
    target: Path,
    cache: Path | None,
    progress: Progress | None,
) -> Path:
    """Download `source` and make it loadable; what only this project keeps of it is deleted."""
    if isinstance(source, HubFile):
        return convert(source.fetch(cache, progress), target, cfg, str(source))
    official = source.fetch(target.parent, progress)
    try:
        return convert(official, target, cfg, str(source))
    finally:
        official.unlink()
