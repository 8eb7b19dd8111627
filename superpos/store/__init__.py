"""The run folder: the one place that knows file names and writes files.

    outputs/<name>/<run_id>/manifest.json    what the run is; sealed before training
                            chunks/          results, as one table; a chunk is whole or absent
                            checkpoints/     states of chunks in training
                            attempts/        one file per start of the program, and where its time
                            went shared/          what a run keeps for all of its models, where its
                            family has any explain/         grades of explanations of its models,
                            one folder a request patch/           what patching its models found,
                            one folder a question notes/           what users write of it
                            logs/ figures/ report.html submit/
    outputs/<name>/latest -> <run_id>

No locks: any number of processes, on any number of hosts, may work in one folder. Every file is
written beside, flushed and then linked under its name; of two writers the first wins.
"""

from superpos.store.files import check_target, explained, write_file
from superpos.store.find import find_runs, latest_run, locate
from superpos.store.folder import RunFolder
from superpos.store.run import Run, load

__all__ = [
    "Run",
    "RunFolder",
    "check_target",
    "explained",
    "find_runs",
    "latest_run",
    "load",
    "locate",
    "write_file",
]
