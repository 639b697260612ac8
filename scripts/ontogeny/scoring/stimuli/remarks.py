"""What is odd about items, though it may be meant: told, not refused."""

from collections.abc import Sequence

from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.study.probes import BinomialsProbe


def remarks(items: Sequence[Binomial], probe: BinomialsProbe) -> list[str]:
    """One line for each thing that a person should look at once; most often there is none."""
    lines = []
    if turned := [item for item in items if item.turned]:
        lines.append(
            f"{len(turned)} of {len(items)} pairs are not in alphabetical order, the first is "
            f"{turned[0].given!r}; they are turned, with references and constraints, which are "
            "read as of the first word first (a reference may say `of: alphabetical`)"
        )
    for name, reference in probe.references.items():
        values = [v for item in items if (v := item.references[name]) is not None]
        middle = reference.midpoint
        outside = [value for value in values if not 0 <= value <= 1]
        if middle == 0.5 and outside:
            lines.append(
                f"reference {name!r}: {len(outside)} of {len(values)} values are not from 0 to 1, "
                f"the first is {outside[0]:g}, but its midpoint is 0.5, as of a probability; are "
                "they percent (divide by 100), or ratings or log odds (give `midpoint`)?"
            )
        elif len(values) > 1 and not min(values) < middle < max(values):
            lines.append(
                f"reference {name!r}: all {len(values)} values, from {min(values):g} to "
                f"{max(values):g}, are on one side of its midpoint {middle:g}; is the `midpoint` "
                "right? Accuracy tells how often one order is preferred, no more"
            )
    return lines
