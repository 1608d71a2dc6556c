"""A run ends in a summary: metrics, models and paths, and no warnings."""

import ast
import io
import os
import re
import subprocess
import sys

import matplotlib.figure
import pytest
import yaml
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner, ThreadRunner
from kedro_datasets.json import JSONDataset
from kedro_datasets.matplotlib import MatplotlibDataset

from kedro_cloud.jobs.hooks import STEP
from kedro_cloud.jobs.steps import Steps
from quartet.datasets.registered_model import ModelRelease
from quartet.framework.hooks import summary
from quartet.framework.hooks.summary import SummaryHooks, format_metric
from quartet.pipeline_registry import SAMPLE_RUN
from support import ROOT, clean_environment, read_metrics

METRICS = {
    "test_accuracy": 0.958217,
    "test_accuracy_low_95": 0.93221,
    "test_accuracy_high_95": 0.97451,
    "images": 27636,
    "seconds": 72.4,
    "of_no_interest": 1,
}
RELEASE = ModelRelease(True, "first version", "loader", {}, (), None)


class Clock:
    """A clock that advances by a second per call."""

    def __init__(self):
        self.seconds = 0

    def __call__(self):
        self.seconds += 1
        return self.seconds


class Registry(MemoryDataset):
    """A `RegisteredModelDataset` without MLflow."""

    _model_name = "classifier"
    saved_version = None

    def save(self, data):
        self.saved_version = 3


def node(function, inputs, outputs, name):
    return Node(function, inputs, outputs, name=name)


FIT = node(lambda: (METRICS, RELEASE), None, ["digits_metrics", "classifier"], "fit")
DRAW = node(matplotlib.figure.Figure, None, "sweep_figure", "draw")
WRITE = node(lambda: {"places": [f"{n}.png" for n in range(5)]}, None, "stylized", "write")
LOOK = node(lambda metrics: {"images": 2}, "digits_metrics", "film_metrics", "look")
DISCARD = node(lambda stylized: None, "stylized", None, "discard")
PIPELINES = {
    "digits": Pipeline([FIT, DRAW]),
    "film": Pipeline([WRITE, LOOK]),
    "discarding": Pipeline([WRITE, DISCARD]),
}


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(summary, "pipelines", PIPELINES)
    folder = tmp_path / "reports"
    declared = {"main": ["test_accuracy", "seconds", "images"]}
    return DataCatalog(
        {
            "digits_metrics": JSONDataset(
                filepath=f"{folder}/digits/metrics.json", metadata={"quartet": declared}
            ),
            "film_metrics": JSONDataset(
                filepath="memory://reports/metrics.json",
                metadata={"quartet": {"results": ["stylized"]}},
            ),
            "sweep_figure": MatplotlibDataset(filepath=f"{folder}/digits/sweep.png"),
            "classifier": Registry(),
            "stylized": JSONDataset(filepath=f"{folder}/output.json"),
        }
    )


def run(catalog, *names, runner=None, nodes=None, hooks=None, **params):
    """Run pipelines as a session does, with these hooks alone."""
    pipeline = sum((PIPELINES[name] for name in names), Pipeline([])).filter(node_names=nodes)
    manager = _create_hook_manager()
    manager.register(hooks or SummaryHooks(SAMPLE_RUN, STEP.get, Clock()))
    arguments = {"run_params": {"pipeline_names": list(names), **params}, "pipeline": pipeline}
    manager.hook.before_pipeline_run(**arguments, catalog=catalog)
    result = (runner or SequentialRunner()).run(
        pipeline, catalog, manager, only_missing_outputs=params.get("only_missing_outputs", False)
    )
    manager.hook.after_pipeline_run(**arguments, run_result=result, catalog=catalog)


def test_summary_shows_metrics_model_and_paths(catalog, capsys):
    run(catalog, "digits")
    assert capsys.readouterr().out == (
        "digits, done in 5.0 s\n"
        "  test_accuracy  0.9582      95 % interval 0.9322 to 0.9745\n"
        "  seconds        1 min 12 s\n"
        "  images         27,636\n"
        "  model    classifier, version 3 (first version)\n"
        "  metrics  reports/digits/metrics.json\n"
        "  figures  1 in reports/digits\n"
        "\n"
        "kedro viz run    show figures and tables in the pipeline graph\n"
        "kedro mlflow ui  compare this run with earlier ones\n"
    )


def test_each_pipeline_of_a_run_has_its_own_section(catalog, capsys):
    run(catalog, "digits", "film", env="azureml")
    first, second, _, hints = capsys.readouterr().out.split("\n\n")
    assert first.startswith("digits, done")
    assert second.splitlines()[1:] == [
        "  images  2",
        "  result   5 files, from 0.png",
        "  metrics  memory:///metrics.json",
    ]
    assert "kedro viz run -e azureml" in hints


@pytest.mark.parametrize("names", [("digits", "film"), ("film", "digits")])
def test_sections_are_in_the_order_in_which_pipelines_began(catalog, capsys, names):
    """Kedro passes the names in any order."""
    run(catalog, *names, nodes=["fit", "look"])
    first, second, *_ = capsys.readouterr().out.split("\n\n")
    assert (first.split(",")[0], second.split(",")[0]) == ("digits", "film")


def test_partial_run_summarises_only_its_nodes(catalog, capsys):
    run(catalog, "digits", nodes=["draw"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["digits, 1 of 2 nodes in 2.0 s", "  figures  1 in reports/digits"]
    assert not any("metrics.json" in line for line in lines)


def test_unregistered_model_has_no_version(catalog, capsys, monkeypatch):
    release = ModelRelease(False, "not better", "loader", {}, (), None)
    monkeypatch.setattr(FIT, "_func", lambda: (METRICS, release))
    run(catalog, "digits")
    assert "classifier, no new version (not better)\n" in capsys.readouterr().out


def test_nodes_run_in_threads_are_summarised(catalog, capsys):
    run(catalog, "digits", runner=ThreadRunner())
    assert "digits, done" in capsys.readouterr().out


def test_second_run_of_a_process_is_summarised_alone(catalog, capsys):
    hooks = SummaryHooks(SAMPLE_RUN, STEP.get, Clock())
    run(catalog, "digits", hooks=hooks)
    capsys.readouterr()
    run(catalog, "digits", nodes=["draw"], hooks=hooks)
    assert "digits, 1 of 2 nodes" in capsys.readouterr().out


@pytest.mark.parametrize(("pipeline", "nodes"), [("digits", ["draw"]), ("discarding", None)])
def test_run_without_missing_outputs_reports_nothing_to_do(catalog, capsys, pipeline, nodes):
    """Kedro always runs a node without outputs, such as that of `discarding`."""
    run(catalog, pipeline, nodes=nodes)
    capsys.readouterr()
    run(catalog, pipeline, nodes=nodes, only_missing_outputs=True)
    assert capsys.readouterr().out == "Nothing to do: the outputs of all nodes exist.\n"


def test_failed_run_has_no_summary(catalog, capsys, monkeypatch):
    def fail():
        raise ValueError("no")

    monkeypatch.setattr(DRAW, "_func", fail)
    with pytest.raises(ValueError, match="no"):
        run(catalog, "digits")
    assert capsys.readouterr().out == ""


def test_other_ranks_print_no_summary(catalog, capsys, monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    run(catalog, "digits")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("step", "summarised"), [("draw", False), ("fit", True)])
def test_only_the_step_that_saves_metrics_is_summarised(catalog, capsys, step, summarised):
    token = STEP.set(("digits", step))
    try:
        run(catalog, "digits", nodes=[step])
    finally:
        STEP.reset(token)
    out = capsys.readouterr().out
    assert out.startswith("digits, step fit in") == summarised
    assert (out == "") != summarised
    assert "kedro viz" not in out


def test_pipeline_of_steps_is_summarised(catalog, capsys, monkeypatch):
    joined = Pipeline([FIT.tag("step.all"), DRAW.tag("step.all")])
    monkeypatch.setattr(summary, "pipelines", {"digits": Steps(joined)})
    run(catalog, "digits", env="azureml")
    assert capsys.readouterr().out.startswith("digits, done in 5.0 s")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("variables", "bold"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, False),  # its terminal is that of mpirun
    ],
)
def test_only_a_capable_terminal_gets_escape_codes(catalog, monkeypatch, variables, bold):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    run(catalog, "digits")
    assert ("\x1b[1mdigits\x1b[0m" in terminal.getvalue()) == bold
    assert ("\x1b" in terminal.getvalue()) == bold


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("readings_per_s", 48936.06, "48,936 readings/s"),
        ("network_frames_per_s", 18.4313, "18.43 frames/s"),
        ("sweep_seconds", 12.07, "12.1 s"),
        ("seconds", 0.02795, "0.028 s"),
        ("seconds_per_trial", 0.1217, "0.12 s"),
        ("duration_difference_s", 0.0, "0 s"),
        ("false_alarm_rate", 0.00076212, "0.0007621"),
        ("windows", 11057, "11,057"),
        ("loss", float("nan"), "nan"),
        ("windows", 3002093.89, "3,002,094"),
    ],
)
def test_metrics_are_rounded_and_keep_their_units(name, value, shown):
    assert format_metric(name, value) == shown


@pytest.mark.integration
def test_closed_pipe_does_not_fail_the_run(workspace):
    """As with `kedro run | head`, which may have closed the pipe when the summary is written."""
    code = "import os, sys; os.dup2({}, 1); sys.argv = ['kedro', 'run', '-p', 'faq_ingestion']; "
    code += "from kedro.framework.cli.cli import main; main()"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code.format(write)],
        cwd=workspace,
        env=clean_environment(),
        pass_fds=[write],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert done.returncode == 0, done.stderr
    assert "Broken" not in done.stderr


def read_declaration(pipeline):
    """Return what the catalog declares for the summary of a pipeline, and the catalog."""
    catalog = yaml.safe_load((ROOT / f"conf/base/{pipeline}/catalog.yml").read_text())
    return catalog[f"{pipeline}_metrics"]["metadata"]["quartet"], catalog


@pytest.mark.parametrize("pipeline", SAMPLE_RUN)
def test_declared_metrics_and_results_exist(trained_workspace, pipeline):
    """A renamed metric or dataset would be missing in the summary."""
    declaration, catalog = read_declaration(pipeline)
    assert declaration["found"]
    of_the_table = {**declaration["found"], **declaration.get("baselines", {})}.values()
    metrics = read_metrics(trained_workspace, pipeline)
    assert {*declaration["main"], *of_the_table} <= metrics.keys()
    assert set(declaration.get("results", ())) <= catalog.keys()


@pytest.mark.parametrize("pipeline", SAMPLE_RUN)
def test_run_of_all_scenarios_lists_the_files_of_each(trained_workspace, trained_output, pipeline):
    (section,) = (
        part for part in trained_output.stdout.split("\n\n") if part.startswith(f"{pipeline}, done")
    )
    rows = [line.split() for line in section.splitlines()[1:]]
    assert ["metrics", f"data/08_reporting/{pipeline}/metrics.json"] in rows
    for kind, place, *_ in rows:
        if kind in ("metrics", "result"):
            assert (trained_workspace / place).exists()
    (figures,) = (row for row in rows if row[0] == "figures")
    folder = trained_workspace / figures[3]
    pictures = [path for path in folder.iterdir() if path.suffix in (".png", ".webp")]
    assert int(figures[1]) == len(pictures)
    assert all(path.stat().st_size > 5_000 for path in pictures), "a figure is empty"


def test_run_of_all_scenarios_lists_registered_versions(trained_output):
    models = re.findall(r"model +(\S+), version (\d+)", trained_output.stdout)
    assert models == [("mnist_classifier", "1"), ("FAQ_ranker", "1"), ("sensor_models", "1")]


def test_summary_goes_to_stdout_and_log_to_stderr(trained_output):
    assert "Running node" not in trained_output.stdout
    assert "kedro viz run" in trained_output.stdout
    assert "kedro viz run" not in trained_output.stderr


def test_normal_run_has_no_warnings_or_control_characters(trained_output):
    for text in (trained_output.stdout, trained_output.stderr):
        assert not re.findall(r"[\x1b\r\b]", text)
        # The samples have a few invalid rows, of which each pipeline warns once.
        lines = [line for line in text.splitlines() if ": rejected " not in line]
        assert not [line for line in lines if "warning" in line.lower()]
        assert max(map(len, lines)) <= 150


def find_progress_bars():
    """Yield each call that makes a progress bar, by file and line."""
    for path in (ROOT / "src/quartet").rglob("*.py"):
        if "tqdm" in (text := path.read_text()):
            for call in ast.walk(ast.parse(text)):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "tqdm":
                    yield f"{path.relative_to(ROOT)}:{call.lineno}", call


def test_progress_bars_are_labelled_and_disabled_in_files():
    """With `disable=None` bars are shown on a terminal only."""
    bars = dict(find_progress_bars())
    assert bars
    for place, call in bars.items():
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        assert given.keys() >= {"desc", "unit", "disable"}, place
        disabled = list(ast.walk(given["disable"]))
        assert isinstance(given["disable"], ast.Name) or any(
            isinstance(part, ast.Constant) and part.value is None for part in disabled
        ), place


def test_run_in_several_processes_ends_in_a_summary(catalog, capsys):
    """Nodes ran elsewhere, so this process knows what they have saved, but not how long it took."""
    hooks = SummaryHooks(SAMPLE_RUN, STEP.get, Clock())
    run(catalog, "digits")  # in the catalog are the outputs, in `hooks` no node
    capsys.readouterr()
    hooks.after_pipeline_run(
        run_params={
            "pipeline_names": ["digits"],
            "runner": "<kedro.runner.parallel_runner.ParallelRunner object at 0x7f>",
        },
        pipeline=PIPELINES["digits"],
        catalog=catalog,
    )
    output = capsys.readouterr().out
    assert output.startswith("digits, done\n  test_accuracy  0.9582 ")
    assert "  metrics  reports/digits/metrics.json\n  figures  1 in reports/digits\n" in output


def test_a_run_of_several_pipelines_ends_in_a_table_with_the_strongest_baseline(catalog, capsys):
    declared = {"found": {"accuracy": "test_accuracy", "lost": "no_such_metric"}}
    declared["baselines"] = {"weak": "of_no_interest", "strong": "images", "lost": "no_such_metric"}
    catalog["digits_metrics"].metadata["quartet"] |= declared
    run(catalog, "digits", "film")
    table = capsys.readouterr().out.split("\n\n")[2]
    assert table.splitlines() == [
        "pipeline  result (95 % interval)              strongest baseline  time",
        "digits    accuracy 0.9582 (0.9322 to 0.9745)  strong 27,636       5.0 s",
        "          classifier, version 3 (first version)",
        "          see reports/digits",
        "film                                          -                   4.0 s",
        "          see 5 files, from 0.png, memory://",
    ]


def test_the_table_says_why_parameters_were_chosen(catalog, capsys, monkeypatch):
    reason = "trial 0, the default parameters, kept: the lead of trial 12 is within chance"
    monkeypatch.setattr(WRITE, "_func", lambda: {"choice": reason})
    run(catalog, "digits", "film")
    *sections, table, _ = capsys.readouterr().out.split("\n\n")
    assert f"\n          {reason}\n" in table
    assert f"\n  choice   {reason}\n" in sections[1]


def test_long_reasons_are_wrapped_at_100_columns(catalog, capsys, monkeypatch):
    release = ModelRelease(False, "not better " * 20 + "x" * 60, "loader", {}, (), None)
    monkeypatch.setattr(FIT, "_func", lambda: (METRICS, release))
    run(catalog, "digits", "film")
    lines = capsys.readouterr().out.split("\n\n")[2].splitlines()
    assert max(map(len, lines)) <= 100
    assert " ".join(" ".join(lines).split()).count("not better") == 20


def test_the_table_of_all_scenarios_fits_into_100_columns(trained_output):
    *_, table, _ = trained_output.stdout.split("\n\n")
    lines = table.splitlines()
    rows = [line for line in lines if line[0] != " "]
    assert [row.split()[0] for row in rows] == ["pipeline", *SAMPLE_RUN]
    assert max(len(line) for line in lines if line not in rows) <= 100
    without_time = [row.rpartition("  ")[0].rstrip() for row in rows]  # slow machines need more
    assert max(map(len, without_time)) <= 92
    assert "cosine" in next(line for line in lines if line.startswith("faq_tuning"))
    kept = r" +trial \d+(, the default parameters,)? (kept|chosen): "
    assert any(re.match(kept, line) for line in lines)


def test_log_has_each_node_once_with_its_position_pipeline_and_time(trained_output):
    found = re.findall(r"Running node: (\S+) \((\d+) of (\d+)\)", trained_output.stderr)
    assert [int(number) for _, number, _ in found] == list(range(1, len(found) + 1))
    assert {int(total) for *_, total in found} == {len(found)}
    started = [name for name, *_ in found]
    assert len(set(started)) == len(started)
    assert re.findall(r"Completed node: (\S+) in [\d.]+ \w+", trained_output.stderr) == started
    scenarios = [name.partition(".")[0] for name in started]
    assert list(dict.fromkeys(scenarios)) == SAMPLE_RUN
    assert scenarios == sorted(scenarios, key=SAMPLE_RUN.index)
