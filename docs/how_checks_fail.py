"""By check, how a failure comes about and how it shows in a report: for the page of checks.

`generate` asks for each check of the catalogue, so that a new one cannot be left out.
"""

from typing import Final

HOW: Final = {
    "files.present": "a file without which no trial can be labelled or no voxel found is not in the root. Each is named with the "
    "place that the release has it in; the labels and data of that subject are then skipped.",
    "files.optional": "never: it is skipped, with what the absent file would add, for example a column of `-voxels`.",
    "files.tables-sound": "a table cannot be read: a web page that was saved in its place, a spreadsheet's semicolons, a cut file, "
    "a number where none can be. The line names file, row and value. What that file labels is skipped.",
    "files.one-grid": "a mask, a map or a beta file has another shape or affine than `nsdgeneral.nii.gz`: another subject, "
    "func1mm instead of func1pt8mm, or a volume that some tool resampled. The line gives both grids.",
    "files.label-tables": "an atlas holds a label that its `.mgz.ctab` has no name for.",
    "files.betas-sound": "the header of a beta file cannot be: too short, another type, 640 volumes where the trials are 720.",
    "files.betas-whole": "the file ends early, or its gzip checksum (CRC-32) or an HDF5 chunk is wrong. The line says at which byte "
    "or chunk.",
    "files.pictures": "`nsd_stimuli.hdf5` has not 73,000 pictures of 425 × 425 × 3, or a trial names a picture that is not in it.",
    "labels.run-numbers": "RUN of the twelve behaviour files is not 1 to 12, each once: a file is there twice under two names, or was "
    "renumbered.",
    "labels.letters": "CONDITION or CUE is a letter that no target of the set has.",
    "labels.cue-shown": "FRAMEFILE ends in `_cueL.png`, but CUE is another letter.",
    "labels.seen-picture": "FRAMEFILE shows another picture than CONDITION says, or shows one in a run where the screen is blank. Of "
    "labels that were made from CUE, this is the first check to fail.",
    "labels.photographs": "a photograph comes twice in visC, whose 48 trials show 48 photographs.",
    "labels.ground-truth": "GROUNDTRUTH says match where CONDITION and CUE differ, or the other way round.",
    "labels.target-present": "in an attention run GROUNDTRUTH is 1 but IMAGEFILE does not name the attended target, or is 0 but does.",
    "labels.imagery-cue": "in an imagery run the letter on the screen is not the target's own.",
    "labels.balance": "a target comes more or less often in a run than 8 times.",
    "labels.run-order": "the design of a run has another number of onsets, or other columns, than its RUN says: 48 in vision and "
    "imagery, 96 in attention. Vision and imagery exchanged shows here.",
    "labels.design-columns": "within a run a letter has one design column but for a trial or two: the order of trials differs between "
    "behaviour and design.",
    "labels.onset-times": "TRIALONSET is more than 1.5 s from the onset in the design, or the two epochs of an attention trial are not "
    "about 3 s apart.",
    "labels.attention-epochs": "the cue and detection epochs of an attention run share design columns.",
    "labels.chronological": "TRIALONSET falls from one trial to the next: the lines were sorted.",
    "labels.matched-half": "another number than 24 of the 48 vision trials shows the target's own letter. 48 of 48 means that CONDITION "
    "was written over with CUE.",
    "labels.buttons": "BUTTON is something else than 1, 2 or blank.",
    "labels.no-target-twice-in-a-row": "a target follows itself: the experiment never did that, so lines were moved.",
    "labels.vision-design": "the design columns of a vision run go neither with what was seen nor with what was cued.",
    "labels.imagery-order": "never: it says which imagery runs have the order of their set's vision run.",
    "labels.id-base": "the number in a file name, less 1, is not one of NSD's shared 1,000 pictures.",
    "labels.proven": "labels cannot be made at all. The line is the one with which a build would stop.",
    "rows.unique-ids": "two rows share a `trial_id`, or one is not what its formula gives.",
    "rows.volumes-once": "two rows claim the same volume of a beta file.",
    "rows.picture-ids": "`nsd_id` is outside 0 to 72,999, is not the number in the target's name less 1, or `stimulus` does not follow "
    "from the two. Ids that count from 1 show here.",
    "rows.run-structure": "a run has another task, stimulus set or number of rows than a run of that number.",
    "rows.row-order": "volume n + 1 is an earlier trial than volume n. It looks at the numbers in the table alone; whether the betas "
    "themselves are in order is asked by `data.row-order`.",
    "rows.matched-half": "in a whole vision run `cue_matches` is 1 for more or fewer than 24 of 48 trials.",
    "rows.repeats": "`repeat_index` does not rise with time, or a target has not its number of repeats.",
    "rows.no-target-twice-in-a-row": "a target follows itself in a run.",
    "data.formats": "the two files of the same betas differ; the line says in how many voxels, and where first.",
    "data.scale": "the numbers cannot be percent signal change (for example integers that were divided by 300 twice, or not at all), "
    "more than 1 in 1,000 is saturated, or voxels that `valid_nsdimagery` names hold nothing.",
    "data.seen-target": "single vision trials are not identified above chance (one of six is 0.17) although there is signal enough. "
    "Betas and labels are of different subjects, or labels were shuffled.",
    "data.vision-against-imagery": "what is labelled imagery drives V1 to V3 more strongly and more reliably than what is labelled "
    "vision: the two were exchanged. A public loader orders runs in a way that does this.",
    "data.seen-or-cued": "on the 24 mismatched trials of a run the betas are like the target of the letter rather than the one labelled "
    "as seen, or there are no mismatched trials at all: the labels are the cues.",
    "data.row-order": "another assignment of rows to labels explains the betas better than yours, beyond p = 0.0001. Four are tried: "
    "betas one row late, one row early, grouped by target (as a table sorted by condition would have them), and the labels of another "
    'run. The report says which fits best ("the data fit better: betas one row early"), and two kinds of numbers. `z_over_…` is the '
    "evidence for your labels over that rival: positive speaks for yours, below −3.7 for the rival. `best_other_start_A` is "
    "where else in the file the labels of set A fit best, as a volume from 0; read it only where `z_over_…` speaks for a rival. "
    'With "not decidable" a rival could not be excluded, which happens with weak signal and is no fault. `rows.row-order` asks the same '
    "of the table alone.",
    "data.voxel-order": "targets are told apart well, but not better by the voxels that the masks call early visual cortex than by "
    "those of the rest: mask and betas do not lie on each other.",
    "data.imagery-repeats": "never: it gives the rate with which imagined targets are told apart across the two imagery runs.",
    "data.mean-map": "the mean of a voxel over all trials is not that of the release's map. The line says how many voxels, and what it "
    "looks like: a damaged file, exchanged axes, another order of chunks, betas of another subject or version.",
    "index.columns": "the Parquet file lacks a column or has one of another type.",
    "folder.card": "README.md is not there, or its machine-read part names other shards, sizes or columns than `manifest.json`.",
    "folder.shards": "a shard is not there, shorter, or its sha256 is not the manifest's.",
    "folder.columns": "a shard has other columns, another number of rows, or a null.",
    "folder.voxels": "`-voxels` was sorted, or has not one row a column of `betas`.",
    "folder.scores": "mean or sd of a group of z-scored trials is not 0 or 1, or a voxel without variance is not 0.",
    "folder.rows": "with `--deep`: the values in a shard do not hash to what the manifest says.",
    "source.labels": "a label of the index is not what the root's files give today: the root changed since, or the index was edited.",
    "source.same": "a column of a shard differs from what the root gives. The line names the first row, its value and the root's.",
}
"""A sentence that goes on from "Fails when"."""
