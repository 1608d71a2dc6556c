"""Azure ML's control plane on this machine, for the unmodified Azure SDK.

A proxy on 127.0.0.1 emulates Microsoft's sign-in, Azure Resource Manager and the Azure ML service
over HTTPS, with its own certificate, and forwards requests for blob storage to Azurite.
In: requests of an SDK client with the variables of `ControlPlane.environment`. Out: what the client
created, in `ControlPlane.resources`. Other hosts are rejected.
"""

from control_plane.messages import Answer, Fault, Request
from control_plane.plane import ControlPlane, running
from control_plane.runs import Moment, Stage, StepRun

__all__ = ["Answer", "ControlPlane", "Fault", "Moment", "Request", "Stage", "StepRun", "running"]
