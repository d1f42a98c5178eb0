"""What is shown beside scores: distances, drift, null distributions, answers. A part of `evaluation.json`.

    "exhibits": {
      "subj01": {                                  and "group", and each other group that has scores
        "runs": [                                  of a subject alone
          {"run": "visA", "condition": "vision", "stimulus_set": "A", "n_trials": 48, "n_valid": 48,
           "targets": ["bar_000...", ...], "n_valid_by_target": [8, ...]}],
        "responses": [                             a row a run and target; of a group, sums over subjects
          {"run": "imgA_1", "condition": "imagery", "stimulus_set": "A", "target": "bar_000...", "n_trials": 8,
           "first": 6, "second": 2, "none": 0,     times each button was pressed: see "buttons"
           "correct": null,                        of vision, answers that were right
           "n_subjects": 1}],
        "buttons": {"imagery": ["vivid", "not vivid"], "vision": ["letter and target match", "they do not"]},
        "rois": {
          "early": {
            "rdms": [
              {"stimulus_set": "A", "targets": [...], "unit": "...", "beta_version": "fithrf", "n_subjects": 1,
               "vision": [[...]], "imagery": [[...]],          (6, 6), or null
               "reason_vision": "", "reason_imagery": ""}],    why it is null
            "drift": [
              {"first": "visX", "second": "imgX_1", "stimulus_sets": ["A", "B", "C"], "n_subjects": 1,
               "apart": [0, 1, ...], "similarity": [null, ...], "low": [...], "high": [...], "n_pairs": [...],
               "band": [0.025, 0.975], "draws": 999, "reason": ""}],
            "nulls": [
              {"test": "primary" | "control" | "within vision" | "within imagery" | "imagery across",
               "measure": "margin", "stimulus_set": "", "train": "visX", "test_rows": "imgX_2", "how": "letter-free",
               "unit": "margin" of a subject, "z" of a group: the sum of z over subjects and sets,
               "edges": [n + 1], "counts": [n], "observed": 0.031, "p": 0.0001, "draws": 9999, "reason": ""}],
            "vivid": [
              {"stimulus_set": "A", "B" or "" over both, "identification": {...}, "margin": {...}}]
                       the primary test on the imagery trials that were called vivid: post hoc. Each {...} has the
                       fields of a `Score`, with how = "letter-free, vivid"; these are in no table and no family
          }}}}

No number is NaN; arrays are rounded to six digits.
"""
