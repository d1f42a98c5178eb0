"""What ridge regression learnt, as a thing: numbers that predict, in a folder of JSON and npz without pickle.

A decoder knows what it is of: the subject, the ROI, the very voxels, what made the embeddings, and a digest of what it
was fitted on. On anything else it is refused.
"""

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import xxhash
from numpy.typing import ArrayLike, NDArray

from nsd_imagery.atomic import replace_text, replacing
from nsd_imagery.errors import DataError, FolderError, MissingDataError, reason, shown
from nsd_imagery.links import without_content

FORMAT: Final = "nsd-imagery-decoder"
FORMAT_VERSION: Final = 1

SAID: Final = "decoder.json"
"""What a decoder is of; its numbers lie beside it."""

_ARRAYS: Final = "decoder.npz"
_NAMES: Final = ("weights", "intercept", "penalty", "center", "columns")

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Origin:
    """What a decoder is of; "" where nobody said.

    Attributes:
        subject: "subj01" to "subj08".
        roi: The ROI's name.
        voxels: Digest of the positions of the voxels, in their order.
        maker: Digest of what made the embeddings (`embeddings.Maker`).
        training: Digest of what it was fitted on: pictures, repeats, betas and embeddings.
        n_pictures: How many pictures those were.
    """

    subject: str = ""
    roi: str = ""
    voxels: str = ""
    maker: str = ""
    training: str = ""
    n_pictures: int = 0


@dataclass(frozen=True, eq=False)
class Linear:
    """An affine map.

    Attributes:
        weights: (n_in, n_out) by which inputs as they come are multiplied.
        intercept: (n_out,).
        penalty: (1,) or (n_out,) that was chosen.
        note: What is to be said of the penalty; "" where it lies inside the grid.
    """

    weights: Matrix
    intercept: Matrix
    penalty: Matrix
    note: str

    def predict(self, inputs: ArrayLike) -> Matrix:
        """(n, n_out) from (n, n_in).

        Raises:
            DataError: The inputs have another width.
        """
        values = np.asarray(inputs, np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.weights):
            msg = f"inputs have shape {values.shape}, but this was fitted on {len(self.weights)} columns"
            raise DataError(msg)
        return values @ self.weights + self.intercept


@dataclass(frozen=True, eq=False)
class Decoder(Linear):
    """Betas to embeddings.

    Attributes:
        center: (n_out,) mean embedding of what it was fitted on: what it predicts of nothing, and what is taken from
            predictions and candidates before they are compared.
        columns: (n_in,) which voxels of the ROI it takes, as columns of `betas`.
        origin: What it is of.
    """

    center: Matrix
    columns: NDArray[np.int64]
    origin: Origin

    def predict(self, inputs: ArrayLike) -> Matrix:
        """(n, n_out) from (n, n_in) betas at `columns`: `decoder.predict(betas[:, decoder.columns])`.

        Raises:
            DataError: The betas have another width.
        """
        values = np.asarray(inputs, np.float64)
        if values.ndim == 2 and len(self.columns) < values.shape[1] > self.columns.max():
            msg = (
                f"betas have {values.shape[1]:,} columns, of which this decoder takes {len(self.columns):,}: pass "
                "betas[:, decoder.columns]"
            )
            raise DataError(msg)
        return super().predict(values)

    def refuse_other(self, subject: str, roi: str, voxels: str, maker: str) -> None:
        """Raise DataError where it is of another subject or ROI, other voxels, or other embeddings.

        Args:
            subject: Whose betas are to be decoded.
            roi: Where.
            voxels: Digest of the voxels that are at `columns` there.
            maker: What made the embeddings of the candidates.
        """
        said = (self.origin.subject, self.origin.roi, self.origin.voxels, self.origin.maker)
        names = ("subject", "ROI", "voxels", "embeddings' model")
        for name, own, other in zip(names, said, (subject, roi, voxels, maker), strict=True):
            if own != other:
                msg = (
                    f"the decoder is of other {name}: {own or 'not said'}, not {other}: fit one on this folder and "
                    "these embeddings, with fit_decoder"
                )
                raise DataError(msg)

    def save(self, folder: Path | str) -> Path:
        """Write `decoder.json` and `decoder.npz` into a folder, which is returned.

        Raises:
            FolderError: A file is in its place.
        """
        path = Path(folder).expanduser()
        if path.exists() and not path.is_dir():
            msg = f"{path}: is a file, not a folder for a decoder"
            raise FolderError(msg)
        buffer = BytesIO()
        np.savez(buffer, **{name: getattr(self, name) for name in _NAMES})
        arrays = buffer.getvalue()
        with replacing(path / _ARRAYS) as file:
            file.write(arrays)
        said = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "origin": asdict(self.origin),
            "penalty": self.penalty.tolist(),
            "note": self.note,
            "n_voxels": len(self.weights),
            "n_features": len(self.intercept),
            "arrays": xxhash.xxh3_128_hexdigest(arrays),
        }
        replace_text(path / SAID, json.dumps(said, indent=1) + "\n")
        return path

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            MissingDataError: A file is not there.
            DataError: A file is damaged, the two are not of one `save`, or a newer nsd-imagery wrote them.
        """
        path = Path(folder).expanduser()
        with _faults_named(path):
            said = _said(path)
            contents = (path / _ARRAYS).read_bytes()
            if xxhash.xxh3_128_hexdigest(contents) != said["arrays"]:
                raise ValueError(f"{_ARRAYS} is not the one that {SAID} was written with")
            with np.load(BytesIO(contents), allow_pickle=False) as arrays:
                of_name = {name: arrays[name] for name in _NAMES}
            if of_name["weights"].shape != (said["n_voxels"], said["n_features"]):
                raise ValueError("its weights have another shape than it says")
            return cls(note=str(said["note"]), origin=Origin(**said["origin"]), **of_name)


def _said(folder: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((folder / SAID).read_text(encoding="utf-8"))
    version = said["format_version"]
    if said["format"] != FORMAT or type(version) is not int or version < 1:
        raise ValueError(f"it is of format {shown(said['format'])} {shown(version)}")
    if version > FORMAT_VERSION:
        msg = f"{folder}: is a decoder of format {version}; {FORMAT_VERSION} is known here: upgrade nsd-imagery"
        raise DataError(msg)
    return said


@contextmanager
def _faults_named(folder: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"{error.filename}: no such file; write it with Decoder.save"
        raise MissingDataError(without_content(Path(error.filename)) or msg) from error
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        msg = f"{folder}: is no decoder as Decoder.save writes it ({reason(error)}): save it again"
        raise DataError(msg) from error
