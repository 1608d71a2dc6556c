"""Invalid options of all commands."""

from damage import change, write
from wrong_values.cases import Case, run

DIGITS = "mnist_training"
CLOUD = "conf/azureml/cloud.yml"
AZUREML = "conf/azureml/azureml.yml"
NO_SERVER = "mnist: {folder: x, mirrors: ['http://127.0.0.1:9'], sha256: {a.gz: 440fcabf73cc}}"

_RUN = [
    Case(
        "run unknown pipeline",
        run("mnist_trainin"),
        ("'mnist_trainin' does not exist", f"did you mean '{DIGITS}'?"),
    ),
    Case("run unknown environment", run(DIGITS, "-e", "nowhere"), ("'nowhere'", "conf/nowhere")),
    Case("run unknown node", run(DIGITS, "--nodes", "splitt"), ("no nodes named 'splitt'",)),
    Case("run unknown runner", run(DIGITS, "--runner", "Fast"), ("'Fast'", "SequentialRunner")),
    Case(
        "run odd parameters", run(DIGITS, "--params", "a"), ("params", "separated by `=`"), code=2
    ),
    Case("run misspelt", ("rn",), ("No such command 'rn'",), code=2),
]
_FETCH = [
    Case(
        "fetch unknown",
        ("fetch", "mnits"),
        ("no download 'mnits' in downloads.yml; expected one of mnist",),
    ),
    Case(
        "fetch half a source",
        ("fetch", "mnist"),
        ("downloads.yml: mnist: mirrors is missing",),
        write("conf/base/downloads.yml", "mnist: {folder: x}"),
    ),
    Case(
        "fetch from nowhere",
        ("fetch", "mnist"),
        ("a.gz: download failed", "download it by hand and put it into"),
        write("conf/base/downloads.yml", NO_SERVER),
    ),
]
_UNSET = "AZURE_SUBSCRIPTION_ID"
_CLOUD = [
    Case("plan nothing", ("cloud", "plan"), ("Missing option '--pipeline'",), code=2),
    Case(
        "plan unknown",
        ("cloud", "plan", "-p", "no"),
        ("pipeline 'no' does not exist; expected one of __default__",),
    ),
    Case(
        "plan elsewhere",
        ("cloud", "plan", "-p", DIGITS, "-e", "nowhere"),
        ("'nowhere' has no planning.yml", "use -e azureml"),
    ),
    Case(
        "plan without brackets",
        ("cloud", "plan", "-p", DIGITS),
        (CLOUD, "invalid YAML"),
        write(CLOUD, "cloud: ["),
    ),
    Case(
        "provision misspelt",
        ("cloud", "provision", "--dry-run"),
        ("cloud.yml", "regoin is not a setting"),
        change(CLOUD, "region:", "regoin:"),
    ),
    Case("status", ("cloud", "status"), ("workspace settings are missing", _UNSET)),
    Case("cloud misspelt", ("cloud", "plam"), ("No such command 'plam'",), code=2),
]
_AZURE = [
    Case("compile unknown", ("azureml", "compile", "-p", "no"), ("pipeline 'no' does not exist",)),
    Case(
        "compile for here",
        ("azureml", "-e", "local", "compile", "-p", DIGITS),
        ("'local' is not for Azure ML", "use `kedro azureml -e azureml"),
    ),
    Case(
        "compile odd parameters",
        ("azureml", "compile", "-p", DIGITS, "--params", "a=b"),
        ("--params is not JSON", '{"seed": 1}'),
    ),
    Case(
        "compile elsewhere",
        ("azureml", "-e", "nowhere", "compile", "-p", DIGITS),
        ("'nowhere' does not exist",),
    ),
    Case(
        "compile for no cluster",
        ("azureml", "compile", "-p", DIGITS),
        (AZUREML, "azure.compute.gpu should be a mapping", "fix or remove it"),
        change(AZUREML, "gpu: {cluster_name: cpu-cluster}", "gpu: cpu-cluster"),
    ),
    Case(
        "rehearse with another key",
        ("cloud", "rehearse", "-p", DIGITS),
        (AZUREML, "azure.code_folder is not a setting"),
        change(AZUREML, "code_directory:", "code_folder:"),
    ),
    Case("submit", ("azureml", "run", "-p", DIGITS), ("workspace settings are missing", _UNSET)),
]
_PAGES = [
    Case("ui elsewhere", ("mlflow", "ui", "-e", "nowhere"), ("'nowhere' does not exist",)),
    Case("viz odd port", ("viz", "run", "--port", "x"), ("'--port'", "valid integer"), code=2),
]
COMMANDS = [*_RUN, *_FETCH, *_CLOUD, *_AZURE, *_PAGES]
