"""SLURM: plain batch scripts that anyone can read, and what becomes of their shards.

site      options of a site, from configs/cluster/*.yaml and the command line
scripts   the two batch scripts of a run: an array of shards, and the job that finishes the run
slurm     the programs of SLURM: sbatch, squeue, scontrol
jobs      the jobs of a run: which were submitted, and what of them waits or runs
submit    writes the scripts into the run folder and submits them
shards    which shards are done, running, waiting or failed
requeue   a shard that is told to make room goes on later
"""
