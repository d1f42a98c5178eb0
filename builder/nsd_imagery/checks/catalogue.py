"""All checks of `verify`: what each proves, and what to do when it fails, by kind and in the order of a report."""

from typing import Final

from nsd_imagery.checks.check import Check
from nsd_imagery.sources.proof import PROOFS

_COPY_RUN = "Copy the run's nsdimagery_subjAA_<run>.tsv again from the release's nsddata/bdata/nsdimagery"
_COPY_RUN_OR_DESIGN = f"{_COPY_RUN}, and designmatrixGLMsingle.mat from nsddata/experiments/nsdimagery"
_MAKE_AGAIN = (
    "write an index again with nsd-imagery index ROOT, a folder with nsd-imagery build ROOT; in a root, correct the "
    "lines of trial_manifest_subjAA.csv, or copy the files again that label the trials"
)

# ---- files --------------------------------------------------------------------------------------------------------

FILES_PRESENT = Check(
    "files.present",
    "The files that the labels and masks need are there",
    "Copy the files that are named from the release to these places, then run nsd-imagery verify ROOT again",
)
FILES_OPTIONAL = Check(
    "files.optional",
    "Files that add columns are there",
    "Nothing has to be done: copy the file that is named where its columns are wanted, and run nsd-imagery build ROOT",
)
FILES_ONE_GRID = Check(
    "files.one-grid",
    "Betas, masks and maps of a subject lie on one grid in one place",
    "Copy the file that is named again, from func1pt8mm of the same subject, as nsdgeneral.nii.gz and the betas are: "
    "it is damaged, of another subject or resolution, or was resampled",
)
FILES_LABEL_TABLES = Check(
    "files.label-tables",
    "Every label in an atlas has a name in its table",
    "Copy the .mgz.ctab that is named and the atlas (roi/*.nii.gz) again: they are of different versions",
)
FILES_BETAS_SOUND = Check(
    "files.betas-sound",
    "The beta file can be read: volumes, type and scaling as it says itself",
    "Copy betas_nsdimagery.hdf5 (or betas_sessionNN.hdf5, or the .nii.gz) again from the release: this one was "
    "cut, or is another format than its name says",
)
FILES_PICTURES = Check(
    "files.pictures",
    "The picture file is NSD's, and every nsd_id is in it",
    "Copy nsd_stimuli.hdf5 again (39 GB, from nsddata_stimuli/stimuli/nsd), or take it away: only images need it",
)
FILES: Final = (
    FILES_PRESENT, FILES_OPTIONAL, FILES_ONE_GRID, FILES_LABEL_TABLES, FILES_BETAS_SOUND, FILES_PICTURES,
)  # fmt: skip

# ---- labels -------------------------------------------------------------------------------------------------------

LABELS_READABLE = Check(
    "labels.readable",
    "The files that label NSD-Imagery can be read",
    "Copy the file that is named (nsdimagery_subjAA_<run>.tsv, {A,B,C}_pair_list.mat, designmatrixGLMsingle.mat, "
    "nsd_stim_info_merged.csv) again from the release: it is missing, damaged or was edited",
)
_PROOF_REMEDIES: Final = {
    "run-numbers": f"{_COPY_RUN}: RUN says when a run came (visA is 1, imgC_2 is 12), and was edited or renumbered",
    "letters": f"{_COPY_RUN}, and the set's pair list ({{A,B,C}}_pair_list.mat): a letter was edited in one of them",
    "cue-shown": f"{_COPY_RUN}: CUE was edited, or the runs of two files were exchanged",
    "seen-picture": f"{_COPY_RUN}, and the set's pair list ({{A,B,C}}_pair_list.mat): CONDITION is what was seen, "
    "never the letter that was shown",
    "photographs": f"{_COPY_RUN}: lines of visC were copied or edited",
    "ground-truth": f"{_COPY_RUN}: CONDITION, CUE or GROUNDTRUTH was edited",
    "target-present": f"{_COPY_RUN}: GROUNDTRUTH or IMAGEFILE was changed",
    "imagery-cue": f"{_COPY_RUN}: CONDITION or CUE was edited, or the file is not of an imagery run",
    "balance": f"{_COPY_RUN}: CONDITION was edited, or lines are of another run",
    "run-order": f"{_COPY_RUN_OR_DESIGN}: the order of runs is that of RUN (in a set vision, attention, imagery)",
    "design-columns": f"{_COPY_RUN_OR_DESIGN}: trials of one of them were put in another order",
}
LABELS_PROOFS: Final = tuple(Check(f"labels.{p.id}", p.proves, _PROOF_REMEDIES[p.id]) for p in PROOFS)
"""In the order of `PROOFS`."""

LABELS_ONSET_TIMES = Check(
    "labels.onset-times",
    "The k-th onset of a run's design is the k-th TRIALONSET; the detection epoch follows about 3 s later",
    f"{_COPY_RUN_OR_DESIGN}: one of them is of another run, or its times were changed",
)
LABELS_ATTENTION_EPOCHS = Check(
    "labels.attention-epochs",
    "The cue and the detection epochs of attention trials are in design columns of their own, in turn",
    "Copy designmatrixGLMsingle.mat again from nsddata/experiments/nsdimagery: its epochs cannot be told apart",
)
LABELS_CHRONOLOGICAL = Check(
    "labels.chronological",
    "TRIALONSET rises from trial to trial",
    f"{_COPY_RUN}: its lines were sorted, or TRIALONSET was edited",
)
LABELS_MATCHED_HALF = Check(
    "labels.matched-half",
    "In a vision run 24 trials show the target's own letter and 24 another's, and each letter is shown 8 times",
    f"{_COPY_RUN}: if all letters match, CONDITION was written over with CUE, which mislabels half of the trials",
)
LABELS_BUTTONS = Check("labels.buttons", "BUTTON is 1, 2 or blank", f"{_COPY_RUN}: BUTTON was edited or coded anew")
LABELS_NO_TARGET_TWICE = Check(
    "labels.no-target-twice-in-a-row",
    "No target comes twice in a row",
    f"{_COPY_RUN}: its lines were sorted or edited",
)
LABELS_VISION_DESIGN = Check(
    "labels.vision-design",
    "The design columns of vision runs follow what was seen or what was cued",
    f"{_COPY_RUN_OR_DESIGN}: they do not go together in the run that is named",
)
LABELS_IMAGERY_ORDER = Check(
    "labels.imagery-order",
    "For information: which imagery runs repeat the order of the vision run of their set",
    "Nothing has to be done: test transfer from vision on the other imagery runs (run_name imgX_2), which "
    "nsd-imagery build keeps beside them",
)
LABELS_ID_BASE = Check(
    "labels.id-base",
    "The number in a picture's file name is its 0-based NSD id plus 1",
    "Copy nsd_stim_info_merged.csv, B_pair_list.mat and nsdimagery_subjAA_visC.tsv again: numbers in file names count "
    "from 1, and somebody made them count from 0, or shifted the table",
)
LABELS_PROVEN = Check(
    "labels.proven",
    "The labels can be made of the files, and no two files contradict each other",
    "Copy the file that is named again; of a trial_manifest_subjAA.csv of your own, correct the line that is named",
)
LABELS: Final = (
    LABELS_READABLE, *LABELS_PROOFS, LABELS_ONSET_TIMES, LABELS_ATTENTION_EPOCHS, LABELS_CHRONOLOGICAL,
    LABELS_MATCHED_HALF, LABELS_BUTTONS, LABELS_NO_TARGET_TWICE, LABELS_VISION_DESIGN, LABELS_IMAGERY_ORDER,
    LABELS_ID_BASE, LABELS_PROVEN,
)  # fmt: skip

# ---- rows ---------------------------------------------------------------------------------------------------------

ROWS_UNIQUE_IDS = Check(
    "rows.unique-ids",
    "No trial_id comes twice, and each is that of its formula",
    f"Give no trial_id of your own, it is made by formula: {_MAKE_AGAIN}",
)
ROWS_VOLUMES_ONCE = Check(
    "rows.volumes-once",
    "No volume of a beta file is two rows",
    f"A beta_index was edited or counts anew within a run: {_MAKE_AGAIN}",
)
ROWS_PICTURE_IDS = Check(
    "rows.picture-ids",
    "nsd_id is 0 to 72,999 and the picture that the target's name says, and stimulus is its key",
    f"Subtract 1 from numbers of file names and of 73KID: {_MAKE_AGAIN}",
)
ROWS_RUN_STRUCTURE = Check(
    "rows.run-structure",
    "The runs of NSD-Imagery have the task, the stimulus set and the number of betas of their number",
    f"Number runs by their RUN (in a set vision, attention, imagery): {_MAKE_AGAIN}",
)
ROWS_ROW_ORDER = Check(
    "rows.row-order",
    "Volumes are in the order of runs and trials, the cue epoch of an attention trial before its detection epoch",
    f"A beta_index was shifted, or trials were sorted: {_MAKE_AGAIN}",
)
ROWS_MATCHED_HALF = Check(
    "rows.matched-half",
    "In a whole vision run half of the trials show the target's own letter",
    f"Label vision trials by what was seen, never by the letter: {_MAKE_AGAIN}",
)
ROWS_REPEATS = Check(
    "rows.repeats",
    "repeat_index counts from 0 in order; a whole session has 8 vision, 16 imagery and 8 attention trials a target",
    f"Leave repeat_index to be counted, and look for trials under a wrong target: {_MAKE_AGAIN}",
)
ROWS_NO_TARGET_TWICE = Check(
    "rows.no-target-twice-in-a-row",
    "No target comes twice in a row in a run",
    f"A target was edited, or trials were sorted: {_MAKE_AGAIN}",
)
ROWS: Final = (
    ROWS_UNIQUE_IDS, ROWS_VOLUMES_ONCE, ROWS_PICTURE_IDS, ROWS_RUN_STRUCTURE, ROWS_ROW_ORDER, ROWS_MATCHED_HALF,
    ROWS_REPEATS, ROWS_NO_TARGET_TWICE,
)  # fmt: skip

# ---- data ---------------------------------------------------------------------------------------------------------

DATA_READABLE = Check(
    "data.readable",
    "The beta file can be read to its last byte, and its checksum is right where it has one",
    "Copy the beta file that is named again (betas_nsdimagery.hdf5 or .nii.gz): it is damaged or of another grid",
)
DATA_FORMATS = Check(
    "data.formats",
    "The .hdf5 and the .nii.gz of the same betas hold the same numbers",
    "Copy both betas_nsdimagery.hdf5 and betas_nsdimagery.nii.gz again: one of them is damaged, or was made anew",
)
DATA_SCALE = Check(
    "data.scale",
    "Betas have the scale of percent signal change, and rows and voxels hold data",
    "Copy the beta file and valid_nsdimagery.nii.gz of the subject again; betas that were converted keep their axes, "
    "and are int16 x 300 or percent as floats, or beta_scale says what (trial_manifest_subjAA.csv; NAME.json beside)",
)
DATA_QUESTIONS: Final = (
    Check(
        "data.seen-target",
        "In vision the betas tell the labelled targets apart (sets A and B, early visual cortex)",
        "Copy the subject's betas_nsdimagery.hdf5 and nsdimagery_subjAA_<run>.tsv again, from one subject: betas and "
        "labels do not belong together; then build again with nsd-imagery build ROOT",
    ),
    Check(
        "data.vision-against-imagery",
        "Vision drives V1-V3 more strongly and more reliably than imagery",
        "Take the order of runs from RUN in nsdimagery_subjAA_<run>.tsv (in a set vision, attention, imagery), and "
        "correct trial_manifest_subjAA.csv where it calls vision imagery; then nsd-imagery build ROOT",
    ),
    Check(
        "data.seen-or-cued",
        "On mismatched trials betas are like the target labelled as seen, not like the one cued",
        "Label vision trials by CONDITION, never by CUE: copy nsdimagery_subjAA_vis{A,B,C}.tsv again, or correct the "
        "targets in trial_manifest_subjAA.csv; then nsd-imagery build ROOT",
    ),
    Check(
        "data.row-order",
        "Betas are in order of time, each under its own label",
        "Copy betas_nsdimagery.hdf5 again, or correct beta_index in trial_manifest_subjAA.csv: volumes are in order of "
        "time, not grouped by target nor one late; then nsd-imagery build ROOT",
    ),
    Check(
        "data.voxel-order",
        "Voxels of early visual cortex tell seen targets apart better than those of the rest",
        "Copy the beta file and the masks (roi/nsdgeneral.nii.gz, roi/prf-visualrois.nii.gz) of the subject again: "
        "axes were exchanged, voxels were put in another order, or one is of another subject",
    ),
    Check(
        "data.imagery-repeats",
        "For information: imagined targets told apart from one imagery run to the other",
        "Nothing has to be done: to see it in the other beta version, run nsd-imagery verify ROOT --betas fithrf",
    ),
)
DATA_MEAN_MAP = Check(
    "data.mean-map",
    "Each voxel's mean over all trials is that of the release's map: no voxel is damaged, in another place or of other "
    "betas (it cannot see the order of trials)",
    "Copy the beta file that is named and the map beside it (meanbeta_nsdimagery.nii.gz, or meanbeta_sessionNN.nii.gz) "
    "again from one folder of the release: one is damaged, or of another subject, beta version or session",
)
DATA: Final = (DATA_READABLE, DATA_FORMATS, DATA_SCALE, *DATA_QUESTIONS, DATA_MEAN_MAP)

# ---- index, folder, source ----------------------------------------------------------------------------------------

INDEX_COLUMNS = Check(
    "index.columns",
    "Columns and types are those of the schema",
    "Write the index again with nsd-imagery index ROOT: the file is damaged, edited, or of another version",
)
INDEX: Final = (INDEX_COLUMNS,)

FOLDER_CARD = Check(
    "folder.card",
    "README.md is the card of this manifest: it names these shards, features and sizes",
    "Build again with nsd-imagery build ROOT --out FOLDER: it writes README.md anew and keeps sound shards",
)
FOLDER_SHARDS = Check(
    "folder.shards",
    "Every shard of the manifest is there, whole, and of the contents that its name and hash say",
    "Build again with nsd-imagery build ROOT --out FOLDER, or copy the shards (*.arrow) that are named again from "
    "where the folder came from",
)
FOLDER_COLUMNS = Check(
    "folder.columns",
    "Columns and types are those of the schema, as many rows as the manifest says, and no nulls",
    "Build again into a new folder with nsd-imagery build ROOT --out FOLDER: manifest.json or its shards were edited",
)
FOLDER_VOXELS = Check(
    "folder.voxels",
    "-voxels has a row for each column of betas, in the order of the volume",
    "Build again into a new folder with nsd-imagery build ROOT --out FOLDER: the rows of -voxels were sorted",
)
FOLDER_SCORES = Check(
    "folder.scores",
    "Over the valid trials of each group betas have mean 0 and sd 1, and 0 where a voxel does not vary",
    "Build again into a new folder with nsd-imagery build ROOT --out FOLDER: betas were scaled again, or -stats is of "
    "another build",
)
FOLDER_ROWS = Check(
    "folder.rows",
    "The rows of each shard hash to what the manifest says",
    "Build again into a new folder with nsd-imagery build ROOT --out FOLDER: manifest.json and its shards differ",
)
FOLDER: Final = (FOLDER_CARD, FOLDER_SHARDS, FOLDER_COLUMNS, FOLDER_VOXELS, FOLDER_SCORES, FOLDER_ROWS)

SOURCE_LABELS = Check(
    "source.labels",
    "The labels of the index are those that the root's files prove",
    "Write the index again with nsd-imagery index ROOT, or name the root that it is of (--root)",
)
SOURCE_SAME = Check(
    "source.same",
    "Made again from the root, the rows of each shard are the same, betas and labels",
    "Name the root that the folder was built from (--root), or build it again with nsd-imagery build ROOT --out FOLDER",
)
SOURCE: Final = (SOURCE_LABELS, SOURCE_SAME)

CHECKS: Final = (*FILES, *LABELS, *ROWS, *DATA, *INDEX, *FOLDER, *SOURCE)
