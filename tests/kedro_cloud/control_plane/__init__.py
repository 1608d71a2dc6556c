"""Azure ML's control plane on this machine, for the unmodified Azure SDK.

A proxy on 127.0.0.1 answers as Microsoft's sign-in, Azure Resource Manager and
the Azure ML service, over HTTPS with a certificate authority of its own, and
hands what goes to blob storage on to Azurite. In come the requests of an SDK
client that was given `ControlPlane.environment`; what the client created then
lies in `ControlPlane.resources`, as it was sent. Every other name is refused.
"""

from control_plane.messages import Answer, Fault, Request
from control_plane.plane import ControlPlane, running
from control_plane.runs import Moment, Stage, StepRun

__all__ = ["Answer", "ControlPlane", "Fault", "Moment", "Request", "Stage", "StepRun", "running"]
