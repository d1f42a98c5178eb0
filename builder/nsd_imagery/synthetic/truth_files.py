"""What was planted in a synthetic release, beside it: truth/ with the sizes of effects, latents and weights.

A trial's betas are, in units of a voxel's own scale, gain x weights @ latent of its stimulus, and what else there is.
"""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from nsd_imagery.embeddings import Embedding, Key, Maker, pixels_digest, text_digest, write_parquet
from nsd_imagery.experiment import SUBJECTS
from nsd_imagery.synthetic import files
from nsd_imagery.synthetic.brain import Brain
from nsd_imagery.synthetic.core import shown_in
from nsd_imagery.synthetic.latents import N_LATENTS, Vector
from nsd_imagery.synthetic.pictures import SIDE, nsd_picture, target_picture
from nsd_imagery.synthetic.schedule import nsd_ids_of
from nsd_imagery.synthetic.signal import NOISE_GAIN, Voxels
from nsd_imagery.synthetic.targets import TARGETS, nsd_stimulus
from nsd_imagery.synthetic.truth import Truth

FOLDER: Final = "truth"
_MODEL: Final = "latents of nsd-imagery synth"


def write_truth(root: Path, truth: Truth) -> None:
    """Write truth.json, and latents.parquet of the stimuli of NSD-Imagery and of the sessions of NSD core in the root.

    truth.json has the seed, the sizes of the effects and the noise gain of each beta version; latents.parquet is a file
    of embeddings with a row a stimulus under both kinds, which `ClipCache(root, folder=root / "truth")` reads.
    """
    said = {
        "seed": truth.seed,
        "signal": dataclasses.asdict(truth.signal),
        "noise_gain": NOISE_GAIN,
        "n_latents": N_LATENTS,
        "latents": "latents.parquet",
        "weights": "weights_subjAA.nii.gz",
    }
    files.write_bytes(root / FOLDER / "truth.json", (json.dumps(said, indent=2) + "\n").encode())
    maker = Maker(_MODEL, "", json.dumps({"seed": truth.seed}))
    with files.beside(root / FOLDER / "latents.parquet") as file:
        write_parquet(file, maker, dict(_rows(root, truth)))


def write_weights(root: Path, brain: Brain, voxels: Voxels) -> None:
    """Write weights_subjAA.nii.gz: (X, Y, Z, 32) float32, what a gain of 1 makes of each latent."""
    volumes = (brain.to_volume(weights) for weights in voxels.weights.T)
    path = root / FOLDER / f"weights_{brain.subject}.nii.gz"
    files.write_volumes(path, (*brain.shape, N_LATENTS), volumes, brain.affine)


def _rows(root: Path, truth: Truth) -> Iterator[tuple[Key, Embedding]]:
    """With hashes of the pictures as the root has them: of those that its picture file leaves out, black ones."""
    sources = {nsd_stimulus(nsd_id): pixels_digest(nsd_picture(nsd_id)) for nsd_id in nsd_ids_of(truth.schedule)}
    for target in (target for name in "AB" for target in TARGETS[name]):
        sources[target.stimulus] = pixels_digest(target_picture(target))
    black = pixels_digest(np.zeros((SIDE, SIDE, 3), np.uint8))
    for stimulus, latent in _latents(root, truth).items():
        text = text_digest(stimulus)
        source = sources.get(stimulus, black if re.fullmatch(r"nsd\d+", stimulus) else text)
        yield ("image", stimulus), Embedding(latent, source)
        yield ("text", stimulus), Embedding(latent, text)


def _latents(root: Path, truth: Truth) -> dict[str, Vector]:
    """Of the sessions of all subjects in the root, whichever call wrote them."""
    shown = {nsd_id for subject, session in _core_sessions(root) for nsd_id in shown_in(truth.seed, subject, session)}
    core = {nsd_stimulus(nsd_id): truth.latents.of_picture(nsd_id) for nsd_id in sorted(shown)}
    return core | truth.latents.named


def _core_sessions(root: Path) -> Iterator[tuple[str, int]]:
    for subject in SUBJECTS:
        for path in (root / "nsddata/ppdata" / subject / "func1pt8mm").glob("valid_session[0-9][0-9].nii.gz"):
            yield subject, int(path.name[len("valid_session") :][:2])
