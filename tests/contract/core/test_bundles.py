"""Bundles on every database: requested by reading them, written once, gone with their ONNX."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.db.tables import BundleRow, ExportRow, OperationRow, VersionRow
from core.domain.errors import BundleFailed, BundleWithoutOnnx, DarkroomError, Gone, OperationFailed
from core.domain.keys import bundle_key
from core.services.context import Platform
from core.services.jobs.deletion import delete_job
from core.services.models.bundle_inputs import bundle_inputs
from core.services.models.bundles import BundledContent, Standing, find_bundle, publish_bundle, request_bundle
from core.services.models.exports import ExportChoice, delete_export
from core.services.operations.commands import cancel_operation, list_operations, retry_operation
from core.services.runs.lifecycle import PublishedArtifact
from core.services.work import endings
from core.services.work.leases import Claim, claim_row
from tests.builders import lineage
from tests.builders.exports import ONNX, claimed_export, export, publish_claimed

CONTENTS = [BundledContent("README.md", 3, "6" * 64)]


@pytest.fixture
def version(platform: Platform) -> VersionRow:
    return lineage.version(platform, lineage.dataset(platform, "first").id, 0.9)


def _claimed(platform: Platform, standing: Standing) -> Claim:
    assert standing.operation is not None and standing.operation.kind == "bundle"
    claimed = claim_row(platform.db, OperationRow, standing.operation.id, "w", lease_seconds=60)
    assert claimed is not None
    return claimed[0]


def _publish(platform: Platform, claim: Claim) -> BundleRow:
    file = PublishedArtifact("bundle.zip", bundle_key(claim.id, claim.attempt), 9, "7" * 64, "application/zip")
    return publish_bundle(platform.db, claim, file, CONTENTS)


def _made(platform: Platform) -> BundleRow:
    return _publish(platform, _claimed(platform, request_bundle(platform, "raccoons", "v1")))


def test_a_version_without_an_onnx_that_passed_has_no_bundle(platform: Platform, version: VersionRow) -> None:
    with pytest.raises(BundleWithoutOnnx, match=r"raccoons/v1 has no ONNX .* make one \(POST /models/.*/v1/exports\)"):
        request_bundle(platform, "raccoons", "v1")
    refused = export(platform, version, ONNX, passed=False, reasons=["Outputs differ."])
    with pytest.raises(
        BundleWithoutOnnx, match=rf"did not pass .* Outputs differ\. Delete that export \({refused.id}\)"
    ) as answered:
        request_bundle(platform, "raccoons", "v1")
    assert answered.value.facts["reasons"] == ["Outputs differ."]
    assert answered.value.facts["links"]["export"].endswith(f"/v1/exports/{refused.id}")
    export(platform, version, ExportChoice("onnx", "fp16"))
    export(platform, version, ExportChoice("openvino", "fp32"))
    with pytest.raises(BundleWithoutOnnx):
        request_bundle(platform, "raccoons", "v1")
    assert not list_operations(platform.db, cursor=None, limit=9, kind="bundle").items


def test_it_waits_for_the_export_that_is_being_made(platform: Platform, version: VersionRow) -> None:
    making = claimed_export(platform, version)
    for ask in (lambda: find_bundle(platform.db, "raccoons", "v1"), lambda: request_bundle(platform, "raccoons", "v1")):
        operation = ask().operation
        assert operation is not None and operation.id == making.id
    endings.fail_attempt(platform.db, OperationRow, making, OperationFailed("The disk is gone."))
    with pytest.raises(BundleWithoutOnnx, match="Its last export failed: The disk is gone") as refused:
        request_bundle(platform, "raccoons", "v1")
    assert refused.value.facts["links"]["operation"] == f"/operations/{making.id}"
    retry_operation(platform, making.id)
    publish_claimed(platform, claimed_export(platform, version))
    assert find_bundle(platform.db, "raccoons", "v1").operation is None, "reading alone queues nothing"
    assert _made(platform).contents == [{"name": "README.md", "bytes": 3, "sha256": "6" * 64}]


def test_it_is_queued_once_and_written_once(platform: Platform, version: VersionRow) -> None:
    made_of = export(platform, version)
    with ThreadPoolExecutor(8) as pool:
        standings = list(pool.map(lambda _: request_bundle(platform, "raccoons", "v1"), range(8)))
    assert len({each.operation.id for each in standings if each.operation}) == 1
    bundle = _publish(platform, _claimed(platform, standings[0]))
    assert (bundle.version_id, bundle.export_id) == (version.id, made_of.id)
    for ref in ("raccoons", str(version.job_id)):
        found = request_bundle(platform, ref, "latest")
        assert found.bundle is not None and found.bundle.sha256 == "7" * 64 and found.operation is None
    assert len(list_operations(platform.db, cursor=None, limit=9, kind="bundle").items) == 1


def test_the_suppression_outside_of_the_graph_is_preferred(platform: Platform, version: VersionRow) -> None:
    outside = export(platform, version)
    inside = export(platform, version, ExportChoice("onnx", "fp32", nms="inside"))
    assert _made(platform).export_id == outside.id
    delete_export(platform.db, "raccoons", "v1", outside.id)
    assert _made(platform).export_id == inside.id


def test_after_its_onnx_is_deleted_another_one_is_made(platform: Platform, version: VersionRow) -> None:
    first = export(platform, version)
    before = _made(platform)
    delete_export(platform.db, "raccoons", "v1", first.id)
    with pytest.raises(BundleWithoutOnnx):
        request_bundle(platform, "raccoons", "v1")
    second = export(platform, version)
    after = _made(platform)
    assert (after.export_id, after.deleted_at) == (second.id, None) and after.key != before.key


def test_one_that_failed_is_tried_again_on_request_alone(platform: Platform, version: VersionRow) -> None:
    export(platform, version)
    claim = _claimed(platform, request_bundle(platform, "raccoons", "v1"))
    endings.fail_attempt(platform.db, OperationRow, claim, OperationFailed("ours"))
    for _ in range(2):
        with pytest.raises(BundleFailed, match=r"ours Try it again \(POST") as refused:
            request_bundle(platform, "raccoons", "v1")
    assert refused.value.facts["operation_id"] == claim.id
    retry_operation(platform, claim.id)
    again = request_bundle(platform, "raccoons", "v1")
    assert again.operation is not None and again.operation.id == claim.id
    cancel_operation(platform.db, claim.id)
    anew = request_bundle(platform, "raccoons", "v1")
    assert anew.operation is not None and anew.operation.id != claim.id


def _delete_export(platform: Platform, version: VersionRow, row: ExportRow) -> None:
    delete_export(platform.db, "raccoons", "v1", row.id)
    with pytest.raises(OperationFailed, match="The ONNX of the bundle was deleted"):
        bundle_inputs(platform.db, version.id, row.id)


def _delete_job(platform: Platform, version: VersionRow, row: ExportRow) -> None:
    delete_job(platform, str(version.job_id))
    with pytest.raises(OperationFailed, match="The version was deleted"):
        bundle_inputs(platform.db, version.id, row.id)
    with pytest.raises(Gone):
        request_bundle(platform, "raccoons", "v1")


@pytest.mark.parametrize(("delete", "ending"), [(_delete_export, OperationFailed), (_delete_job, Gone)])
def test_what_is_deleted_meanwhile_gets_no_bundle(
    delete: Callable[[Platform, VersionRow, ExportRow], None],
    ending: type[DarkroomError],
    platform: Platform,
    version: VersionRow,
) -> None:
    row = export(platform, version)
    claim = _claimed(platform, request_bundle(platform, "raccoons", "v1"))
    delete(platform, version, row)
    with pytest.raises(ending):
        _publish(platform, claim)
    with platform.db.reading() as session:
        assert session.get(BundleRow, version.id) is None


def test_the_facts_of_a_bundle_name_what_the_version_was_made_of(platform: Platform, version: VersionRow) -> None:
    inputs = bundle_inputs(platform.db, version.id, export(platform, version).id)
    assert inputs.version["name"] == "raccoons/v1" and inputs.version["dataset"]["name"] == "raccoons/d1"
    assert inputs.version["evaluated_on"] == inputs.version["dataset"]
    assert (inputs.version["fingerprint"], inputs.version["parent"]) == (version.fingerprint, None)
