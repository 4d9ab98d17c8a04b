"""The MLflow server of `make up`: what `mlflow server` would refuse, it refuses too."""

import httpx


def test_foreign_hosts_and_pages_of_other_sites_are_refused(mlflow_url: str) -> None:
    api = f"{mlflow_url}/api/2.0/mlflow/experiments"
    search, experiment = f"{api}/search?max_results=1", {"name": "from another site"}
    assert httpx.get(search).status_code == 200
    assert httpx.get(search, headers={"Host": "evil.example"}).status_code == 403
    foreign = httpx.post(f"{api}/create", json=experiment, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert httpx.post(f"{api}/create", json=experiment).status_code == 200
