"""Training speed on one GPU: images/s, the loader's share of a step, memory, and the share of the card's peak, beside the plain recipe.

    python scripts/bench/gpu/throughput.py --images FOLDER --out FILE.json

Needs no network, no `datasets`, no weights: networks are random, films are the JPEG files of FOLDER or drawn ones. ViT-B/16 and
ConvNeXtV2-tiny at 224 px and DINOv2-small at 224, 336 and 448 px are trained in bf16 by our Trainer from an array cache, with 0, 4 and 12
loader workers, with and without `torch_compile: blocks`. The peer is the plain recipe (`plain_recipe.py`) from the JPEG files; "compute
alone" is the same step on a batch that stays on the device. What tells most is measured first: whatever the time allowed does not suffice
for is named as left out. FILE.json is written anew after each measurement.
"""

from __future__ import annotations

import argparse
import copy
import gc
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import ConvNextV2Config, Dinov2Config, PreTrainedModel, ViTConfig

# What stands beside this folder, and the package where it is not installed.
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[3])]

# ruff: noqa: E402 - these are found there
from compute import flops_per_image, forward_seconds, input_seconds, matmul_ceiling, peak_of, resident_step
from film_arrays import CachedFilms, cached_films
from harness import Bar, bar, draw_jpegs, print_bars, work_folder
from plain_recipe import JpegFiles, plain_trainer, transforms_of
from step_timing import time_steps
from throughput_record import ALONE, FORWARD, OURS, PLAIN, Measured, throughput_bars

from hf_bones.config.recipe import AugmentConfig, ModelConfig, Recipe, TrainConfig
from hf_bones.labels import load_scheme
from hf_bones.preprocess import InputSpec, image_processor
from hf_bones.record import now, write_json
from hf_bones.training.backbone.loading import load_model
from hf_bones.training.build import make_trainer
from hf_bones.training.data.augment import augmentation_draw
from hf_bones.training.data.batches import collate
from hf_bones.training.data.row_table import Rows

SCHEME = load_scheme("three-class")
EXPECTED = {"off": 5.0, "blocks": 20.0}  # seconds that a measurement takes, to tell whether it still fits
QUIET: dict[str, Any] = {"eval_strategy": "no", "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}


@dataclass(frozen=True, eq=False)
class Network:
    """An architecture with random weights at one size."""

    name: str
    config: Any
    size: int
    batch: int


def networks(tiny: bool) -> list[Network]:
    if tiny:
        small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        return [
            Network("ViT-B/16", ViTConfig(**small), 64, 4),
            Network("ConvNeXtV2-tiny", ConvNextV2Config(depths=[1, 1, 2, 1], hidden_sizes=[8, 16, 32, 64]), 64, 4),
            Network("DINOv2-small", Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2), 56, 4),
        ]
    dino = Dinov2Config(hidden_size=384, num_attention_heads=6)
    return [
        Network("ViT-B/16", ViTConfig(), 224, 128),
        Network("ConvNeXtV2-tiny", ConvNextV2Config(), 224, 128),
        Network("DINOv2-small", dino, 224, 256),
        Network("DINOv2-small", dino, 336, 128),
        Network("DINOv2-small", dino, 448, 64),
    ]


class Bench:
    """The films, the networks and what was measured so far."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options, self.work = options, work
        self.started = time.perf_counter()
        self.device = torch.device(options.device)
        self.warm, self.timed = (2, 3) if options.tiny else (10, 40)
        self.rows: list[Measured] = []
        self.left_out: list[str] = []
        self.failed: list[str] = []
        self.models: dict[Network, PreTrainedModel] = {}
        self.arrays: dict[int, Any] = {}
        self.inputs: dict[str, float] = {}
        self.peak = peak_of(torch.cuda.get_device_name()) if self.device.type == "cuda" else None

    @cached_property
    def files(self) -> list[Path]:
        if self.options.images is None:
            return draw_jpegs(self.work / "drawn", 8 if self.options.tiny else 128)
        files = sorted(path for path in self.options.images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        if not files:
            raise SystemExit(f"--images: no JPEG file in {self.options.images}")
        return files

    @cached_property
    def ceiling(self) -> float:
        return matmul_ceiling(self.device, 256 if self.options.tiny else 8192)

    def model(self, network: Network) -> PreTrainedModel:
        """A fresh copy of the network, on the CPU."""
        if network not in self.models:
            folder = self.work / f"{network.name.replace('/', '-')}-{network.size}"
            network.config.save_pretrained(folder)
            image_processor(InputSpec(network.size)).save_pretrained(folder)
            self.models[network], _ = load_model(ModelConfig(model=str(folder), from_scratch=True, image_size=network.size), SCHEME)
        return copy.deepcopy(self.models[network])

    def films(self, size: int) -> Any:
        if size not in self.arrays:
            self.arrays[size] = cached_films(self.files, size, self.work / "arrays" / str(size))
        return self.arrays[size]

    def trainer(self, network: Network, side: str, workers: int, compiled: str) -> Any:
        """That of one side: nothing is evaluated, saved or shown."""
        steps = self.warm + 2 * workers + self.timed + 3
        count, on_cpu = steps * network.batch, self.device.type == "cpu"
        if side == OURS:
            training = TrainConfig(
                output_dir=str(self.work / "run"), max_steps=steps, batch_size=network.batch, data_loader_workers=workers,
                torch_compile=compiled, mixed_precision="bf16", cpu=on_cpu,
            )  # fmt: skip
            recipe = Recipe(training=training, trainer={**QUIET, "load_best_model_at_end": False})
            rows = Rows(sources=[CachedFilms(self.films(network.size), count)], labels=[row % len(SCHEME.names) for row in range(count)])
            return make_trainer(recipe, self.model(network), InputSpec(network.size), SCHEME, rows, rows)
        transform, _, _ = transforms_of(InputSpec(network.size))
        labels = [place % len(SCHEME.names) for place in range(len(self.files))]
        return plain_trainer(
            self.model(network), JpegFiles(self.files, labels, transform, count), output_dir=str(self.work / "plain"), max_steps=steps,
            per_device_train_batch_size=network.batch, bf16=True, dataloader_num_workers=workers, use_cpu=on_cpu, learning_rate=5e-5,
            **QUIET,
        )  # fmt: skip

    def measure(self, network: Network, side: str, workers: int, compiled: str, alone: bool) -> None:
        """Times one configuration, and then, where asked for, the same step with the data already on the device."""
        repeats = self.timed // 2 + 1
        if side == FORWARD:
            seconds = forward_seconds(self.model(network), network.batch, network.size, self.device, repeats)
            self.add(network, side, 0, compiled, seconds)
            self.time_inputs(network)
            return
        torch._dynamo.reset()
        trainer = self.trainer(network, side, workers, compiled)
        # Workers fill their queues (two batches each) before the first step: these must be used up before the clock starts.
        times = time_steps(trainer, self.warm + 2 * workers, self.timed, self.options.most_seconds, watch_stops=side == OURS)
        more = {"loader_share": times.loader_share, "peak_gb": times.peak_bytes / 1e9, "first_step_s": times.first, "stops": times.stops}
        self.add(network, side, workers, compiled, times.step, **more)
        if alone:
            self.add(network, ALONE, 0, compiled, resident_step(trainer, network.batch, network.size, repeats))

    def add(self, network: Network, side: str, workers: int, compiled: str, step: float, **more: Any) -> None:
        """A line, from the seconds of a step."""
        rate = network.batch / step
        work = rate * flops_per_image(self.model(network), network.size, self.device) / (3 if side == FORWARD else 1)
        more |= {"mfu": work / self.peak if self.peak else None, "of_matmul": work / self.ceiling}
        row = Measured(network.name, network.size, network.batch, side, workers, compiled, rate, step * 1000, **more)
        self.rows.append(row)
        values = ", ".join(f"{key} {value:,.4g}" for key, value in asdict(row).items() if isinstance(value, float))
        title = f"{network.name} {network.size} px, {side}, {workers} workers, compile {compiled}"
        print(f"{time.perf_counter() - self.started:5.0f} s  {title}: {values}", flush=True)
        self.write()

    def time_inputs(self, network: Network) -> None:
        """Augmenting and normalising on the device, alone."""
        images = self.films(network.size).read(list(range(min(len(self.files), network.batch))))
        rows = [{"pixels": image, "label": 0, "draw": augmentation_draw(0, place)} for place, image in enumerate(images)]
        batch = collate(rows, network.size)
        for title, policy in (("normalised", None), ("augmented and normalised", AugmentConfig())):
            seconds = input_seconds(batch, InputSpec(network.size), policy, self.device)
            self.inputs[f"{title} on the device, {network.size} px"] = len(images) / seconds
            print(f"{title} on the device, {network.size} px: {len(images) / seconds:,.0f} images/s", flush=True)

    def run(self) -> None:
        print(f"matrix product, bf16: {self.ceiling / 1e12:,.0f} TFLOP/s; {len(self.files)} films", flush=True)
        for network, side, workers, compiled, alone in plan(self.options.tiny):
            name = f"{network.name} {network.size} px, {side}, {workers} workers, compile {compiled}"
            if time.perf_counter() - self.started + EXPECTED[compiled] > self.options.seconds:
                self.left_out.append(name)
                continue
            try:
                self.measure(network, side, workers, compiled, alone)
            except RuntimeError as error:  # the others are still worth having: out of memory, a worker killed, no compiler
                self.failed.append(f"{name}: {str(error).strip().splitlines()[0]}")
                print(f"FAILED {self.failed[-1]}", flush=True)
            gc.collect()  # ends the loader's workers and frees the GPU
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        self.write()

    def bars(self) -> list[Bar]:
        return throughput_bars(self.rows) + [bar(f"{name}, images/s", value, n=1) for name, value in self.inputs.items()]

    def write(self) -> None:
        device = torch.cuda.get_device_name() if self.device.type == "cuda" else "CPU"
        found = {
            "command": "python scripts/bench/gpu/throughput.py --images DATA --out FILE",
            "machine": f"{device}, {os.cpu_count()} CPU cores",
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            "date": now(),
            "quick": self.options.tiny,
            "films": len(self.files),
            "plain_transforms": transforms_of(InputSpec(224))[2],
            "matmul_tflops": self.ceiling / 1e12,
            "peak_tflops": self.peak / 1e12 if self.peak else None,
            "bars": self.bars(),
            "rows": [asdict(row) for row in self.rows],
            "left_out": self.left_out,
            "failed": self.failed,
        }
        write_json(self.options.out, found)


def plan(tiny: bool) -> Iterator[tuple[Network, str, int, str, bool]]:
    """(network, side, workers, compiled, with compute alone), what tells most first."""
    few, many = (1, 2) if tiny else (4, 12)
    found = networks(tiny)
    first, others = found[:2], found[2:]
    for network in first:
        yield network, OURS, few, "blocks", True
        yield network, PLAIN, many, "off", False
        yield network, OURS, few, "off", True
        yield network, OURS, 0, "off", False
    yield from ((network, OURS, few, "off", True) for network in others)
    yield from ((network, FORWARD, 0, "off", False) for network in found)
    yield from ((network, PLAIN, 0, "off", False) for network in first)
    yield from ((network, OURS, few, "blocks", True) for network in others)
    yield from ((network, OURS, many, "off", False) for network in found)
    yield from ((network, OURS, 0, "off", False) for network in others)
    yield from ((network, OURS, workers, "blocks", False) for network in found for workers in (0, many))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of JPEG files; left out: drawn films")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file that is written")
    parser.add_argument("--seconds", type=float, default=115, help="time allowed, from the first measurement on")
    parser.add_argument("--most-seconds", type=float, default=3, help="at most for warming up, and for the timed steps, of a configuration")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="networks of two blocks: to see that it runs")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA GPU here; --device cpu --tiny only shows that it runs")
    with work_folder() as work:
        bench = Bench(options, work)
        bench.run()
    print_bars(bench.bars())
    stops = {place: count for row in bench.rows for place, count in row.stops.items()}
    print(f"places where a step waits for the GPU: {stops or 'none seen'}")
    for note in (*(f"left out (time): {name}" for name in bench.left_out), *(f"failed: {name}" for name in bench.failed)):
        print(note)
    print(f"{time.perf_counter() - bench.started:.0f} s; written: {options.out}")
    return int(bool(bench.failed))


if __name__ == "__main__":
    sys.exit(main())
