"""A synthetic NSD-Imagery release: true in every format, planted in every number, and nobody's data.

NSD's terms allow no file of the release to be passed on, so tests, the demo and first steps run on one of these.
"""

from nsd_imagery.synthetic.effects import SIGNALS, Signal
from nsd_imagery.synthetic.tree import synth

__all__ = ["SIGNALS", "Signal", "synth"]
