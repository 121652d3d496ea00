# SPDX-License-Identifier: Apache-2.0
# How a folder becomes a target, and a test file becomes a program.

include(CMakeParseArguments)

# fab_module(NAME SOURCES ... HEADERS ... [PUBLIC lib...] [PRIVATE lib...])
# A static library of one folder. HEADERS is its face (each must compile alone); *_int.h stays private.
function(fab_module name)
    cmake_parse_arguments(M "" "" "SOURCES;HEADERS;PUBLIC;PRIVATE" ${ARGN})
    add_library(${name} STATIC ${M_SOURCES})
    target_link_libraries(${name} PUBLIC fabric_flags ${M_PUBLIC} PRIVATE ${M_PRIVATE})
    if(M_HEADERS)
        # Headers of the tree only: the build folder lies below it, and base folders may not nest.
        target_sources(${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}
                                      FILES ${M_HEADERS})
        set_target_properties(${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
    endif()
endfunction()

# fab_test(NAME SOURCES ... LIBS ... [LABELS ...] [TIMEOUT s])
# One cmocka program, one process, one CTest entry. Exit status 77 is "skipped".
function(fab_test name)
    cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
    if(NOT T_LABELS)
        set(T_LABELS unit)
    endif()
    if(NOT T_TIMEOUT)
        set(T_TIMEOUT 60)
    endif()
    add_executable(${name} ${T_SOURCES})
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR} ${CMOCKA_INCLUDE})
    target_link_libraries(${name} PRIVATE fabric_flags ${T_LIBS} ${CMOCKA_LIBRARY})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}" TIMEOUT ${T_TIMEOUT}
                                            SKIP_RETURN_CODE 77)
endfunction()

if(FABRIC_FUZZ)
    add_custom_target(fuzzers) # all of them
endif()

# fab_fuzz(NAME SOURCE file LIBS ... CORPUS dir [DICTIONARY file])
# A fuzz target. With FABRIC_FUZZ a libFuzzer program fuzz/NAME, beside it NAME.args, what it wants on
# its command line; always a unit test that runs the corpus.
function(fab_fuzz name)
    cmake_parse_arguments(F "" "SOURCE;CORPUS;DICTIONARY" "LIBS" ${ARGN})
    add_executable(${name} ${F_SOURCE})
    target_link_libraries(${name} PRIVATE fabric_flags ${F_LIBS})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
    if(FABRIC_FUZZ)
        set(arguments ${F_CORPUS})
        if(F_DICTIONARY)
            string(APPEND arguments " -dict=${F_DICTIONARY}")
        endif()
        add_dependencies(fuzzers ${name})
        file(WRITE ${PROJECT_BINARY_DIR}/fuzz/${name}.args "${arguments}\n")
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
        add_test(NAME ${name} COMMAND ${name} -runs=0 ${F_CORPUS})
    else()
        target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/fuzz_main.c)
        add_test(NAME ${name} COMMAND ${name} ${F_CORPUS})
    endif()
    set_tests_properties(${name} PROPERTIES LABELS "unit;fuzz" TIMEOUT 120 SKIP_RETURN_CODE 77)
endfunction()
