"""What a model card says of a distilled model's teachers beyond its record: further licences, and what they were worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_bones.metrics.headlines import ALONE, DISTILLATION, TITLES


def further_licences(distillation: Mapping[str, Any]) -> list[str]:
    """Licences of what a distilled model learnt from beside its labelled rows: images without labels, its teachers' training data."""
    lists = [*distillation.get("unlabelled", []), *distillation.get("teachers", [])]
    return sorted({str(name) for one in lists for name in one.get("licences") or {}})


def worth_rows(distillation: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Figure, its value from labels alone, and what distillation added; none where the network was not trained without its teacher."""
    alone = distillation.get("labels_alone") or {}
    rows = []
    for key in DISTILLATION if alone else ():
        value, low, high = alone["difference"].get(key) or (None, None, None)
        if value is None or alone["validation"].get(key) is None:
            continue
        interval = f" ({low:+{ALONE}} to {high:+{ALONE}})" if low is not None and high is not None else ""
        rows.append((TITLES[key], f"{alone['validation'][key]:{ALONE}}", f"{value:+{ALONE}}{interval}"))
    return rows
