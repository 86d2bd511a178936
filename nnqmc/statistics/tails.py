"""Heavy tails: what they may add to an error bar, and when the error bar can't be trusted because of them."""

import math
from typing import NamedTuple

import numpy as np

from nnqmc.statistics.blocks import block_means
from nnqmc.statistics.convergence import largest_share, tail_index

_LARGEST_SHARE = 0.25
_ENOUGH_BLOCKS = 64  # fewer normal numbers can well have one that holds a quarter of the squares
_FAR_TAIL = 5e-4  # of the samples are the tail of the tail
_LARGEST_BLOCKS = 10
_LOWEST_INDEX = 1.15  # of the largest blocks; a mean exists above 1
_WIDEST_GAP = 3.0  # among the largest blocks; of all power laws of index 2, in 2 % there is a wider one
_UNSEEN = 2.3  # blocks: seeing one is in the 68 % interval of Poisson means from 0.17 to 3.3


class Tails(NamedTuple):
    """The tails of a series.

    size, n_blocks, share: length in steps and number of blocks of a few tau, and the largest one's share of the squared
        error.
    near, far: tail index of the samples and its standard error, near the bulk and far from it.
    largest, gap: tail index of the ten largest blocks, and the widest gap between them; nan for fewer than 64 blocks.
    tau: integrated autocorrelation time in steps, at least 1.
    """

    size: int
    n_blocks: int
    share: float
    near: tuple[float, float]
    far: tuple[float, float]
    largest: float
    gap: float
    tau: float

    @property
    def inflation(self) -> float:
        """Return the factor by which the error bar grows if blocks as large as the largest one may have been missed.

        The largest block adds d to the mean, with d^2 the share s of the squared error. As one such block was seen, the
        mean number of blocks beyond d is between 0.17 and 3.3 (68 % interval of a Poisson mean): up to 2.3 of them may
        have been missed, each of the mean size d a/(a - 1) if sizes fall off with the power a. The error that this
        makes, f d with f = 2.3 a/(a - 1), takes the place of d:

            inflated error^2 = error^2 (1 - s + f^2 s).

        The power a is that of the ten largest blocks (Hill's estimator, `tail_index`), at least 1.15. Source of the
        interval: F. Garwood, doi:10.1093/biomet/28.3-4.437.
        """
        index = max(self.largest, _LOWEST_INDEX)
        squared = (_UNSEEN / (1.0 - 1.0 / index)) ** 2
        return 1.0 if math.isnan(self.largest) else math.sqrt(1.0 + (squared - 1.0) * self.share)

    @property
    def is_bounded(self) -> bool:
        """Tell whether the inflated error bar can be believed.

        The largest blocks must have a mean, a > 1.15, and be a sample of one power law: of the sizes d_1 > d_2 > ... no
        gap k log(d_k/d_(k+1)) may be above 3, since one or a few blocks that stand alone say too little of others of
        their kind. Under a power law these gaps are independent and exponentially distributed, with the mean 1/a: A.
        Renyi, doi:10.1007/BF02127580.
        """
        return self.largest > _LOWEST_INDEX and self.gap <= _WIDEST_GAP

    def __str__(self) -> str:
        """Return a caveat if the tails are so heavy that the variance may not exist, else an empty text.

        The far tail is asked as well, since a narrow peak with a few outliers looks near the bulk like a tail without
        variance.
        """
        if self.n_blocks >= _ENOUGH_BLOCKS and self.share > _LARGEST_SHARE:
            return (f"heavy tails: the largest of {self.n_blocks} blocks of {self.size} steps makes up "
                    f"{self.share:.0%} of the squared error")
        known = [pair for pair in (self.near, self.far) if math.isfinite(pair[0])]
        if known and all(index + uncertainty * math.sqrt(self.tau) < 2.0 for index, uncertainty in known):
            return f"heavy tails: they fall off with the power {self.near[0]:.2g}, so the variance may not exist"
        return ""


def tails_of(deviations: np.ndarray, tau: float) -> Tails:
    """Return the tails of a series.

    Args:
        deviations: (n_steps, n_chains), less their mean.
        tau: integrated autocorrelation time in steps; nan where it isn't known.
    """
    length = 1.0 if math.isnan(tau) else max(tau, 1.0)
    size = int(min(math.ceil(5.0 * length), len(deviations)))
    n_blocks = deviations.shape[1] * (len(deviations) // size)
    index, gap = math.nan, math.nan
    if n_blocks >= _ENOUGH_BLOCKS:
        index, gap = _largest_blocks(np.abs(block_means(deviations, size)))
    return Tails(size, n_blocks, largest_share(deviations, size), tail_index(deviations),
                 tail_index(deviations, _FAR_TAIL), index, gap, length)


def _largest_blocks(sizes: np.ndarray) -> tuple[float, float]:
    """Return the tail index of the largest blocks, and the widest gap between them."""
    sizes = np.sort(sizes, axis=None)[::-1][: _LARGEST_BLOCKS + 1]
    if sizes[-1] == 0.0:
        return 0.0, math.inf
    gaps = np.arange(1, len(sizes)) * np.log(sizes[:-1] / sizes[1:])
    return (1.0 / float(gaps.mean()) if gaps.any() else math.inf), float(gaps.max())
