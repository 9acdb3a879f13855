"""What the benchmark suite writes: table, summary, JSON, Markdown and plot."""

from __future__ import annotations

import dataclasses
import json

import pytest

from cnnfast.bench import plot, report
from cnnfast.bench.markdown import markdown
from cnnfast.bench.runner import Result, Settings
from cnnfast.bench.summary import summaries, summary_text
from cnnfast.bench.workloads import select
from tests.bench_rows import PEAK, measured, small_prediction, small_training

ABOUT = {"cnnfast": "1.0", "cpu": "a CPU", "isa": "avx2", "peers": {"torch": {"torch": "2.13"}}}


def prediction() -> Result:
    return measured(small_prediction(), cnnfast=[1.0, 2.0, 4.0], torch=[2.0, 6.0, 8.0], keras=[9.0, 9.0, 9.0])


def named(result: Result, name: str, goal: float) -> Result:
    return dataclasses.replace(result, workload=dataclasses.replace(result.workload, name=name, goal=goal))


def test_table_shows_medians_quartiles_rates_and_ratios() -> None:
    lines = report.rows(prediction(), 12, PEAK).splitlines()
    assert lines[0].split()[:4] == ["small-infer", "cnnfast", "2", "s"]
    assert "1.5 s - 3 s" in lines[0] and "3 MiB" in lines[0]
    assert lines[1].endswith("2.00x (2.00 - 2.50) (fastest peer)")
    assert not lines[2].endswith("(fastest peer)")


def test_table_shows_the_part_of_the_floor() -> None:
    slow = dataclasses.replace(PEAK, operations=1e3, read=1e9)  # 5 samples x (2 x 864 + 48 + 96) operations
    (line,) = report.rows(measured(small_prediction(), cnnfast=[18.72]), 12, slow).splitlines()
    assert "50 %" in line and "5e-07" in line


def test_a_disagreement_stands_in_the_place_of_the_ratio() -> None:
    result = prediction()
    result.measurements["torch"].disagreement = "y differs"
    assert report.rows(result, 12, PEAK).splitlines()[1].endswith("differs from cnnfast: y differs")
    assert result.fastest_peer() == "keras"


def test_summary_names_mean_lowest_row_and_rows_below_their_goal() -> None:
    rows = [
        named(measured(small_training(), cnnfast=[1.0], torch=[4.0], keras=[5.0]), "good", 3.0),
        named(measured(small_training(), cnnfast=[1.0], torch=[3.0], keras=[1.0]), "bad", 1.1),
        named(measured(small_training(), cnnfast=[1.0], torch=[2.0]), "worse", 2.5),
    ]
    (found,) = summaries(rows)
    assert (found.group, found.rows, found.mean) == ("train", 3, pytest.approx(2.0))
    assert (found.lowest, found.lowest_ratio) == ("bad", 1.0)
    assert found.misses == [("worse", 2.0, 2.5), ("bad", 1.0, 1.1)]
    text = summary_text(rows)
    assert "training: 2.00 times as fast as the fastest peer (geometric mean of 3 rows; goal 2.5)" in text
    assert "lowest: 1.00, bad" in text and "below its goal of 2.5: 2.00, worse" in text and "good" not in text


def test_summary_tells_what_failed_and_says_nothing_where_nothing_was_compared() -> None:
    result = prediction()
    result.measurements["torch"].error = "torch: cannot"
    assert "failed or disagreed: small-infer" in summary_text([result])
    assert summary_text([measured(small_prediction(), cnnfast=[1.0])]) == ""


def test_json_holds_every_round_and_no_ratio_where_answers_differ() -> None:
    settings, bad = Settings(2, 3), prediction()
    bad.measurements["torch"].disagreement = "y differs"
    data = json.loads(json.dumps(report.to_json([prediction(), bad], settings, {}, PEAK)))
    good_torch, bad_torch = (r["peers"]["torch"] for r in data["results"])
    assert good_torch["seconds"] == bad_torch["seconds"] == [2.0, 6.0, 8.0]
    assert good_torch["ratio_median"] == 2.0
    assert bad_torch["ratio_median"] is None and bad_torch["disagreement"]
    assert data["results"][0]["operations"] == 5 * 1872
    assert good_torch["operations_per_second"] == 5 * 1872 / 6.0
    assert data["summary"][0]["lowest"] == "small-infer"


def test_markdown_has_a_table_for_each_group_with_floors_and_the_fastest_peer() -> None:
    text = markdown([measured(small_training(), cnnfast=[1.0]), prediction()], Settings(2, 3), ABOUT, PEAK)
    assert "## Training" in text and "## Inference" in text and "## Kernels" not in text
    assert "Peers: torch 2.13." in text and "Peak: 1 GFLOP/s (avx2)" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
    assert rows[-1].startswith("| small-infer |") and rows[-1].endswith("| torch | 6 s | 2.00 (2.00 - 2.50) |")


@pytest.mark.parametrize(
    "seconds, text",
    [(83.14e-6, "83.1 us"), (0.0124, "12.4 ms"), (0.9999, "1 s"), (1.92, "1.92 s"), (1500, "1500 s")],
)
def test_durations_have_three_digits_and_a_unit(seconds: float, text: str) -> None:
    assert report.duration(seconds) == text


def test_a_busy_machine_is_warned_of() -> None:
    about = {"load_average": 6.0, "threads_allowed": 2}
    assert len(report.warnings(about, Settings(2))) == 1
    assert "4 threads share 2 CPUs" in report.warnings(about, Settings(4))[1]
    assert report.warnings({"load_average": 0.1, "threads_allowed": 2}, Settings(2)) == []


def test_plot_shows_every_peer_of_a_network_and_the_fastest_of_a_kernel() -> None:
    kernels = [measured(w, cnnfast=[1.0], torch=[3.0], keras=[2.0]) for w in select("kernel/dense-576-64")]
    found = plot._lines([prediction(), *kernels], compared=True)
    assert [line.name for line in found] == ["small-infer", "dense-576-64"]
    assert [peer for peer, *_ in found[0].points] == ["torch", "keras"]
    assert [(peer, mode) for peer, mode, _ in found[1].points] == [("keras", m) for m in ("forward", "dx", "dw")]


def test_plot_has_the_names_and_a_legend(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none"}):
        plot.save_plot([prediction()], tmp_path / "x.svg", "a CPU")
    text = (tmp_path / "x.svg").read_text()
    assert all(word in text for word in ("small-infer", "PyTorch, contiguous", "Keras on TensorFlow", "a CPU", "2.00"))


@pytest.mark.parametrize("rows", [1, 200])
def test_plot_takes_any_number_of_rows(rows: int, tmp_path) -> None:  # type: ignore[no-untyped-def]
    results = [named(prediction(), f"row {i}", 1.0) for i in range(rows)]
    plot.save_plot(results, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_plot_of_nothing_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="nothing to plot"):
        plot.save_plot([], tmp_path / "y.png")
