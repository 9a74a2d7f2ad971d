"""Which run wins, by what reviewers say of its outputs: counted over what was reviewed, not over the whole runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from starfish_storage.interface import Storage
from starfish_storage.runs import Annotation, holding
from starfish_storage.viewer.matching import KeyedRun

LONGEST_COUNT = 0.3
"""Seconds after which the counting ends."""

_PORTION = 1000
_MOST = 20_000  # annotations of each run that are held at a time


@dataclass(slots=True)
class Wins:
    """How often each run had the best review of an input.

    Attributes:
        won: for each run, of how many inputs it alone has the best review.
        ties: inputs of which the best ones are equal.
        counted: inputs that were reviewed in at least two of the runs.
        is_whole: whether all reviews were counted.
    """

    won: list[int]
    ties: int = 0
    counted: int = 0
    is_whole: bool = True


_Score = tuple[float, float]
"""Of an output: the mean verdict, from -1 to 1, then the mean rating."""


async def count_wins(storage: Storage, runs: Sequence[str], keyed: Sequence[KeyedRun] | None = None) -> Wins:
    """Count over the inputs that were reviewed in several runs which of these has the best review.

    Verdicts count first, then ratings. Equal inputs of a run count as one, with the mean of their reviews.

    Args:
        storage: the store.
        runs: the runs.
        keyed: the records of each run by the field that they are matched by, if not by their inputs.
    """
    until = time.monotonic() + LONGEST_COUNT
    wins = Wins([0] * len(runs))
    scores: list[dict[str, _Score]] = []
    for place, run in enumerate(runs):
        annotations, is_whole = await _annotations(storage, run, until)
        wins.is_whole = wins.is_whole and is_whole
        of_run = score_outputs(annotations)
        if keyed is None:
            digest_of = await storage.ledger.find_contents(list(of_run))
        else:
            digest_of = {one.uid: one.digest for one in keyed[place].records if one.uid in of_run}
        scores.append(_by_input(of_run, digest_of))
    for digest in {one for of_run in scores for one in of_run}:
        there = {place: of_run[digest] for place, of_run in enumerate(scores) if digest in of_run}
        if len(there) > 1:
            best = [place for place, score in there.items() if score == max(there.values())]
            wins.counted += 1
            if len(best) == 1:
                wins.won[best[0]] += 1
            else:
                wins.ties += 1
    return wins


async def _annotations(storage: Storage, run: str, until: float) -> tuple[list[Annotation], bool]:
    found: list[Annotation] = []
    while True:
        after = found[-1] if found else None
        portion = await storage.annotations.list_for_run(run, after, _PORTION)
        found += portion
        if len(portion) < _PORTION:
            return found, True
        if len(found) >= _MOST or time.monotonic() > until:
            return found, False


def score_outputs(annotations: Iterable[Annotation]) -> dict[str, _Score]:
    """Return the score of each record that has a verdict or a rating."""
    verdicts: dict[str, list[float]] = {}
    ratings: dict[str, list[float]] = {}
    for one in holding(annotations):
        if one.kind == "verdict":
            verdicts.setdefault(one.record_uid, []).append(1 if one.value == "accepted" else -1)
        elif one.kind == "rating":
            ratings.setdefault(one.record_uid, []).append(one.value)
    return {
        uid: (fmean(verdicts.get(uid) or [0]), fmean(ratings.get(uid) or [0]))
        for uid in dict.fromkeys([*verdicts, *ratings])
    }


def _by_input(scores: Mapping[str, _Score], digest_of: Mapping[str, str]) -> dict[str, _Score]:
    """Return the mean score of each input, by its digest."""
    found: dict[str, list[_Score]] = {}
    for uid, score in scores.items():
        digest = digest_of.get(uid)
        if digest is not None:
            found.setdefault(digest, []).append(score)
    return {digest: (fmean(one[0] for one in of), fmean(one[1] for one in of)) for digest, of in found.items()}
