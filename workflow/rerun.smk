# A matrix of reruns: chapters x data x acceleration x seed x whatever their parameters hold.
#
#   snakemake -s workflow/rerun.smk --cores 2 --config profile=quick matrix=workflow/rerun.yaml
#
# `make rerun` calls this. The networks that chapters share are trained once, by the rules of the
# Snakefile; below _build/rerun/<profile>/ (or config's `output`) lie the runs, and index.html and
# numbers.csv of all of them, also where some have failed.

include: "Snakefile"


import re

import matrix

MATRIX = Path(str(config.get("matrix", "workflow/rerun.yaml")))
RERUN = str(config.get("output", f"_build/rerun/{PROFILE}"))
# a job of a cluster reads it again, and need not check what has been checked
CHECKED = not workflow.is_main_process
try:
    RUNS = {r.name: r for r in matrix.read(MATRIX, PROFILE, str(PARAMETERS["device"]), CHECKED)}
except matrix.ChapterError as error:
    raise WorkflowError(str(error))
ASKED.update({named(run.parameters["data"]): str(run.parameters["data"]) for run in RUNS.values()})


def receipts_of_run(name):
    """The networks that a run's chapter names, at the run's own data, acceleration and seed."""
    if PROFILE == "smoke":
        return []  # as in the Snakefile: the chapters train by themselves, each network once
    own = RUNS[name].parameters
    where = place(own["acceleration"], own["seed"], own["data"])
    return receipts(noted(RUNS[name].chapter).get("experiments", []), where)


def wanted():
    return list(dict.fromkeys(r for name in RUNS for r in receipts_of_run(name)))


def flags_of_run(name):
    words = [w for n, value in RUNS[name].given for w in ("-p", n, str(value))]
    return words + (["--timeout", TIMEOUT[PROFILE]] if PROFILE in TIMEOUT else [])


def write_index():
    shell("python workflow/rerun_index.py {MATRIX:q} {RERUN:q} --profile {PROFILE}")


onsuccess:
    write_index()


onerror:
    write_index()


localrules:
    rerun,


rule rerun:
    default_target: True
    input:
        expand(f"{RERUN}/{{run}}.ipynb", run=RUNS),
    message:
        "all runs of the matrix are there"


rule rerun_chapter:
    input:
        LIBRARY,
        "workflow/run_chapter.py",
        notebook=lambda w: f"{RUNS[w.run].chapter}.ipynb",
        receipts=lambda w: receipts_of_run(w.run),
    output:
        notebook=f"{RERUN}/{{run}}.ipynb",
        record=f"{RERUN}/{{run}}.json",
    message:
        "running {wildcards.run}"
    params:
        flags=lambda w: flags_of_run(w.run),
        shipped=SHIPPED,
        state=lambda w: state_of(RUNS[w.run].parameters["data"]),
    wildcard_constraints:
        run="|".join(map(re.escape, RUNS)),
    threads: THREADS
    resources:
        mem_mb=MEMORY,
        gpu=GPUS,
        runtime=longer,
    log:
        f"{RERUN}/{{run}}.log",
    shell:
        "OMP_NUM_THREADS={threads} python workflow/run_chapter.py {input.notebook:q} {output.notebook:q}"
        " {params.flags:q} > {log:q} 2>&1 || {{ tail -n 5 {log:q} >&2; exit 1; }}"
