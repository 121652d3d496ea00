# SPDX-License-Identifier: Apache-2.0
# Foreign libraries (each named in one target only) and the CUDA Toolkit.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
pkg_check_modules(LIBCONFIG REQUIRED IMPORTED_TARGET libconfig)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(HWLOC REQUIRED IMPORTED_TARGET hwloc)
pkg_check_modules(IBNETDISC REQUIRED IMPORTED_TARGET libibnetdisc libibmad libibumad)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(GNUTLS REQUIRED IMPORTED_TARGET gnutls)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(SMARTCOLS REQUIRED IMPORTED_TARGET smartcols)
find_path(CMOCKA_INCLUDE cmocka.h REQUIRED)
find_library(CMOCKA_LIBRARY cmocka REQUIRED)

# The toolkit gives us cuda.h, the stub library that lists the driver's exports, and nvcc for the
# examples and tests. It is never linked into what we install.
set(FABRIC_CUDA_HINTS $ENV{CUDA_HOME} $ENV{CUDA_PATH} /usr/local/cuda /usr/local/cuda-13.0 /opt/cuda)
find_path(FABRIC_CUDA_INCLUDE cuda.h HINTS ${CUDAToolkit_ROOT} ${FABRIC_CUDA_HINTS}
          PATH_SUFFIXES include)
find_program(FABRIC_NVCC nvcc HINTS ${CUDAToolkit_ROOT} ${FABRIC_CUDA_HINTS} PATH_SUFFIXES bin)
if(NOT FABRIC_CUDA_INCLUDE OR NOT FABRIC_NVCC)
    message(FATAL_ERROR "The CUDA Toolkit 13 was not found. Install it (developer.nvidia.com, or the "
                        "package cuda-toolkit-13-0) and set CUDA_HOME to its folder.")
endif()
get_filename_component(FABRIC_CUDA_HOME ${FABRIC_CUDA_INCLUDE} DIRECTORY)

add_library(cuda_headers INTERFACE)
target_include_directories(cuda_headers SYSTEM INTERFACE ${FABRIC_CUDA_INCLUDE})
