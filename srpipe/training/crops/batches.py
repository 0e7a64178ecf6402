"""Training batches, prefetched by threads."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from srpipe.training.crops.cutting import Batch, Draw, read_crops
from srpipe.training.crops.source import CropSource

# Batches prefetched per thread.
AHEAD = 2


def epoch_batches(
    source: CropSource,
    epoch: int,
    *,
    first_step: int = 0,
    part: tuple[int, int] = (0, 1),
    threads: int = 1,
    pinned: bool = False,
) -> Generator[Batch]:
    """Yield the epoch's batches in order, prefetched by threads.

    A step's crops depend only on seed, epoch and step: a resumed epoch continues with the same
    crops, and the parts of several processes make up the batch that one process would see.

    Args:
        source: where and how crops are drawn.
        epoch: number of the epoch.
        first_step: steps of this epoch already done.
        part: index of the part of each batch to yield, and the number of equal parts, a divisor of
            the batch size.
        threads: threads that make batches.
        pinned: put them in page-locked memory, from which a GPU copies while it computes.
    """
    size, (index, parts) = source.batch_size, part
    order = np.random.default_rng([source.seed, epoch]).permutation(
        np.repeat(source.rows, source.crops.per_image)
    )

    def make(step: int) -> Batch:
        chosen = order[step * size : (step + 1) * size]
        # From 1: NumPy ignores a trailing 0, which would repeat the stream of the order.
        numbers = np.random.default_rng([source.seed, epoch, step + 1]).random(
            (size, Draw.count(source.crops))
        )
        # Plain Python numbers: arithmetic on single NumPy scalars is slow.
        draws = [Draw.of(each, source.crops) for each in numbers[index::parts].tolist()]
        return read_crops(source, chosen[index::parts].tolist(), draws, pinned=pinned)

    steps = range(first_step, source.batches())
    with ThreadPoolExecutor(threads, thread_name_prefix="crops") as pool:
        under_way: deque[Future[Batch]] = deque()
        try:
            for step in steps:
                under_way.append(pool.submit(make, step))
                if len(under_way) > threads * AHEAD:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()
