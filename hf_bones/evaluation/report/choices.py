"""What is asked of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from hf_bones.config.choices import choice


@dataclass(frozen=True)
class EvaluateChoices:
    """Which rows are scored, how, and what stands beside the model.

    `mirror`: each image is scored mirrored left-right as well and the logits averaged, which report.md and metrics.json then say.
    `zoom`: doubtful films are looked at again in windows at twice the size, which they say too.
    `baseline_licences` limits the rows that the baselines are fitted on (a model trained on those alone should be compared with baselines
    of the same rows); None: all.
    """

    split: str = choice("test", "Split to score.")
    batch_size: int = choice(16, "Images per forward pass.", least=1)
    mirror: bool = choice(False, "Score each image mirrored left-right too and average the logits; twice the time.")
    zoom: bool = choice(False, "Look at doubtful films again, in windows at twice the size; up to five times the time.")
    device: str | None = choice(None, "torch device; by default a GPU, if there is one.")
    revision: str | None = choice(None, "Branch, tag or commit of a Hub checkpoint.")
    specificity: float = choice(0.85, "Healthy specificity of the threshold figures.")
    repeats: int = choice(1000, "Bootstrap resamples.", least=1)
    seed: int = choice(0, "Seed of bootstrap and forest.")
    baselines: bool = choice(True, "Fit the majority and statistics-only baselines beside the model.")
    baseline_licences: tuple[str, ...] = choice(
        (), "Fit them on training rows of this licence only; may be repeated.", name="baseline_licence"
    )
    least_rows: int = choice(10, "Sources and regions of fewer films share one line in the report.", least=1)
    worst: int = choice(40, "Errors to show with pictures.", least=0)
