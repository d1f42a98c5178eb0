"""Kill `embed` before every event on the disk, and see what it leaves.

    python tests/crash/embeddings.py [--every N]

Without options it takes a minute.

After each death the file of embeddings must be the old one, the new one or, over no file, none, and every other
Parquet file whole; a run after it must give the bytes of an undisturbed run, and leave nothing more. That is done over
no file, and over one with other texts. Exit status 1 if anything was wrong; what was is printed.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
sys.path.append(str(Path(__file__).resolve().parents[1]))

from events import Death, deadly, read_log, watch
from forks import forked, warm

import nsd_imagery
from clip import save_tiny_clip
from nsd_imagery.embeddings import read_embeddings
from nsd_imagery.errors import NSDImageryError

PROMPTS = "stimulus,prompt\nbar_090.0deg_450L_43W,a vertical bar\nzebra,a striped zebra\n"


class Runs:
    """Runs of `embed` into one folder, each in a process of its own."""

    def __init__(self, work: Path) -> None:
        self.work, self.out, self.prompts = work, work / "out", work / "prompts.csv"
        warm(self._prepare, work / "said")

    def _prepare(self) -> None:
        nsd_imagery.synth(self.work / "root", format="hdf5")
        save_tiny_clip(self.work / "model")
        self.prompts.write_text(PROMPTS)
        self._embed(None, self.prompts)

    def _embed(self, death: Death | None, prompts: Path | None) -> None:
        watch(self.out, self.work / "log", death)
        options = {"out": self.out, "device": "cpu", "mode": "imagery", "batch_size": 12, "prompts": prompts}
        nsd_imagery.embed(self.work / "root", model=self.work / "model", **options)

    def run(self, prompts: Path | None, death: Death | None = None) -> int:
        """A run; 0, or as what it ended."""
        status = forked(partial(self._embed, death, prompts), self.work / "said")
        if death is None and status:
            raise RuntimeError((self.work / "said").read_text())
        return status

    def files(self) -> dict[str, bytes]:
        """What is in the folder, but the lock, which has the number of a process, and the note, which has times."""
        paths = (path for path in sorted(self.out.rglob("*")) if path.is_file())
        return {path.name: path.read_bytes() for path in paths if path.suffix not in (".lock", ".json")}

    def begin(self, *, anew: bool) -> dict[str, bytes]:
        """The folder as it is before a death, and what is in it."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        if not anew:
            self.run(self.prompts)
        return self.files()

    def unsound(self) -> list[str]:
        """What cannot be read though it has a name."""
        forked(self._unsound, self.work / "said")  # as pyarrow starts threads for it
        return (self.work / "said").read_text().splitlines()

    def _unsound(self) -> None:
        for path in self.out.rglob("*.parquet"):
            try:
                read_embeddings(path)
            except NSDImageryError as error:
                print(error)


def faults(runs: Runs, every: int, *, anew: bool) -> Iterator[str]:
    """What is wrong after each death, and after the run behind it."""
    runs.begin(anew=anew)
    runs.run(None)
    whole = runs.files()
    (name,) = whole
    for number in count(1, every):
        old = runs.begin(anew=anew)
        status = runs.run(None, Death("build", number))
        events = deadly(read_log(runs.work / "log"), "build")
        if status == 0 and len(events) < number:
            print(f"{'first' if anew else 'over another'}: {(number - 1) // every} deaths")
            return
        where = f"killed before event {number}, {events[-1]}:"
        if status != -signal.SIGKILL:
            yield f"{where} it ended with {status}"
        if runs.files().get(name) not in (old.get(name), whole[name]):
            yield f"{where} the file is neither the old one nor the new one"
        yield from (f"{where} {what}" for what in runs.unsound())
        runs.run(None)
        if (left := runs.files()) != whole:
            yield f"{where} the next run leaves {sorted(left)}, and other bytes or files than an undisturbed run"


def main() -> int:
    """Kill, print, and return the exit status."""
    parser = argparse.ArgumentParser(description="Kill embed before every event on the disk.")
    parser.add_argument("--every", type=int, default=1, help="kill at every N-th event only; default: each")
    every = parser.parse_args().every
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        runs = Runs(Path(folder).resolve())
        wrong = [what for anew in (True, False) for what in faults(runs, every, anew=anew)]
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
