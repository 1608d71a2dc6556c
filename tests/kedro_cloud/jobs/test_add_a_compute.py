"""The guide on adding a cluster must work as written."""

from control_plane.admission import Size
from docs.guide import copy_project, follow
from docs.pages import DOCS
from projects import add_image

GUIDE = DOCS / "how-to/add-a-compute.md"


def test_the_commands_of_the_guide_create_the_cluster(plane, tmp_path):
    plane.manager.admission.sizes["Standard_E8s_v5"] = Size("standardESv5Family", 8)
    project = copy_project(tmp_path)
    names = project / "conf/azureml/globals.yml"
    names.write_text(names.read_text().replace("your-data-account", "mydata"))
    add_image(plane, project)
    done = list(follow(GUIDE, project, **plane.environment))
    assert "kedro cloud provision --yes" in done
    made = plane.manager.find("computes/memory-cluster")
    assert made["properties"]["properties"]["scaleSettings"]["maxNodeCount"] == 2
