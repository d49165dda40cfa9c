"""From raw text to an export on three hosts: the data of one machine, also when a host is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.cluster import Cluster
from tests.support.small_run import DATA_STAGES, Digests, of_data

pytestmark = [pytest.mark.long, pytest.mark.hosts]

ByStage = Callable[[Digests], dict[str, str]]


def test_the_whole_path_with_a_shared_folder_has_the_data_of_one_machine(
    cluster: Cluster, local_run: Digests, by_stage: ByStage
) -> None:
    """Raw files are behind S3; the data stages run where the driver does."""
    cluster.start("shared", workers="3", beam="{workers: 2}", shared=True).succeeds()
    digests = cluster.shared_digests("shared")
    assert by_stage(of_data(digests)) == by_stage(of_data(local_run))
    assert by_stage(digests).keys() == by_stage(local_run).keys()


@pytest.mark.parametrize("stage", [2, 3])
def test_the_whole_path_on_three_hosts_has_the_data_of_one_machine(
    stage: int, cluster: Cluster, local_run: Digests, by_stage: ByStage
) -> None:
    """The second run takes the data stages from the store and trains with the other ZeRO stage."""
    cluster.start("whole", engine=f"{{zero: {{stage: {stage}}}}}").succeeds()
    digests = cluster.digests("whole")
    assert by_stage(of_data(digests)) == by_stage(of_data(local_run))
    assert by_stage(digests).keys() == by_stage(local_run).keys()
    assert sum(name.startswith("pretrain/") for name in digests) == stage - 1


@pytest.mark.parametrize("stage", ["ingest", "dedupe", "pretrain", "evaluate"])
def test_a_run_goes_on_without_a_host_that_is_lost_in(
    stage: str, cluster: Cluster, local_run: Digests, by_stage: ByStage
) -> None:
    """One work directory for all stages: earlier ones are in the store, or run before the host is lost."""
    run = cluster.start("lost", "--to", stage)
    run.wait_for_work_in(stage)
    cluster.hosts.all[2].kill()
    run.succeeds()
    found, expected = by_stage(cluster.digests("lost")), by_stage(local_run)
    assert stage in found
    assert all(found[name] == expected[name] for name in found if name in DATA_STAGES)
