"""The MLflow server of `make up`: `python -m deploy.local.mlflow_server FOLDER PORT`, one process on 127.0.0.1.

`mlflow server` imports all of MLflow twice: in a process that makes the tables and then only waits, and in the one that
answers. Both together take 3.4 s of processor time and 210 MiB more than this one, which does what they do.
"""

import os
import sys
from pathlib import Path

import uvicorn  # before mlflow.server, which installs its checks of Host and Origin where it finds uvicorn

HOST = "127.0.0.1"
ARTIFACT_ROOT = "mlflow-artifacts:/"  # clients send artifacts to the server


def main(arguments: list[str]) -> int:
    folder, port = Path(arguments[0]), int(arguments[1])
    database = f"sqlite:///{folder / 'mlflow.db'}"
    os.environ |= _environment(database, folder / "artifacts")
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    initialize_backend_stores(database, database, ARTIFACT_ROOT)
    uvicorn.run(app, host=HOST, port=port, access_log=False)
    return 0


def _environment(database: str, artifacts: Path) -> dict[str, str]:
    """What `mlflow server` hands to its second process."""
    from mlflow.server import constants

    return {
        constants.BACKEND_STORE_URI_ENV_VAR: database,
        constants.REGISTRY_STORE_URI_ENV_VAR: database,
        constants.ARTIFACT_ROOT_ENV_VAR: ARTIFACT_ROOT,
        constants.ARTIFACTS_DESTINATION_ENV_VAR: str(artifacts),
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
