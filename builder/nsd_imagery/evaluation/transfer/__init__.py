"""From perception to vision and imagery: what ridge regression, or anybody's model, reads there.

    training = training_rows(folder, "subj01", embeddings=ClipCache(root))
    decoder = training.decoder()
    scores = transfer(folder, "subj01", embeddings=space_of(ClipCache(root)))

`training` and `tested` are the rows that are learnt from and tested on, `space` the vectors, `ridge` and `decoder` what
is learnt, `scoring` the scorer. `baseline` is all of these in a row, `predicted` the same for predictions that come in
a file. What an evaluation is given for it is in `options` and `inputs`.
"""
