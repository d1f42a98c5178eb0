"""What is in a built folder: reliability, identification, geometry, each with its chance, ceiling, p and interval.

`runs` are a subject's trials as every estimate takes them, `gram` all their products. From these come reliability
(`ceiling`, `perception`), identification (`identify`, `templates`, `comparisons`) and geometry (`geometry`,
`relations`), each as `score.Score`. `subject` is all of one subject, `group` of several, `run` the whole evaluation,
which `output` writes and `opened` reads. Transfer from perception, two evaluations side by side, figures and the page
have packages of their own.
"""
