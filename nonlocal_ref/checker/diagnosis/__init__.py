"""What may be wrong with a gradient that was found to be wrong: small named hypotheses, each with its own test.

what a hypothesis sees and may ask            evidence.py, constants.py
off by a constant factor, zero                factors.py
at another place, of another argument         places.py
a sum that is missing                         sums.py
a term that is missing                        terms.py
softmax without its Jacobian                  softmax.py
mask, gate, pooling index                     gates.py
the right formula at the wrong values         values.py, partners.py
an array and the weight it is multiplied by   layers.py, inside.py; all of these behind it, behind.py
a factor for every output, or every entry     entrywise.py
an operation that we know                     known_operation/
in which order                                ranking.py
"""

from nonlocal_ref.checker.diagnosis.ranking import diagnose, same_cause

__all__ = ["diagnose", "same_cause"]
