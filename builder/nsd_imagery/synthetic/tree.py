"""The entry: a synthetic tree in one of two layouts, with the same trials and the same betas."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nsd_imagery.experiment import SUBJECTS
from nsd_imagery.notebooks import barred
from nsd_imagery.progress import StepProgress
from nsd_imagery.spelling import Subjects, subjects_of, the_choice
from nsd_imagery.synthetic.cache import write_cache
from nsd_imagery.synthetic.effects import DEFAULT_SIGNAL, Preset, Signal
from nsd_imagery.synthetic.files import remove_leftovers
from nsd_imagery.synthetic.marker import claim
from nsd_imagery.synthetic.release import write_release
from nsd_imagery.synthetic.request import FORMATS, LAYOUTS, BetaFormat, Layout, Request, check

logger = logging.getLogger(__name__)

_WRITERS: Final[dict[Layout, Callable[[Path, Request], None]]] = {"release": write_release, "cache": write_cache}


@barred("step")
def synth(
    root: Path | str,
    *,
    subjects: Subjects = ("subj01",),
    seed: int = 0,
    full_size: bool = False,
    format: BetaFormat = "both",
    layout: Layout = "release",
    perception_sessions: int = 0,
    signal: Preset | Signal = DEFAULT_SIGNAL,
    progress: StepProgress | None = None,
) -> Path:
    """Write a synthetic release, in the formats of the real one (NSD Data Manual), and COCO captions of its pictures.

    The schedule is drawn from the seed and is not NSD's. Each picture and word has a latent vector, from which weights
    of each voxel make its pattern: the same in vision, attention, imagery and NSD core, and weaker in the middle two.
    The letter on the screen has a pattern of its own, noise is correlated between neighbouring betas, and each run
    drifts. What was planted lies in the folder truth/: truth.json, latents.parquet, which is read as embeddings
    (`ClipCache(root, folder=root / "truth")`), and weights_subjAA.nii.gz. The same arguments give the same bytes. More
    subjects, formats and sessions of NSD core may be added later, in any order. A file that is there and holds what it
    should is left alone; a damaged one is replaced.

    Args:
        root: Folder of the tree; made if it is not there.
        subjects: Names or numbers ("subj01", "sub-01", 1), several in a list or with commas.
        seed: What everything is drawn from, not negative.
        full_size: True grids and numbers of voxels (about 1 GB a file of betas, fithrf_GLMdenoise_RR alone), else
            a small brain (about 10 MB a file).
        format: Of the beta files. The cache layout has one file a subject: .nii.gz for "both", and the format asked
            for last.
        layout: "release" for the tree of the real release, "cache" for a folder `cache/` with a trial manifest a
            subject and the betas of fithrf_GLMdenoise_RR. A root has one of the two.
        perception_sessions: How many sessions of NSD core, from the first, to write for each subject (betas of the
            same sizes, behaviour of all sessions, the design); in the release layout only.
        signal: "real" for about the identification rates of the real data, "strong", "none" for noise, drift and order
            alone, or the sizes of all effects.
        progress: Called with a line on each step.

    Returns:
        The root.

    Raises:
        UsageError: An unknown subject, format, layout or signal, a negative seed, or more sessions than a subject had.
        FolderError: The root holds something else, or a synthetic release of other arguments.
    """
    format, layout = the_choice("format", format, FORMATS), the_choice("layout", layout, LAYOUTS)
    named = subjects_of(subjects) or SUBJECTS[:1]
    request = Request(named, seed, full_size, format, layout, perception_sessions, signal, progress or (lambda _: None))
    check(request)
    root = Path(root).expanduser()
    claim(root, request)
    remove_leftovers(root)
    _WRITERS[layout](root, request)
    logger.info("Wrote a synthetic release to %s", root)
    return root
