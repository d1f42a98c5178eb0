"""Figures of an evaluation, for papers and notebooks: each function gives a matplotlib Figure.

    from nsd_imagery import plot
    figure = plot.identification("evaluation", subject="subj01")
    figure.savefig("identification.pdf")

Figures are one column wide (89 mm) unless they say otherwise. A score that could not be estimated is not drawn; the
figure says why. matplotlib is needed: it comes with the extra "evaluate".
"""
