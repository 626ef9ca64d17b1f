"""The lines that a run begins with."""

from __future__ import annotations

from pathlib import Path

from transformers import Trainer

from hf_bones.config.recipe import DataConfig, ModelConfig
from hf_bones.labels import LabelScheme
from hf_bones.training.data.row_table import Rows
from hf_bones.training.data.rows import arrays_line
from hf_bones.training.data.source_shares import SourceShares, sources_line
from hf_bones.training.data.streaming import stream_line


def announce(
    trainer: Trainer,
    name: str,
    config: ModelConfig,
    data: DataConfig,
    scheme: LabelScheme,
    train_rows: Rows,
    validation_rows: Rows,
    resume_from: Path | None,
    shares: SourceShares | None = None,
) -> None:
    """Says what is about to be trained: the recipe's `name`, the machine, the weights, the rows, how `sampling: source` draws
    them (`shares`), and the checkpoint to resume from."""
    arguments = trainer.args
    learning = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in trainer.model.parameters())
    precision = "bf16" if arguments.bf16 else "fp16" if arguments.fp16 else "fp32"
    print(f"recipe      {name}: {config.model} at {config.image_size} px")
    print(f"processes   {arguments.world_size} on {arguments.device.type}, {precision}")
    lora = f", LoRA of rank {config.lora_rank}" if config.lora_rank else ""
    print(f"weights     {learning:,} of {total:,} learn ({config.trainable}{lora})")
    for name, rows in (("train", train_rows), ("validation", validation_rows)):
        counts = ", ".join(f"{label} {count}" for label, count in rows.counts(scheme).items())
        print(f"{name:<11} {len(rows)} images: {counts}; {_drawn(rows)}")
    if shares is not None:
        print(f"sources     {sources_line(shares, scheme)}")
    if train_rows.stream is not None:
        print(f"stream      {stream_line(train_rows.stream, data)}")
    elif data.dataset:
        print(f"arrays      {arrays_line(train_rows, validation_rows, data, config.image_size)}")
    if resume_from is not None:
        print(f"resuming    from {resume_from}")


def _drawn(rows: Rows) -> str:
    """How many of the rows are drawn from nothing, and how many are films with a break drawn into them."""
    copies = len(rows.copies_of)
    broken = f", {copies} with a break drawn into them" if copies else ""
    return f"{sum(rows.synthetic) - copies} of them drawn{broken}"
