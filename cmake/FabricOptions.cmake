# SPDX-License-Identifier: Apache-2.0
# Language level, warnings, sanitizers and the fixed output folders.

option(FABRIC_WERROR "Treat warnings as errors" OFF)
option(FABRIC_FUZZ "Build the fuzz targets with libFuzzer" OFF)
option(FABRIC_PROGRAMS "Build the examples and test programs with nvcc" OFF)
option(FABRIC_ANALYZE "Run clang-tidy and thread-safety analysis" OFF)
set(FABRIC_SANITIZE "" CACHE STRING "List for -fsanitize=")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # GNU attributes and builtins, behind base/compiler.h
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g -DNDEBUG")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")

# All of our code, gcc and clang (CONTRIBUTING.md, "Warnings").
set(FABRIC_WARNINGS
    -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
    -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wswitch-enum -Wconversion
    -Wsign-conversion -Wnull-dereference -Wimplicit-fallthrough)
if(CMAKE_C_COMPILER_ID MATCHES Clang)
    # gcc's set accepts these GNU forms under -Wpedantic; clang names them one by one.
    list(APPEND FABRIC_WARNINGS -Wno-gnu-statement-expression -Wno-gnu-zero-variadic-macro-arguments)
endif()
if(FABRIC_SANITIZE MATCHES undefined AND CMAKE_C_COMPILER_ID STREQUAL GNU)
    # gcc loses the ranges of values behind UBSan's checks and warns of conversions that are none; the
    # dev preset compiles the same code with these warnings.
    list(REMOVE_ITEM FABRIC_WARNINGS -Wconversion -Wsign-conversion)
endif()
if(FABRIC_WERROR)
    list(APPEND FABRIC_WARNINGS -Werror)
endif()

# Language and warnings, without sanitizers: only for what must never be sanitized.
add_library(fabric_plain_flags INTERFACE)
target_include_directories(fabric_plain_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_compile_definitions(fabric_plain_flags INTERFACE _GNU_SOURCE)
target_compile_options(fabric_plain_flags INTERFACE ${FABRIC_WARNINGS} -fno-strict-aliasing)

# What everything else links.
add_library(fabric_flags INTERFACE)
target_link_libraries(fabric_flags INTERFACE fabric_plain_flags)

if(FABRIC_SANITIZE)
    # On our flags target and not global: the audit library is never sanitized.
    set(FABRIC_SANITIZE_FLAGS -fsanitize=${FABRIC_SANITIZE} -fno-omit-frame-pointer)
    if(FABRIC_SANITIZE MATCHES undefined)
        list(APPEND FABRIC_SANITIZE_FLAGS -fno-sanitize-recover=undefined)
    endif()
    if(FABRIC_FUZZ)
        list(APPEND FABRIC_SANITIZE_FLAGS -fsanitize=fuzzer-no-link)
    endif()
    target_compile_options(fabric_flags INTERFACE ${FABRIC_SANITIZE_FLAGS})
    target_link_options(fabric_flags INTERFACE -fsanitize=${FABRIC_SANITIZE})
endif()

if(FABRIC_ANALYZE)
    target_compile_options(fabric_flags INTERFACE -Wthread-safety)
    find_program(CLANG_TIDY clang-tidy REQUIRED)
    set(CMAKE_C_CLANG_TIDY ${CLANG_TIDY} --quiet --warnings-as-errors=*)
endif()
