"""How fast a resuming run learns which of its inputs are done."""

from __future__ import annotations

from benchmarks.run import Run
from benchmarks.tables import NOTHING, Series, Table, milliseconds, rate, ratio

_GOAL = 15
_TIMES_AS_MANY = 10
_PEER_SAMPLE = 20


def measure_resuming(run: Run) -> list[Table]:
    """Measure the look-up of one input after another, and of all at once."""
    return [_one_by_one(run), _all_at_once(run)]


def _one_by_one(run: Run) -> Table:
    return Table(
        "Resume, inputs one by one",
        "Look-ups a second, `list_execution_jobs_by_master_id_and_config_hash`, one caller, in a master job of so many "
        "completed execution jobs. The peer reads every job of the master job at each look-up: its rate falls as the "
        "run grows.",
        ("jobs", "Starfish 0.1.3", "ours", "÷ Starfish"),
        tuple(_one_by_one_among(run, jobs) for jobs in run.sizes.jobs),
    )


def _one_by_one_among(run: Run, jobs: int) -> tuple[str, ...]:
    store, peer_store = run.store(), run.store()
    run.ours.turn("fill_jobs", directory=store, jobs=jobs)
    if run.peer is not None:
        run.peer.turn("fill_jobs", directory=peer_store, jobs=jobs)
    lookups = run.sizes.lookups
    ours: list[float] = []
    theirs: list[float] = []
    for number in run.rounds(f"resume, one by one among {jobs:,}"):
        if run.peer is not None:
            theirs.append(run.peer.turn("look_up_jobs", directory=peer_store, lookups=lookups, seed=number))
        many = lookups * _TIMES_AS_MANY
        ours.append(run.ours.turn("look_up_jobs", directory=store, lookups=many, seed=number))
    mine = Series.rates(lookups * _TIMES_AS_MANY, ours)
    peer = Series.rates(lookups, theirs) if theirs else None
    return f"{jobs:,}", rate(peer), rate(mine), ratio(mine, peer, _GOAL)


def _all_at_once(run: Run) -> Table:
    hashes = run.sizes.hashes
    store, peer_store = run.store(), run.store()
    run.say(f"resume: loading {hashes:,} jobs")
    master_job_id = run.ours.turn("load_jobs", directory=store, jobs=hashes)
    if run.peer is not None:
        run.peer.turn("fill_jobs", directory=peer_store, jobs=hashes)
    ours: list[float] = []
    theirs: list[float] = []
    for number in run.rounds("resume, all at once"):
        if run.peer is not None:
            seconds = run.peer.turn("look_up_jobs", directory=peer_store, lookups=_PEER_SAMPLE, seed=number)
            theirs.append(seconds / _PEER_SAMPLE)
        question = {"directory": store, "master_job_id": master_job_id, "expected": hashes}
        ours.append(run.ours.turn("completed_hashes", **question))
    extrapolated = NOTHING
    if theirs:
        minutes = Series(tuple(theirs)).median * hashes / 60
        extrapolated = f"{minutes:,.0f} min ({milliseconds(Series(tuple(theirs)))} each)"
    return Table(
        "Resume, all inputs at once",
        f"Time to learn which of {hashes:,} inputs are completed. The peer has no query for it: the time of one "
        f"look-up among {hashes:,} jobs was measured ({_PEER_SAMPLE} a round) and multiplied. Jobs loaded with SQL.",
        ("jobs", "Starfish 0.1.3 (extrapolated)", "`completed_config_hashes`", "goal"),
        ((f"{hashes:,}", extrapolated, milliseconds(Series(tuple(ours))), "< 500 ms"),),
    )
