# SPDX-License-Identifier: Apache-2.0
# scripts/setup-lib.sh - the steps that the commands of ./setup share. Sourced, not run.

LOG=$PWD/build/setup.log
JOBS=${JOBS:-$(nproc)}

# What a build needs, and what the tests need beyond it (Debian's names; Ubuntu's are the same).
PACKAGES_BUILD=(gcc g++ make cmake ninja-build pkg-config python3 libconfig-dev libjansson-dev
    libzstd-dev liblz4-dev libcmocka-dev nettle-dev libucx-dev libhwloc-dev libibnetdisc-dev
    libibmad-dev libibumad-dev libsqlite3-dev
    libmicrohttpd-dev libcurl4-openssl-dev libsmartcols-dev libgnutls28-dev
    file dpkg-dev) # for the target `package`
# A rack in software (tests/rack/soft_rack.py), MPI jobs on it, and what copies on it are compared with.
PACKAGES_RACK=(iproute2 ibsim-utils opensm infiniband-diags util-linux openmpi-bin libopenmpi-dev ucx-utils
    iperf3)
PACKAGES_TEST=(clang clang-format clang-tidy libclang-rt-dev llvm mandoc git binutils)
# What the virtual machines of tests/vm need beyond that; their kernel: setup_guest_kernel.
PACKAGES_VM=(qemu-system-x86 busybox-static cpio kmod ibverbs-providers util-linux)

mkdir -p build

# step TEXT COMMAND... - one progress line; the output goes to the log; a failure shows its end.
step()
{
    local text=$1 start=$SECONDS status
    shift
    printf '%-58s' "$text"
    {
        printf '\n== %s\n== %s\n' "$text" "$*"
        "$@"
    } >>"$LOG" 2>&1
    status=$?
    if [ $status -eq 0 ]; then
        printf 'ok (%d s)\n' $((SECONDS - start))
    else
        printf 'FAILED (%d s)\n' $((SECONDS - start))
    fi
    return $status
}

# die WHAT CURE - the cause, what to do, and where the whole story is.
die()
{
    printf 'setup: %s\n       %s\n       The full log is %s; its end:\n' "$1" "$2" "$LOG" >&2
    tail -n 25 "$LOG" | sed 's/^/       | /' >&2
    exit 1
}

package_is_installed()
{
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# setup_packages build|rack|test|vm
setup_packages()
{
    local wanted=("${PACKAGES_BUILD[@]}") missing=() package as_root=()
    case $1 in
    rack) wanted+=("${PACKAGES_RACK[@]}") ;;
    test) wanted+=("${PACKAGES_RACK[@]}" "${PACKAGES_TEST[@]}") ;;
    vm) wanted=("${PACKAGES_VM[@]}") ;;
    esac
    if ! command -v dpkg-query >/dev/null; then
        echo "setup: this is not a Debian or Ubuntu machine; install these yourself: ${wanted[*]}" >&2
        return 0
    fi
    for package in "${wanted[@]}"; do
        package_is_installed "$package" || missing+=("$package")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        step "packages: all ${#wanted[@]} are installed" true
        return 0
    fi
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            die "packages are missing and you are not root: ${missing[*]}" \
                "Run as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    step "packages: update the list" "${as_root[@]}" apt-get update ||
        die "apt-get update failed" "Check the network and /etc/apt/sources.list, then try again."
    step "packages: install ${#missing[@]} (${missing[0]} ...)" \
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}" ||
        die "these packages could not be installed: ${missing[*]}" \
            "Run 'apt-get install ${missing[*]}' and look at what it says."
}

# A kernel for tests/vm, unpacked into build/ and not installed: this machine's own is often not in
# reach (a container's) or not for everybody to read. 70 MB to fetch, once. If that fails the test
# looks for an installed one, and says what it misses.
setup_guest_kernel()
{
    [ -d build/guest-kernel ] || step "guest kernel: fetch and unpack" unpack_kernel || true
}

unpack_kernel()
{
    local folder=$PWD/build/guest-kernel as_root=() scratch status
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    scratch=$(mktemp -d "$folder.XXXXXX") || return 1
    (
        cd "$scratch" || exit 1
        fetch_kernel || { "${as_root[@]}" apt-get update && fetch_kernel; } || exit 1
        # What may be asked for of 400 MB.
        dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards './boot/vmlinuz-*' \
            './lib/modules/*/modules.*' './lib/modules/*/kernel/crypto' \
            './lib/modules/*/kernel/drivers/infiniband' './lib/modules/*/kernel/drivers/net' \
            './lib/modules/*/kernel/drivers/virtio' './lib/modules/*/kernel/lib' \
            './lib/modules/*/kernel/net' &&
            rm ./*.deb && PATH=$PATH:/usr/sbin depmod -b . "$(ls lib/modules)"
    ) && chmod 755 "$scratch" && mv "$scratch" "$folder"
    status=$?
    rm -rf "$scratch"
    return $status
}

# The name changes with each update of the distribution.
fetch_kernel()
{
    local package
    package=$(apt-cache depends linux-image-amd64 |
        awk '$1 == "Depends:" && $2 ~ /^linux-image-/ && !found {print $2; found = 1}')
    [ -n "$package" ] && apt-get download "$package"
}

# Finds nvcc and exports CUDA_HOME; the build looks in the same places (cmake/FabricDependencies).
setup_toolkit()
{
    local home on_path
    on_path=$(command -v nvcc) && on_path=$(dirname "$(dirname "$(readlink -f "$on_path")")")
    for home in "${CUDA_HOME:-}" "${CUDA_PATH:-}" "$on_path" /usr/local/cuda /usr/local/cuda-13.0 \
        /opt/cuda; do
        if [ -n "$home" ] && [ -x "$home/bin/nvcc" ] && [ -f "$home/include/cuda.h" ]; then
            export CUDA_HOME=$home
            step "CUDA Toolkit: $home" "$home/bin/nvcc" --version && return 0
        fi
    done
    die "the CUDA Toolkit was not found" \
        "Install it (developer.nvidia.com/cuda-downloads, or the package cuda-toolkit-13-0; no driver and no GPU are needed) and set CUDA_HOME to its folder."
}

# setup_build PRESET TARGET...
setup_build()
{
    local preset=$1 cache=()
    shift
    command -v ccache >/dev/null && cache=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
    step "$preset: configure" cmake --preset "$preset" "${cache[@]}" ||
        die "configuring '$preset' failed" "The message above names what is missing."
    step "$preset: build" cmake --build "build/$preset" -j "$JOBS" --target "$@" ||
        die "building '$preset' failed" "If it is not your change, please report it with the log."
}
