"""What a trial manifest says twice must agree: its runs, its epochs, its targets with their letters and pictures.

A manifest may leave out almost everything; what it does not say is not asked for. The stimulus table and the facts of
the experiment prove the rest, so that one wrong field does not become a wrong label.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence

from nsd_imagery.errors import DataError, shown
from nsd_imagery.experiment import RUNS, TARGETS_PER_SET, TRIALS_PER_RUN
from nsd_imagery.sources.trial_manifest import Entry

_RUNS = {run.name: run for run in RUNS}


def prove(entries: Sequence[Entry], info: Sequence[Entry]) -> None:
    """Check the trials of a subject.

    Args:
        entries: The trials; blank fields are filled.
        info: The lines of the stimulus table.

    Raises:
        DataError: Two fields contradict each other.
    """
    for error in (
        *_runs(entries),
        *_epochs(entries),
        *_pictures(entries),
        *_targets(entries, info),
        *_balance(entries),
    ):
        raise error


def _runs(entries: Sequence[Entry]) -> Iterator[DataError]:
    """A run has one condition, one set and one number, and no other run has that number."""
    named = [entry for entry in entries if entry["run_name"]]
    for entry in named:
        run = _RUNS[entry["run_name"]]
        conditions = (run.condition, "perception") if run.condition == "vision" else (run.condition,)
        if entry["condition"] not in conditions:
            yield entry.error("condition", f"but run_name is {run.name}")
        if entry["stimulus_set"] not in (None, run.stimulus_set):
            yield entry.error("stimulus_set", f"but run_name is {run.name}")
    numbers = {(entry["session"], entry["run_number"]) for entry in named if entry["run_number"] is not None}
    for entry in entries:
        if entry["run_name"] is None and (entry["session"], entry["run_number"]) in numbers:
            yield entry.error("run_name", f"but other trials of run_number {entry['run_number']} have one")
    for one, other in (("run_name", "run_number"), ("run_number", "run_name")):
        usual = _usual(((entry["session"], entry[one]), entry[other]) for entry in named)
        for entry in named:
            expected = usual[entry["session"], entry[one]]
            if entry[one] is not None and entry[other] != expected:
                yield entry.error(other, f"but in other trials of {one} {entry[one]} it is {expected}")


def _usual(pairs: Iterable[tuple[Hashable, object]]) -> dict[Hashable, object]:
    """The value that goes with each key most often."""
    counts: dict[Hashable, Counter[object]] = defaultdict(Counter)
    for key, value in pairs:
        counts[key][value] += 1
    return {key: min(count, key=lambda value: (-count[value], str(value))) for key, count in counts.items()}


def _epochs(entries: Sequence[Entry]) -> Iterator[DataError]:
    """Only attention trials have epochs and a target to detect; of a session's, all have an epoch or none."""
    with_epochs = {entry["session"] for entry in entries if entry["epoch"] is not None}
    for entry in entries:
        if entry["epoch"] is not None and entry["condition"] != "attention":
            yield entry.error("epoch", f"but condition is {entry['condition']}, which has no epochs")
        if entry["target_present"] is not None and entry["condition"] != "attention":
            yield entry.error("target_present", f"but condition is {entry['condition']}, which has none to detect")
        if entry["epoch"] is None and entry["condition"] == "attention" and entry["session"] in with_epochs:
            yield entry.error("epoch", "but other attention trials have one")


def _pictures(entries: Sequence[Entry]) -> Iterator[DataError]:
    """A picture of COCO is one of NSD's."""
    for entry in entries:
        if entry["coco_id"] is not None and entry["nsd_id"] is None:
            yield entry.error("coco_id", "but nsd_id is blank: a picture has both")


def _targets(entries: Sequence[Entry], info: Sequence[Entry]) -> Iterator[DataError]:
    """A target has the letter and the picture that the stimulus table gives it."""
    of_targets = [entry for entry in info if entry["target"] is not None and "trial_in_session" not in entry.values]
    table = {entry["target"]: entry for entry in of_targets}
    complete = Counter(entry["stimulus_set"] for entry in table.values())
    for entry in entries:
        own = table.get(entry["target"])
        if own is None:
            if entry["target"] is not None and complete[entry["stimulus_set"]] >= TARGETS_PER_SET:
                yield entry.error("target", f"which is not in {of_targets[0].line.path}")
            continue
        where = f"{own.line.path}, line {own.line.number}"
        letter, cue, matches = own["cue"], entry["cue"], entry["cue_matches"]
        if letter is not None and cue is not None:
            if matches is not None and matches != (cue == letter):
                yield entry.error("cue_matches", f"but cue is {cue}, and {where} gives {shown(own['target'])} {letter}")
            if entry["condition"] == "imagery" and cue != letter:
                yield entry.error("cue", f"but {where} gives {shown(own['target'])} {letter}")
        # In vision runs of set C a target is a word, and each trial shows another photograph.
        is_word = entry["condition"] in ("vision", "perception") and entry["stimulus_set"] == "C"
        if "nsd_id" in own.values and own["nsd_id"] != entry["nsd_id"] and not is_word:
            yield entry.error("nsd_id", f"but {where} has {own['nsd_id']} for {shown(own['target'])}")


def _balance(entries: Sequence[Entry]) -> Iterator[DataError]:
    """A whole run has each target equally often, and a vision run each letter."""
    runs: dict[Hashable, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry["run_name"] and entry["epoch"] != "detection":
            runs[entry["session"], entry["run_name"]].append(entry)
    for (_, name), trials in runs.items():  # type: ignore[misc]
        columns = ("target", "cue") if _RUNS[name].condition == "vision" else ("target",)
        for column in columns if len(trials) == TRIALS_PER_RUN else ():
            counts = Counter(trial[column] for trial in trials)
            wrong = [value for value, count in counts.items() if count != TRIALS_PER_RUN // TARGETS_PER_SET]
            if wrong and set(counts) != {None}:
                first = next(trial for trial in trials if trial[column] in wrong)
                each = TRIALS_PER_RUN // TARGETS_PER_SET
                yield first.error(column, f"and so in {counts[first[column]]} trials of {name}, not in {each}")
