"""SLURM warns a shard before its time is up (USR1): once its checkpoint is kept, the shard goes
back to the queue.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from superpos.cluster import slurm
from superpos.errors import SuperposError
from superpos.store import RunFolder

PATIENCE = 3
"""A job that comes back so often without a step of progress gives up; whoever submits it again
starts from 0.
"""


def job_of(environment: Mapping[str, str] = os.environ) -> str | None:
    """What scontrol must be told to requeue this very task; None outside of SLURM.

    In an array SLURM_JOB_ID can be the number of the whole array, which would requeue every task.
    """
    array = environment.get("SLURM_ARRAY_JOB_ID")
    task = environment.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID")


def again(folder: RunFolder, progress: tuple[int, int]) -> str:
    """Put this job back into the queue, unless it made no progress for too long; says in words what
    was done.

    `progress` is (finished chunks of this shard, step of the chunk in training). To be called when
    all is saved: the signal that ends the job comes within the same second.
    """
    job = job_of()
    if job is None:
        return "USR1 requeues a SLURM job, and this is none"
    record = {"requeued": job, "progress": list(progress)}
    earlier = [
        attempt.get("progress") for attempt in folder.attempts() if attempt.get("requeued") == job
    ]
    if earlier[-PATIENCE:] == [record["progress"]] * PATIENCE:
        return f"job {job} came back {PATIENCE} times without a step of progress: not requeued"
    folder.record_attempt(record)
    try:
        slurm.call("scontrol", "requeue", job)
    except SuperposError as error:
        return f"job {job} was not requeued: {error}"
    return f"job {job} is requeued"
