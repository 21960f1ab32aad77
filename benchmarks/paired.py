"""Two evaluations of the same objects, compared object by object."""

from __future__ import annotations

from statistics import mean, stdev


def clicks_needed(result: dict, threshold: int) -> dict[str, int]:
    """object -> clicks to that IoU in percent; `max_clicks` where it is never reached."""
    most = result["settings"]["max_clicks"]
    found = {}
    for row in result["objects"]:
        reached = (k for k, iou in enumerate(row["iou"], start=1) if iou >= threshold / 100)
        found[row["name"]] = next(reached, most)
    return found


def standard_error(ours: dict, theirs: dict, threshold: int) -> float:
    """How uncertain the mean difference of clicks between two evaluations is.

    Differences are taken object by object; of `photos` they are averaged over each photograph
    first, as `evaluate` does.
    """
    a, b = (clicks_needed(result, threshold) for result in (ours, theirs))
    photographs = ours["settings"]["data"] == "photos"
    groups: dict[str, list[int]] = {}
    for name in a.keys() & b.keys():
        group = name.split("/")[0] if photographs else name
        groups.setdefault(group, []).append(a[name] - b[name])
    means = [mean(group) for group in groups.values()]
    return stdev(means) / len(means) ** 0.5 if len(means) > 1 else 0.0
