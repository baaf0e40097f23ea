"""How a job runs, and never what comes out of it: files, snapshots of a run, the warm server, Snakemake and SLURM."""
