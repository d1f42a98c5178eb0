"""The NSD-Imagery session of a synthetic subject: what its betas are the response to."""

from nsd_imagery.synthetic.events import run_events
from nsd_imagery.synthetic.randomness import generator
from nsd_imagery.synthetic.schedule import RunSchedule
from nsd_imagery.synthetic.signal import RunEvents


def session_runs(seed: int, subject: str, schedule: tuple[RunSchedule, ...]) -> list[RunEvents]:
    """The 12 runs, in the order of the session."""
    return [(run_events(of_run), generator(seed, "noise", subject, of_run.run.name)) for of_run in schedule]
