"""Run a command as on a processor that has AVX2 and nothing newer: no AVX-512, no VNNI, no bf16.

    python benchmarks/without_vnni.py --out runs/avx2 python benchmarks/inference.py --out runs/inference ...

ONNX Runtime selects its kernels by the instruction cpuid and has no switch. This script makes a copy of
its library (once, in --out) in which each cpuid is an illegal instruction, and a small preloaded library
handles those, clearing the newer feature bits. So the older kernels run at full speed on this processor,
which is not that of an older one: ratios are meaningful, absolute figures are not. torch and oneDNN have
switches of their own, which are set too. Linux on x86-64, with gcc and objdump.
(For a check of numbers alone, `qemu-x86_64 -cpu Haswell python ...` needs none of this, and is slow.)
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import onnxruntime

_CPUID, _ILLEGAL = b"\x0f\xa2", b"\x0f\x0b"
_HANDLER = r"""
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

/* Leaf 7: AVX-512 and what came with it in ebx, ecx and edx; sub-leaf 1: AVX-VNNI and bf16 in eax. */
static void handle(int number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *at = (const uint8_t *)registers[REG_RIP];
    if (at[0] != 0x0f || at[1] != 0x0b) { signal(SIGILL, SIG_DFL); return; }
    uint32_t leaf = registers[REG_RAX], sub = registers[REG_RCX], a, b, c, d;
    __cpuid_count(leaf, sub, a, b, c, d);
    if (leaf == 7 && sub == 0) { b &= ~0xdc230000u; c &= ~0x00005942u; d &= ~0x03c0010cu; }
    if (leaf == 7 && sub == 1) { a &= ~0x30u; d = 0; }
    registers[REG_RAX] = a; registers[REG_RBX] = b; registers[REG_RCX] = c; registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void install(void) {
    struct sigaction action = {0};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGILL, &action, 0);
}
"""


def main() -> None:
    """Make the copy if it is not there, and become the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="keeps the changed copy of ONNX Runtime")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    out = args.out.resolve()
    site, preloaded = out / f"site-{onnxruntime.__version__}", out / "cpuid.so"
    if not site.is_dir():
        out.mkdir(parents=True, exist_ok=True)
        source = preloaded.with_suffix(".c")
        source.write_text(_HANDLER, "ascii")
        command = ["gcc", "-O2", "-shared", "-fPIC", "-o", str(preloaded), str(source)]
        subprocess.run(command, check=True)  # noqa: S603 - our own
        count = _copy_without_cpuid(site)
        sys.stderr.write(f"without_vnni: {count} cpuid instructions of ONNX Runtime replaced\n")
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    newest = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    environment = os.environ | newest | {"PYTHONPATH": path, "LD_PRELOAD": str(preloaded)}
    os.execvpe(args.command[0], args.command, environment)  # noqa: S606 - what was asked for


def _copy_without_cpuid(site: Path) -> int:
    """Copy the package, and change each cpuid that the disassembler finds; how many there were."""
    draft = site.with_name(f"{site.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(Path(onnxruntime.__file__).parent, draft / "onnxruntime")
    count = 0
    for library in (draft / "onnxruntime" / "capi").glob("onnxruntime_pybind11_state*.so"):
        code = bytearray(library.read_bytes())
        for address in _cpuid_addresses(library):
            place = _file_offset(library, address)
            assert code[place : place + 2] == _CPUID
            code[place : place + 2] = _ILLEGAL
            count += 1
        library.write_bytes(code)
    draft.rename(site)
    return count


def _cpuid_addresses(library: Path) -> list[int]:
    command = ["objdump", "-d", "--no-show-raw-insn", str(library)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        assert process.stdout is not None
        return [int(line.split(":")[0], 16) for line in process.stdout if line.rstrip().endswith("\tcpuid")]


def _file_offset(library: Path, address: int) -> int:
    command = ["readelf", "-lW", str(library)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own
    for offset, begin, size in re.findall(r"LOAD\s+0x(\w+)\s+0x(\w+)\s+0x\w+\s+0x(\w+)", listed):
        if 0 <= address - int(begin, 16) < int(size, 16):
            return address - int(begin, 16) + int(offset, 16)
    raise ValueError(f"{library.name}: no segment holds {address:#x}")


if __name__ == "__main__":
    main()
