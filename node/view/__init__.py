"""What can be seen of a node: one pure fold over its journal. Console, API and `node status` read nothing else."""

from node.view.alerts import Alert
from node.view.read_models import (
    EvidenceView,
    LogLine,
    ModelView,
    ModuleView,
    Overview,
    PeerView,
    RoundPoint,
    VersionView,
)
from node.view.view import View

__all__ = [
    "Alert",
    "EvidenceView",
    "LogLine",
    "ModelView",
    "ModuleView",
    "Overview",
    "PeerView",
    "RoundPoint",
    "VersionView",
    "View",
]
