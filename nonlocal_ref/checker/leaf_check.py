"""One leaf: its analytic gradient against measured derivatives, along random directions or entry by entry."""

from collections.abc import Iterable

import numpy as np

from nonlocal_ref.backend import Array
from nonlocal_ref.checker.contract import ContractError
from nonlocal_ref.checker.evaluation import Evaluation
from nonlocal_ref.checker.measurement import STAIRS, Measured, Measurement
from nonlocal_ref.checker.noise import moved_a_little, sample_gradients
from nonlocal_ref.checker.verdict import Entry, Verdict, judge, worst

REDRAWS = 10


class LeafCheck:
    """Compares a = <backward(u), v> with n = <u, J v>: v a direction of the leaf, u each of K cotangents."""

    def __init__(self, measurement: Measurement, gradients: np.ndarray, noise: np.ndarray) -> None:
        self.measurement = measurement
        self.gradients = gradients  # (K, entries)
        self.noise = noise  # (K, entries)
        self.shape = measurement.leaf.values.shape
        self.smooth = 0  # directions or entries that were compared
        self.kinked = 0  # and those along which there was a kink
        self.unseen = np.arange(measurement.leaf.values.size)  # entries that moved along no direction that was compared

    def compare(self, v: np.ndarray) -> Verdict | None:
        """The worst verdict over the cotangents along v; None where there is no derivative to compare with."""
        with np.errstate(all="ignore"):  # steps out of the domain of op show as NaN
            measured = self.measurement.along(v, believed=lambda stepped: worst(self.verdicts(v, stepped)).right)
            self.smooth += measured is not None
            self.kinked += measured is None and self.measurement.applies
            if measured is None:
                return None
            verdicts = self.verdicts(v, measured)
            if measured.seen is not None and worst(verdicts).right:
                verdicts = self.second_look(v, measured, verdicts)
            if self.measurement.closely and not worst(verdicts).right:
                verdicts = self.excused(v, verdicts)
            return worst(verdicts)

    def verdicts(self, v: np.ndarray, measured: Measured) -> list[Verdict]:
        """One for each cotangent."""
        flat, rtol = v.ravel(), self.measurement.rtol
        noise = self.noise @ np.abs(flat) + measured.noise
        rows = zip(self.gradients @ flat, measured.numeric, noise, measured.truncation, strict=True)
        return [judge(float(a), float(n), rtol, float(e), float(t)) for a, n, e, t in rows]

    def second_look(self, v: np.ndarray, measured: Measured, found: list[Verdict]) -> list[Verdict]:
        """Where only the noise of a difference makes it right: with less of that, but then the error must stay."""
        assert measured.seen is not None
        if worst(self.verdicts(v, measured._replace(noise=measured.seen))).right:
            return found
        noise = measured.seen + self.measurement.noise_elsewhere(v)
        closer = self.verdicts(v, measured._replace(noise=noise))
        wrong = np.asarray([not verdict.right for verdict in closer])
        stays = np.any(wrong) and self.stays(v, measured.numeric, wrong)
        return closer if stays and self.measurement.holds_elsewhere(v) else found

    def stays(self, v: np.ndarray, numeric: np.ndarray, wrong: np.ndarray) -> bool:
        """Whether a - n is the same, to half of it, where all has moved a little: a mistake is, rounding is not."""
        measurement, flat = self.measurement, v.ravel()
        evaluation = measurement.evaluation
        error = self.gradients @ flat - numeric
        for values, cotangents in moved_a_little(evaluation.arguments, evaluation.values, measurement.cotangents):
            try:
                call = evaluation.call.again(values)
                gradients = [call.gradients(u.reshape(evaluation.shape))[measurement.position] for u in cotangents]
            except (ContractError, KeyError):  # no value there, or no gradient: nothing to hold it to
                return False
            moved = np.stack([gradient.ravel() for gradient in gradients]) @ flat - measurement.at(
                values, cotangents, v
            )
            if not np.all(np.abs(moved - error)[wrong] <= np.abs(error)[wrong] / 2):
                return False
        return True

    def excused(self, v: np.ndarray, found: list[Verdict]) -> list[Verdict]:
        """The verdicts, those taken back whose error is rounding of what the derivative is elsewhere.

        What a saturated backward subtracts (p - 1 for a p near 1) is rounded like the large numbers it is made of.
        They are not to be seen here, but are where the operation is not saturated; and there it must be right.
        """
        errors = np.asarray([0.0 if verdict.right else verdict.error for verdict in found])
        rounding = self.rounding_elsewhere(v, errors)
        if rounding is None:
            self.measurement.closely = False  # it is wrong, whatever the others are
            return found
        return [
            verdict._replace(bound=max(verdict.bound, float(e))) for verdict, e in zip(found, rounding, strict=True)
        ]

    def rounding_elsewhere(self, v: np.ndarray, errors: Array) -> Array | None:
        """64 ε of the derivatives, term by term, where they are large enough to explain the errors; None if nowhere.

        On the way there nothing may be wrong by more than that.
        """
        measurement = self.measurement
        epsilons, path = STAIRS * measurement.eps, np.abs(v.ravel())
        places = {
            there: self.gradients_at(there) for there in measurement.evaluation.elsewhere(measurement.position, v)
        }
        sizes = {there: np.abs(found) @ path for there, found in places.items() if found is not None}
        if not sizes or np.any(errors > epsilons * np.max(list(sizes.values()), axis=0)):  # cheap, and enough for most
            return None
        rounding, off = np.zeros_like(errors), np.zeros_like(errors)
        for there in measurement.elsewhere(list(sizes)):
            verdicts, size = self.verdicts_at(there, places[there.evaluation], v), sizes[there.evaluation]
            if verdicts:
                told = [verdict.right and verdict.bound <= verdict.size / 2 for verdict in verdicts]
                rounding = np.maximum(rounding, np.where(told, epsilons * size, 0.0))
                off = np.maximum(off, [0.0 if verdict.right else verdict.error for verdict in verdicts])
            if np.any(rounding > 0) and np.all(np.maximum(errors, off) <= rounding):
                return rounding
        return None

    def gradients_at(self, there: Evaluation) -> Array | None:
        """The gradients at another place; None where there are none."""
        position, cotangents = self.measurement.position, self.measurement.cotangents
        try:
            found = [there.call.gradients(u.reshape(there.shape))[position] for u in cotangents]
        except (ContractError, KeyError):
            return None
        return np.asarray([gradient.ravel() for gradient in found])

    def verdicts_at(self, there: Measurement, gradients: Array, v: np.ndarray) -> list[Verdict]:
        """As in `compare`, without any further looks."""
        evaluation = there.evaluation
        cotangents = [u.reshape(evaluation.shape) for u in there.cotangents]
        _, noise = sample_gradients(evaluation.call, cotangents, np.random.default_rng(0))
        check = LeafCheck(there, gradients, np.asarray([rows[there.position].ravel() for rows in noise]))
        measured = there.along(v, believed=lambda stepped: worst(check.verdicts(v, stepped)).right)
        return [] if measured is None else check.verdicts(v, measured)

    def along_directions(self, rng: np.random.Generator, count: int) -> list[Verdict]:
        """Random directions; where there is a kink, the entries that move are parted and either half is tried.

        So what is left out in the end is the entries that have the kink, and what ten kinks a direction did not part
        from them.  The next direction begins with the parts that were found.
        """
        verdicts: list[Verdict] = []
        parts = [self.unseen]
        for _ in range(count):
            v, smooth, kinks = rng.normal(size=self.shape), [], 0
            while parts and kinks <= REDRAWS:
                part = parts.pop(0)
                verdict = self.compare(only(v, part))
                if verdict is not None:
                    verdicts.append(verdict)
                    smooth.append(part)
                elif not self.measurement.applies:
                    return verdicts
                else:
                    kinks += 1
                    parts += np.array_split(rng.permutation(part), 2) if part.size > 1 else []
            if smooth:
                parts.insert(0, np.concatenate(smooth))
                self.unseen = np.setdiff1d(self.unseen, parts[0])
        return verdicts

    def at_entries(self, entries: Iterable[int]) -> list[Entry]:
        """Entry by entry: v is a unit vector, so a and n are entries of the gradient."""
        found = []
        for entry in entries:
            v = np.zeros(self.shape)
            index = tuple(int(i) for i in np.unravel_index(entry, self.shape))
            v[index] = 1.0
            verdict = self.compare(v)
            if verdict is not None:
                found.append(Entry(index, verdict))
        return found


def only(v: np.ndarray, entries: np.ndarray) -> np.ndarray:
    """v where these entries are, else 0."""
    flat = np.zeros(v.size)
    flat[entries] = v.ravel()[entries]
    return flat.reshape(v.shape)
