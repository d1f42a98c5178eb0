"""Decoders of several subjects and ROIs in a folder: one folder each, `subj01-nsdgeneral`, `subj01-V1`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nsd_imagery.dataset.names import roi_suffix
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.evaluation.transfer.decoder import SAID, Decoder
from nsd_imagery.evaluation.transfer.inputs import File
from nsd_imagery.shell import quoted
from nsd_imagery.volumes.roi import DEFAULT_ROI


def folder_of(folder: Path, subject: str, roi: str) -> Path:
    """Where the decoder, or the preprocessor, of a subject and ROI is."""
    return folder / f"{subject}-{roi_suffix(roi).removeprefix('-') or DEFAULT_ROI}"


def files_of(folder: Path, name: str, rois: Mapping[str, Sequence[str]], what: str) -> dict[tuple[str, str], File]:
    """The JSON of each subject and ROI.

    Args:
        folder: Of several, by `folder_of`; or the very one, where one subject and ROI are asked for.
        name: Of the JSON.
        rois: Of each subject.
        what: What a message calls the things: "decoder".

    Raises:
        MissingDataError: One is not there.
    """
    asked = [(subject, roi) for subject in rois for roi in rois[subject]]
    if (folder / name).is_file() and len(asked) == 1:
        return {asked[0]: File.of(folder / name)}
    places = {key: folder_of(folder, *key) / name for key in asked}
    lacking = [key for key, path in places.items() if not path.is_file()]
    if lacking:
        there = sorted(path.parent.name for path in folder.glob(f"*/{name}"))
        has = f"; there are: {', '.join(there)}" if there else ""
        first = f"{', '.join(' '.join(key) for key in lacking[:3])}{' and others' if len(lacking) > 3 else ''}"
        msg = (
            f"{folder}: has no {what} of {first}{has}; choose others with --subjects and --roi, or save one as "
            f"{quoted(places[lacking[0]].parent)}"
        )
        raise MissingDataError(msg)
    return {key: File.of(path) for key, path in places.items()}


def decoder_files(folder: Path, rois: Mapping[str, Sequence[str]], maker: str) -> dict[tuple[str, str], File]:
    """The decoders of subjects and ROIs; see `files_of`.

    Args:
        folder: Of decoders, or one.
        rois: Of each subject.
        maker: Of the embeddings that they are to give.

    Raises:
        MissingDataError: One is not there.
        DataError: One is of another subject or ROI, of other embeddings, or damaged.
    """
    found = files_of(folder, SAID, rois, "decoder")
    for (subject, roi), file in found.items():
        origin = Decoder.load(file.path.parent).origin
        if (origin.subject, origin.roi) != (subject, roi):
            of = f"{origin.subject}, {origin.roi}" if origin.subject else "nobody said what"
            msg = f"{file.path.parent}: is a decoder of {of}, not of {subject}, {roi}"
            raise DataError(msg)
        if origin.maker != maker:
            msg = (
                f"{file.path.parent}: is a decoder of another model's embeddings ({origin.maker or 'not said'}, not "
                f"{maker}): pass those, by --embeddings, --model and --kind, or fit a decoder of these"
            )
            raise DataError(msg)
    return found


def has_saved(folder: Path, subject: str, training: Mapping[str, str]) -> bool:
    """Whether the decoders that were fitted on some training rows, by ROI their digest, are there."""
    return all(_training_of(folder_of(folder, subject, roi)) == digest for roi, digest in training.items())


def _training_of(folder: Path) -> str:
    try:
        return Decoder.load(folder).origin.training
    except (MissingDataError, DataError):
        return ""
