"""Ask for a look at due reports once a load ends."""

import structlog
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

_log = structlog.get_logger(__name__)

FLOW, DEPLOYMENT = "reports-due", "reports"
_PATIENCE_SECONDS = 5


def wake() -> None:
    """Start a look, where reports are served.

    A lost signal costs minutes, because a look has a schedule, too. It must not cost a load.
    """
    try:
        with get_client(httpx_settings={"timeout": _PATIENCE_SECONDS}, sync_client=True) as client:
            deployment = client.read_deployment_by_name(f"{FLOW}/{DEPLOYMENT}")
            client.create_flow_run_from_deployment(deployment.id)
    except ObjectNotFound:
        return
    except Exception as error:
        _log.warning("no look at reports was asked for", error=type(error).__name__)
