"""Cores that a process may use, on made-up trees of control groups, and who overrides them."""

import os
import subprocess
import sys

import pytest

from attar.cores import limit_library_threads, num_workers, usable_cores
from attar.errors import RecipeError

V2_MOUNT = "34 27 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "33 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """``tree(groups, mounts, files)``: a machine of 16 cores with these files; its root."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)), raising=False)

    def make(groups, mounts, files):
        written = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts} | files
        for name, text in written.items():
            path = tmp_path / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        return tmp_path

    return make


@pytest.fixture
def cores_of_v2(tree):
    """Cores where the container's ``cpu.max`` says this."""
    return lambda text: usable_cores(tree("0::/", V2_MOUNT, {"/sys/fs/cgroup/cpu.max": text}))


def test_between_one_and_the_cores_of_this_machine():
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("said", "cores"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),  # one and a half: two threads use it up, one does not
        ("50000 100000\n", 1),
        ("1000 100000\n", 1),
        ("300001 100000\n", 4),
        ("20000 10000\n", 2),  # another period
        ("6400000 100000\n", 16),  # more than there are
        ("max 100000\n", 16),
        ("max\n", 16),
    ],
)
def test_version_2(cores_of_v2, said, cores):
    assert cores_of_v2(said) == cores


@pytest.mark.parametrize(
    "said",
    ["", "\n", "200000", "two 100000", "200000 0", "0 100000", "-1 100000", "1 2 3", "²00000 100000",
     b"\xff\xfe\x00", "2e5 100000", f"{'9' * 5000} 100000"],
)  # fmt: skip
def test_a_malformed_file_is_no_limit(cores_of_v2, said):
    assert cores_of_v2(said) == 16


def test_of_nested_groups_the_tightest_counts(tree):
    groups, here = "0::/system.slice/box.service/inner", "/sys/fs/cgroup/system.slice"
    files = {
        f"{here}/cpu.max": "800000 100000",
        f"{here}/box.service/cpu.max": "300000 100000",
        f"{here}/box.service/inner/cpu.max": "600000 100000",
        "/sys/fs/cgroup/other.slice/cpu.max": "100000 100000",
    }
    assert usable_cores(tree(groups, V2_MOUNT, files)) == 3
    files[f"{here}/box.service/inner/cpu.max"] = "max 100000"
    assert usable_cores(tree(groups, V2_MOUNT, files)) == 3
    files[f"{here}/box.service/cpu.max"] = "max 100000"
    assert usable_cores(tree(groups, V2_MOUNT, files)) == 8
    files[f"{here}/box.service/inner/cpu.max"] = "100000 100000"
    assert usable_cores(tree(groups, V2_MOUNT, files)) == 1


def test_nothing_above_the_mount_is_read(tree):
    files = {"/sys/fs/cgroup/box/cpu.max": "max 100000", "/sys/fs/cpu.max": "100000 100000"}
    assert usable_cores(tree("0::/box", V2_MOUNT, files)) == 16
    assert usable_cores(tree("0::/../../box", V2_MOUNT, files)) == 16


V1_FILES = {
    "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
    "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
}
V1_GROUPS = "11:memory:/elsewhere\n4:cpu,cpuacct:/docker/1f\n1:name=systemd:/docker/1f\n0::/"


@pytest.mark.parametrize(
    ("quota", "period", "cores"),
    [("250000\n", "100000\n", 3), ("-1\n", "100000\n", 16), ("100000\n", "50000\n", 2),
     ("250000\n", "", 16), ("", "100000\n", 16), ("many\n", "100000\n", 16), ("250000\n", "0\n", 16)],
)  # fmt: skip
def test_version_1(tree, quota, period, cores):
    at = "/sys/fs/cgroup/cpu,cpuacct/docker/1f"
    files = V1_FILES | {f"{at}/cpu.cfs_quota_us": quota, f"{at}/cpu.cfs_period_us": period}
    assert usable_cores(tree(V1_GROUPS, V1_MOUNT, files)) == cores


def test_version_1_of_a_parent(tree):
    at = "/sys/fs/cgroup/cpu,cpuacct/docker"
    files = V1_FILES | {
        f"{at}/cpu.cfs_quota_us": "200000", f"{at}/cpu.cfs_period_us": "100000",
        f"{at}/1f/cpu.cfs_quota_us": "700000", f"{at}/1f/cpu.cfs_period_us": "100000",
    }  # fmt: skip
    assert usable_cores(tree(V1_GROUPS, V1_MOUNT, files)) == 2


def test_a_container_of_version_1_sees_its_own_group_as_the_mount(tree):
    mount = "33 31 0:29 /docker/1f /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct"
    files = V1_FILES | {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000\n"}
    assert usable_cores(tree(V1_GROUPS, mount, files)) == 4
    # The path is that of a group within it, or of another namespace altogether.
    inside = {f"/sys/fs/cgroup/cpu,cpuacct/deep/cpu.cfs_{name}_us": "100000" for name in ("quota", "period")}
    assert usable_cores(tree("4:cpu,cpuacct:/docker/1f/deep", mount, files | inside)) == 1
    assert usable_cores(tree("4:cpu,cpuacct:/kubepods/2e", mount, files)) == 4
    assert usable_cores(tree("4:cpu,cpuacct:/docker/1f0", mount, files)) == 4


def test_hybrid_mounts_have_the_quota_in_either(tree):
    mounts = (
        "32 31 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
        f"{V1_MOUNT}\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    )
    groups = "3:cpuset:/box\n4:cpu,cpuacct:/box\n0::/box"
    # cpuset is another hierarchy: a file of that name there is not the quota.
    cpuset = {f"/sys/fs/cgroup/cpuset/box/cpu.cfs_{name}_us": "100000" for name in ("quota", "period")}
    assert usable_cores(tree(groups, mounts, V1_FILES | cpuset)) == 16
    unified = V1_FILES | {"/sys/fs/cgroup/unified/box/cpu.max": "500000 100000"}
    assert usable_cores(tree(groups, mounts, unified)) == 5
    at = "/sys/fs/cgroup/cpu,cpuacct/box"
    both = unified | {f"{at}/cpu.cfs_quota_us": "200000", f"{at}/cpu.cfs_period_us": "100000"}
    assert usable_cores(tree(groups, mounts, both)) == 2


def test_a_mount_point_may_have_spaces_and_stand_anywhere(tree):
    mount = r"34 27 0:30 / /run/c\040groups rw shared:3 master:1 - cgroup2 none rw"
    assert usable_cores(tree("0::/", mount, {"/run/c groups/cpu.max": "200000 100000"})) == 2


@pytest.mark.parametrize(
    "mounts",
    ["", "\n\n", "34 27 0:30 /", "34 27 0:30 / /sys/fs/cgroup rw - cgroup2", "rubbish - rubbish", " - "],
)
def test_mounts_that_cannot_be_read_are_no_limit(tree, mounts):
    assert usable_cores(tree("0::/", mounts, {"/sys/fs/cgroup/cpu.max": "200000 100000"})) == 16


@pytest.mark.parametrize("groups", ["", "rubbish", "::", "0::", "0::/gone/away"])
def test_without_a_readable_group_the_mount_counts(tree, groups):
    assert usable_cores(tree(groups, V2_MOUNT, {"/sys/fs/cgroup/cpu.max": "200000 100000"})) == 2


def test_affinity_below_the_quota_counts(tree, monkeypatch):
    root = tree("0::/", V2_MOUNT, {"/sys/fs/cgroup/cpu.max": "400000 100000"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 7}, raising=False)
    assert usable_cores(root) == 2


@pytest.mark.parametrize(("count", "cores"), [(10, 10), (None, 1)])
def test_a_system_without_affinity_and_groups(tmp_path, monkeypatch, count, cores):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert usable_cores(tmp_path) == cores


def test_precedence_of_argument_environment_and_cores(monkeypatch):
    monkeypatch.delenv("ATTAR_WORKERS", raising=False)
    assert num_workers() == usable_cores()
    monkeypatch.setenv("ATTAR_WORKERS", "37")
    assert num_workers() == 37
    assert num_workers(3) == 3


@pytest.mark.parametrize(
    "value", ["0", "-1", "", " ", "two", "2.0", "1e3", "0x2", "1_0", "٢", "2\n", "10000", "9" * 5000]
)
def test_a_malformed_number_of_workers_is_an_error(value):
    with pytest.raises(RecipeError, match=r"ATTAR_WORKERS is .*; expected a whole number from 1 to 9999"):
        num_workers(environment={"ATTAR_WORKERS": value})


def test_a_key_in_the_wrong_variable_is_not_shown():
    with pytest.raises(RecipeError, match="ATTAR_WORKERS is no number") as caught:
        num_workers(environment={"ATTAR_WORKERS": "Zq7S3cret"})
    assert "Zq7S3cret" not in str(caught.value)


def test_fewer_than_one_worker_is_refused():
    for wanted in (0, -2):
        with pytest.raises(RecipeError, match=f"workers = {wanted}; expected 1 or more"):
            num_workers(wanted)


def test_libraries_are_limited_only_where_they_would_take_more(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)), raising=False)
    few, many, given, open_ended = (
        {"ATTAR_WORKERS": "4"}, {"ATTAR_WORKERS": "16"}, {"ATTAR_WORKERS": "4", "OMP_NUM_THREADS": "9"}, {},
    )  # fmt: skip
    for environment in (few, many, given, open_ended):
        limit_library_threads(environment)
    assert few["OMP_NUM_THREADS"] == "4"
    assert "OMP_NUM_THREADS" not in many
    assert given["OMP_NUM_THREADS"] == "9"
    assert open_ended.get("OMP_NUM_THREADS") == (str(usable_cores()) if usable_cores() < 16 else None)


def test_torch_keeps_to_the_workers():
    code = (
        "import os, sys, attar.cores\nos.sched_getaffinity = lambda _pid: set(range(16))\n"
        "attar.cores.limit_library_threads()\nimport torch\n"
        "from attar.training.accelerator import make_accelerator\n"
        "before = torch.get_num_threads()\nos.environ['ATTAR_WORKERS'] = '2'\n"
        "torch.set_num_threads(16)\nmake_accelerator('fp32')\n"
        "sys.stdout.write(f'{before} {torch.get_num_threads()}')"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"ATTAR_WORKERS": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "1 2"


def test_the_command_line_checks_it_first(attar_main, monkeypatch, tmp_path):
    monkeypatch.setenv("ATTAR_WORKERS", "many")
    code, _, err = attar_main("score", tmp_path / "no artifact", "--in", "rows.csv", "--out", "scored.csv")
    assert code == 2
    assert err.startswith("attar: ATTAR_WORKERS is 'many'; expected a whole number")
