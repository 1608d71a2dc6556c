"""Stylizing a real clip beside the reference recipe: same network, same machine, same run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from benchmarks import style_reference
from quartet.style.assemble import assemble
from quartet.style.check import check_video
from quartet.style.encoding_settings import Encoding
from quartet.style.flow import stylize_segments
from quartet.style.inference import InferenceNetwork
from quartet.style.network import StyleNetwork, build_network, to_pictures
from quartet.style.probe import plan_video
from quartet.style.quantised import QuantisedNetwork
from quartet.style.selection import select_network
from quartet.style.stylizer import Platform, Stylizer, detect_platform
from quartet.style.transfer_settings import Stylizing
from support import clean_environment, make_workspace, on_ranks, real_data

SECTION = "Style transfer"
REFERENCE_FRAMES = 16
"""Its time per frame is the same for all."""
CLIP = "132 frames of 1280×720"


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    (file,) = real_data("style/reference_weights").glob("mosaic*")
    loaded = torch.load(file, weights_only=True)
    return {name: value.numpy() for name, value in loaded.items()}


@pytest.fixture(scope="module")
def network(weights) -> StyleNetwork:
    return build_network({name: torch.tensor(value) for name, value in weights.items()})


@pytest.fixture(scope="module")
def reference(real_clip, network, tmp_path_factory) -> dict[str, float]:
    """Seconds a frame of the reference's steps, with PyTorch's own number of threads."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    folder = tmp_path_factory.mktemp("reference")
    seconds = style_reference.run(real_clip, folder, network, REFERENCE_FRAMES)
    return {step: value / REFERENCE_FRAMES for step, value in seconds.items()}


def measure_end_to_end(real_clip, weights, folder, settings) -> tuple[float, float]:
    """Frames per second from the source to the checked file, and those of the network alone."""
    platform = detect_platform(settings)
    begun = time.perf_counter()
    plan = plan_video(real_clip, 64)
    firsts = [first for first, _ in plan.segments]
    segments = [folder / f"{first}.mp4" for first in firsts]
    with Stylizer(weights, settings, platform) as stylizer:
        stylize_segments(
            real_clip,
            plan,
            firsts,
            stylizer,
            Encoding(),
            lambda first, content: (folder / f"{first}.mp4").write_bytes(content),
        )
    target = folder / "out.mp4"
    assemble(real_clip, segments, plan, target, Encoding())
    check_video(target, plan)
    seconds = time.perf_counter() - begun
    return plan.frames / seconds, measure_network(real_clip, weights, settings, platform)


def measure_network(
    real_clip, weights, settings: Stylizing, platform: Platform, frames=24
) -> float:
    """Frames per second of the network alone, on frames that lie in memory."""
    with av.open(str(real_clip)) as container:
        decoded = container.decode(video=0)
        pictures = [next(decoded).to_ndarray(format="rgb24") for _ in range(frames)]
    with Stylizer(weights, settings, platform) as stylizer:
        list(stylizer.stream(enumerate(pictures[: 2 * platform.workers])))
        begun = time.perf_counter()
        list(stylizer.stream(enumerate(pictures)))
        return frames / (time.perf_counter() - begun)


@pytest.mark.parametrize(
    ("precision", "factor"),
    [("int8", 8), ("auto", 7), ("bfloat16", 5), ("float32", 1.5)],
    ids=["int8", "auto", "bfloat16", "float32"],
)
def test_end_to_end(real_clip, weights, reference, tmp_path, record, precision, factor):
    settings = Stylizing(precision=precision)
    rate, network_rate = measure_end_to_end(real_clip, weights, tmp_path, settings)
    theirs = 1 / (reference["extract"] + reference["stylize"] + reference["join"])
    with Stylizer(weights, settings, detect_platform(settings)) as stylizer:
        made = stylizer.describe()
    used = f"auto ({made['precision']})" if precision == "auto" else made["precision"]
    how = f"{used}, {made['workers']} threads"
    record(
        SECTION,
        f"frames/s from decoding to the checked file, {how}: {CLIP}, width 16",
        reference=f"{theirs:.2f} (network alone {1 / reference['network']:.2f})",
        quartet=f"{rate:.2f}, {rate / theirs:.1f} times as fast",
        target=f"≥ {factor} times",
        reached=rate / theirs >= factor,
    )
    record(
        SECTION,
        f"end to end, of the bare network's rate, {how}",
        reference=f"{theirs * reference['network']:.0%}",
        quartet=f"{rate / network_rate:.0%} of {network_rate:.2f} frames/s",
        target="≥ 80%",
        reached=rate / network_rate >= 0.8,
    )


@pytest.mark.parametrize("width", [16, 32])
def test_sizes_and_widths(width, record):
    """Frames of noise take as long as others; the network has random weights."""
    torch.manual_seed(0)
    weights = {name: value.numpy() for name, value in StyleNetwork(width).state_dict().items()}
    generator = np.random.default_rng(0)
    for height, columns in ((480, 854), (720, 1280), (1080, 1920)):
        frames = generator.integers(0, 256, (8, height, columns, 3), dtype=np.uint8)
        rates = []
        for precision in ("float32", "bfloat16", "int8"):
            settings = Stylizing(precision=precision)
            with Stylizer(weights, settings, detect_platform(settings)) as stylizer:
                list(stylizer.stream(enumerate(frames[:2])))
                begun = time.perf_counter()
                list(stylizer.stream(enumerate(frames)))
                rates.append(len(frames) / (time.perf_counter() - begun))
        record(
            SECTION,
            f"frames/s of the network alone, {columns}×{height}, width {width}: float32, "
            "bfloat16, int8",
            quartet=", ".join(f"{rate:.2f}" for rate in rates),
        )


def test_likeness(real_clip, network, weights, record):
    with av.open(str(real_clip)) as container:
        decoded = list(container.decode(video=0))
    frames = torch.from_numpy(np.stack([decoded[n].to_ndarray(format="rgb24") for n in (5, 70)]))
    del decoded
    with torch.inference_mode():
        plain = to_pictures(network(frames.permute(0, 3, 1, 2).float())).permute(0, 2, 3, 1)
        exact = InferenceNetwork(network, torch.float32)(frames)
        lower = InferenceNetwork(network, torch.bfloat16)(frames)
        integers = QuantisedNetwork(network)(frames)
        automatic = select_network(network)(frames)
    near = float(((exact.int() - plain.int()).abs() <= 1).double().mean())
    record(
        SECTION,
        "pixels of the float32 form within one level of the published layout's",
        quartet=f"{near:.4%}",
        target="≥ 99.9%",
        reached=near >= 0.999,
    )
    for name, made, expected, target in (
        ("int8", integers, plain, 2.5),
        ("auto", automatic, plain, 2),
        ("bfloat16", lower, plain, 2),
    ):
        rms = float((made.float() - expected.float()).square().mean().sqrt())
        record(
            SECTION,
            f"levels RMS between {name} and float32",
            quartet=f"{rms:.2f}",
            target=f"≤ {target}",
            reached=rms <= target,
        )


@pytest.fixture(scope="module")
def project(weights, tmp_path_factory) -> Path:
    folder = make_workspace(tmp_path_factory.mktemp("project"))
    styles = folder / "data/06_models/style"
    styles.mkdir(parents=True, exist_ok=True)
    save_file(weights, styles / "mosaic.safetensors")
    return folder


def transfer(project, video, *changes, ranks=1) -> tuple[dict[str, float], float]:
    """The metrics of a run, and the peak memory of its largest process, MiB."""
    parameters = ",".join((f"video={video}", "style=mosaic", *changes))
    arguments = ["-m", "kedro", "run", "--pipelines", "style_transfer", "--params", parameters]
    command = on_ranks(ranks, *arguments) if ranks > 1 else [sys.executable, *arguments]
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024);"
        "sys.exit(done.returncode)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        cwd=project,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reports = project / "data/08_reporting/style_transfer/metrics.json"
    return json.loads(reports.read_text()), float(done.stdout.splitlines()[-1])


def test_two_ranks(project, real_clip, record):
    changes = (
        "stylizing.workers=1",
        "style_transfer.segment_frames=11",  # 12 segments
        "style_transfer.comparison_pairs=1",
    )
    rates = {
        ranks: transfer(project, real_clip, *changes, ranks=ranks)[0]["frames_per_s"]
        for ranks in (1, 2)
    }
    record(
        SECTION,
        "two MPI ranks against one, one thread each",
        quartet=f"{rates[1]:.2f} and {rates[2]:.2f} frames/s, {rates[2] / rates[1]:.2f} times",
        target="≥ 1.6 times",
        reached=rates[2] / rates[1] >= 1.6,
    )


def write_repeated_clip(real_clip: Path, target: Path, seconds: int) -> Path:
    """Repeat the packets of the clip to fill the time, without encoding."""
    with av.open(str(real_clip)) as source:
        video = source.streams.video[0]
        packets = [packet for packet in source.demux(video) if packet.dts is not None]
        length = sum(packet.duration for packet in packets)
        with av.open(str(target), "w") as output:
            stream = output.add_stream_from_template(video)
            tick = float(video.time_base)
            for round_ in range(int(np.ceil(seconds / (length * tick)))):
                for packet in packets:
                    copy = av.Packet(bytes(packet))
                    copy.pts, copy.dts = (
                        stamp + round_ * length for stamp in (packet.pts, packet.dts)
                    )
                    copy.duration, copy.time_base = packet.duration, packet.time_base
                    copy.is_keyframe = packet.is_keyframe
                    copy.stream = stream
                    output.mux(copy)
    return target


def test_memory(project, real_clip, tmp_path, record):
    """With default parameters, memory must not grow with the number of segments."""
    peaks, frames = {}, {}
    for seconds in (5, 30):
        video = write_repeated_clip(real_clip, tmp_path / f"{seconds}.mp4", seconds)
        found, peaks[seconds] = transfer(project, video)
        frames[seconds] = found["frames_out"]
    work = json.loads((project / "data/07_model_output/style/work.json").read_text())
    record(
        SECTION,
        "peak memory of a run on 720p with default parameters, width 16: 5 s, 30 s",
        quartet=f"{peaks[5]:.0f} MiB ({frames[5]:,} frames), {peaks[30]:.0f} MiB "
        f"({frames[30]:,} frames); {work['ranks'][0]['precision']}",
        target="same, < 2048 MiB",
        reached=max(peaks.values()) < 2048 and peaks[30] < 1.1 * peaks[5],
    )
