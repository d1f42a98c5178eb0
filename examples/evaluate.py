"""From nothing to every number: a synthetic release, the dataset, and what of imagery perception can read.

Of real data: nsd_imagery.build(ROOT), nsd_imagery.embed(ROOT, model=...), then evaluate with embeddings=ROOT.
"""

import nsd_imagery

release = nsd_imagery.synth("release", format="hdf5", perception_sessions=3)
folder = nsd_imagery.build(release, "./nsd_imagery")

# What the synthetic betas are linear in is written beside them as embeddings are, in release/truth.
evaluation = nsd_imagery.evaluate(folder, "evaluation", embeddings=release / "truth", draws=999)
for line in evaluation.headline:
    print(f"{line.number:>2} {line.name:20} {line.text}")
print(f"\n{evaluation.table()}\n\nall scores: {evaluation.path / 'scores.parquet'}")
