"""The stages of a training recipe: a dataclass each, and beside every key its help, its range and its choices (see `fields.option`).

A value out of its range is refused when a stage is made, from YAML, from the command line or in Python. Keys that do not go together
are in `rules.py`, the stage `augment` in `augment.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hf_bones.config.fields import Checked, option


@dataclass
class DataConfig(Checked):
    """Which images to train on."""

    dataset: str = option("", "Folder that `hf-bones build` wrote, or a Hub dataset id. Empty: drawn radiographs only.")
    label_scheme: str = option(
        "auto", "Classes: `auto` (those that `dataset` was built with), `three-class`, `two-class`, or a YAML file of your own."
    )
    train_licences: list[str] = option([], "Train and validate only on rows with these licences (SPDX ids); empty means every row.")
    without_sources: list[str] = option([], "Leave rows of these sources out of training and validation (column `source`).")
    dataset_id: str | None = option(None, "Hub id of the data, for the card, where `dataset` is a folder.")
    attribution: list[str] = option(
        [], "Sentences that licences ask for, for record and card; those of FracAtlas, GRAZPEDWRI-DX and MURA are known."
    )
    label_noise: str = option("", "A sentence on how far the labels agree, for the card; that on grades of FracAtlas is known.")
    drawn_images: int = option(0, "Drawn radiographs added to the training rows, a third of them of each class.", within="[0, ∞)")
    drawn_validation_images: int = option(0, "Drawn radiographs added to the validation rows.", within="[0, ∞)")
    drawn_size: int = option(320, "Long side of the drawn radiographs, px.", within="[1, ∞)")
    drawn_mode: str = option(
        "hard", "How they are drawn: any limb and any break, or a shaft close up and plainly broken.", choices=("hard", "plain")
    )
    broken_copies: int = option(
        0, "Healthy training films of `dataset` that train a second time with a break drawn into them, as fractured.", within="[0, ∞)"
    )
    use_arrays: bool = option(True, "Read images from the array cache of `dataset` (`hf-bones cache`), where it has one for `image_size`.")
    arrays_dir: str = option("", "Folder of the array caches, where `hf-bones cache` was given `--out`.")
    streaming: bool = option(
        False, "Read the images of `dataset` (a Hub id or a folder of Parquet shards) as they are needed, without a copy of all of it."
    )
    stream_row_groups: int = option(
        32, "Streaming: row groups that batches are drawn from at a time; more mix better and take more disk.", within="[1, ∞)"
    )
    stream_gb: float = option(20.0, "Streaming: GB of disk for row groups; what fits stays for later epochs and runs.", within="(0, ∞)")
    stream_dir: str = option("", "Streaming: folder for them, on a disk of each machine; empty: beside the caches of `datasets`.")
    max_train_rows: int | None = option(None, "Keep only this many training rows, stratified by label (for trials).", within="[1, ∞)")


@dataclass
class ModelConfig(Checked):
    """Which network, and how much of it learns."""

    model: str = option("bundled", "Hub id, folder of a checkpoint, or `bundled` (the model inside this package).")
    revision: str | None = option(None, "Branch, tag or commit of a Hub model.")
    base_model_id: str | None = option(None, "Hub id that the weights come from, for the card, where `model` is a folder.")
    from_scratch: bool = option(False, "Take only the architecture of `model` and start from random weights.")
    keep_blocks: int | None = option(
        None, "Keep only the first N transformer blocks of the backbone (a smaller, faster model).", within="[1, ∞)"
    )
    trainable: str = option(
        "all", "What learns; `last:K` is the head, the final norm and the last K blocks or stages.", choices=("all", "head", "last:K")
    )
    drop_path: float = option(0.0, "Stochastic depth rate, where the architecture has it.", within="[0, 1)")
    image_size: int = option(224, "Side of the square model input, px; the long side of the image is scaled to it.", within="[1, ∞)")
    pooling: str = option(
        "own",
        "What the head sees of the tokens; `own` is what the architecture has.",
        choices=("own", "cls", "mean", "cls+mean", "max", "attention"),
    )
    input_channels: int = option(
        3, "Channels that training computes with; 1 sums the patch embedding over RGB, and is saved with three.", choices=(3, 1)
    )
    lora_rank: int = option(
        0, "Rank of LoRA matrices on the attention weights (extra `lora`); 0 trains the weights themselves.", within="[0, ∞)"
    )
    lora_alpha: float = option(16.0, "LoRA's scale, divided by `lora_rank`.", within="(0, ∞)")
    extra_heads: list[str] = option([], "Further heads, reported apart, where the dataset has the columns.", choices=("subtype", "region"))


@dataclass
class TrainConfig(Checked):
    """How the fine-tuning goes. Anything else that TrainingArguments knows stands under `trainer:` in the recipe."""

    output_dir: str = option("runs/latest", "Folder for the checkpoint, curves and record.json.")
    epochs: float = option(
        10.0,
        "Passes over the training rows (or over `samples_per_epoch`); 0 with `head_start: probe` leaves the backbone frozen.",
        within="[0, ∞)",
    )
    max_steps: int = option(-1, "Stop after this many optimiser steps; -1 leaves it to `epochs`.", within="[1, ∞)", choices=(-1,))
    learning_rate: float = option(5e-5, "Peak learning rate of the backbone.", within="(0, ∞)")
    head_learning_rate: float | None = option(
        None, "Peak learning rate of the new head; empty: ten times `learning_rate`.", within="(0, ∞)"
    )
    head_start: str = option(
        "random", "Where the head starts; `probe` is logistic regression on the frozen backbone's features.", choices=("random", "probe")
    )
    probe_c: float = option(1e-3, "Inverse regularisation of that regression (on standardised features).", within="(0, ∞)")
    probe_views: int = option(1, "Views of each training image that the regression sees: itself, then augmented ones.", within="[1, ∞)")
    layer_decay: float = option(1.0, "Each block below the top learns at this factor of the one above; 1 turns it off.", within="(0, 1]")
    weight_decay: float = option(0.05, "AdamW weight decay; none on biases, norms, tokens and position embeddings.", within="[0, ∞)")
    warmup: float = option(0.1, "Share of the steps spent warming up; cosine decay after it.", within="[0, 1)")
    batch_size: int = option(16, "Images per optimiser step over all processes, before accumulation.", within="[1, ∞)")
    gradient_accumulation_steps: int = option(1, "Batches summed before each optimiser step.", within="[1, ∞)")
    eval_batch_size: int = option(32, "Images per forward pass in evaluation, per process.", within="[1, ∞)")
    class_weights: str = option("sqrt", "Loss weights by class frequency.", choices=("none", "sqrt", "balanced"))
    sampling: str = option(
        "uniform",
        "How rows are drawn; `balanced`: classes equally often, `sqrt`: by the square root of frequency, `source`: sources and the classes "
        "within each by the square root of theirs, with a loss that is told the frequencies of classes in each source.",
        choices=("uniform", "sqrt", "balanced", "source"),
    )
    samples_per_epoch: int | None = option(
        None, "With `balanced`, `sqrt` or `source` sampling, images drawn per epoch; empty: as many as rows.", within="[1, ∞)"
    )
    label_smoothing: float = option(0.0, "Share of each label that is spread over all classes.", within="[0, 1)")
    loss: str = option(
        "cross_entropy",
        "The loss; `logit_adjusted` adds class frequencies to the logits in training.",
        choices=("cross_entropy", "focal", "logit_adjusted"),
    )
    focal_gamma: float = option(2.0, "Focal loss: how strongly well classified images are discounted; 0 is cross-entropy.", within="[0, ∞)")
    logit_adjustment: float = option(1.0, "Logit-adjusted loss: factor on the log frequencies.", within="[0, ∞)")
    balanced_verdicts: bool = option(False, "After training, shift the head's biases: verdicts then take all classes as equally frequent.")
    verdict_copies: int = option(
        0,
        "With `balanced_verdicts`, augmented copies of each validation image; from 1 on, that shift and the temperature are fitted on "
        "these and the images themselves, instead of the shift being read from class frequencies.",
        within="[0, ∞)",
    )
    box_loss: float = option(
        0.0,
        "Weight of a second loss that asks each patch whether a fracture box covers it; its head is kept beside the checkpoint, and "
        "starts from that of `model`, where a folder has one.",
        within="[0, ∞)",
    )
    patch_head: str = option(
        "trained",
        "The layer that asks the patches: as `box_loss` trained it, or fitted to the finished network's patches of the training images by "
        "logistic regression, which needs boxes in the dataset, and no `box_loss`.",
        choices=("trained", "fitted"),
    )
    join_patches: bool = option(False, "After training, fit on the validation rows how patches join each answer; needs a patch head.")
    second_look: bool = option(False, "After training, fit a second look (`--zoom`) on the validation rows; needs a patch head.")
    extra_head_loss: float = option(0.3, "Weight of the loss of each of `extra_heads`.", within="[0, ∞)")
    ema_decay: float = option(
        0.0, "Decay per step of the averaged weights, which are validated and kept; 0 keeps the trained weights.", within="[0, 1)"
    )
    head_epochs: float = option(0.0, "First stage of a two-stage run: epochs in which only the head learns.", within="[0, ∞)")
    cached_views: int = option(
        0,
        "Compute the frozen part once, for this many augmented views of each image, and train the rest on its output; 0 turns it off.",
        within="[0, ∞)",
    )
    cached_dtype: str = option("float16", "Type of that output on disk; `float32` takes twice the space.", choices=("float16", "float32"))
    cached_dir: str = option("", "Folder of that output, where several runs share it; empty: in `output_dir`.")
    gradient_checkpointing: bool = option(False, "Recompute activations in the backward pass: less memory, about a third more time.")
    torch_compile: str = option(
        "off", "What to compile; `blocks` are the repeated ones, which takes seconds.", choices=("off", "blocks", "whole")
    )
    mixed_precision: str = option(
        "auto",
        "Mixed precision; `auto` is bf16 where the GPU has it, else fp16 on a GPU, none on a CPU.",
        choices=("auto", "no", "bf16", "fp16"),
    )
    choose_by: str = option(
        "validation",
        "What the kept checkpoint is best in: the selection score of all validation rows, or the score of the source that fares worst.",
        choices=("validation", "worst_source"),
    )
    early_stopping_patience: int = option(0, "Stop after this many evaluations without a better score; 0 turns it off.", within="[0, ∞)")
    evaluations_per_epoch: int = option(1, "Validations and checkpoints in each epoch.", within="[1, ∞)")
    seed: int = option(0, "Seed of everything random.", within="[0, ∞)")
    data_loader_workers: int = option(0, "Processes that decode images; 0 decodes in the training process.", within="[0, ∞)")
    resume: bool = option(True, "Resume from the last complete checkpoint in `output_dir`, if it is of the same recipe.")
    processes: int | None = option(None, "Stop unless the run has this many processes (one CPU or GPU each).", within="[1, ∞)")
    cpu: bool = option(False, "Stay on the CPU even where there is a GPU.")
    save_dtype: str = option(
        "float32",
        "Type of the weights on disk (`float8`: e4m3 in the blocks); loaded as float32.",
        choices=("float32", "float16", "float8"),
    )
    report_to: str = option(
        "none",
        "Experiment tracker (extra `track`), on this machine alone.",
        choices=("none", "trackio", "tensorboard"),
    )
    spike_factor: float = option(
        2.0, "End a run whose training loss stays over this many times its running median; 0 turns it off.", within="[0, ∞)"
    )
    spike_logs: int = option(5, "Logs in a row (ten per epoch) for which it must stay there.", within="[1, ∞)")
    skipped_steps: int = option(
        30, "End a run in fp16 after this many steps in a row whose gradients overflowed; 0 turns it off.", within="[0, ∞)"
    )
    push_to_hub: str | None = option(None, "Hub id to push the finished checkpoint to (private unless the repo exists).")


@dataclass
class DistillConfig(Checked):
    """What a small network (`model`) learns from larger ones beside the labels. Without a teacher there is no distillation."""

    teacher: list[str] = option(
        [], "Checkpoint folders, Hub ids or `bundled`; the probabilities of several are averaged. None: no distillation."
    )
    teacher_probabilities: list[str] = option(
        [], "npz or parquet files of probabilities by image SHA-256, averaged (out-of-fold ones, say); used before `teacher`'s."
    )
    missing_probabilities: str = option(
        "error",
        "For an image that those files lack: stop, ask the teacher, or learn from its label alone.",
        choices=("error", "teacher", "labels"),
    )
    temperature: float = option(
        2.0, "Temperature at which the student's probabilities are drawn to the teacher's; over 1 softens both.", within="(0, ∞)"
    )
    label_weight: float = option(0.5, "Weight of the loss of the labels; the teacher's probabilities have the rest.", within="[0, 1]")
    feature_weight: float = option(
        0.0, "Weight of the loss that draws the student's features, through a projection, to the `teacher`s'.", within="[0, ∞)"
    )
    features: str = option("tokens", "Which features: the map of patches, or what the head sees.", choices=("tokens", "pooled"))
    feature_loss: str = option(
        "cosine", "Distance of features: 1 - cosine, or squared error against features of mean 0 and variance 1.", choices=("cosine", "mse")
    )
    unlabelled: list[str] = option(
        [], "Folders of radiographs without labels, or datasets whose training rows are taken as such; the teacher labels them."
    )
    unlabelled_licences: list[str] = option(
        [], "Licence (SPDX id) of each folder in `unlabelled`, in that order; wanted where `train_licences` is set."
    )
    with_baseline: bool = option(False, "Also train the same network from the labels alone, for as many steps, and compare the two.")

    @property
    def is_on(self) -> bool:
        return self != DistillConfig()
