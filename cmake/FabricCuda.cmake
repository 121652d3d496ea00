# SPDX-License-Identifier: Apache-2.0
# CUDA programs by plain nvcc, as a user builds them: objects, linked with the static and with the
# shared runtime.

# Our warnings are for our C; nvcc brings the host compiler's C++ defaults.
set(FABRIC_NVCC_FLAGS -O2 -std=c++17)

# fab_cuda_program(NAME SOURCE file... DIR dir [HEADERS ...] [LINK flag...] [FLAGS ...] [NO_RUNTIME])
# C files are the C compiler's.
# Makes DIR/NAME-static and DIR/NAME-shared (NO_RUNTIME: only DIR/NAME, without a runtime library).
function(fab_cuda_program name)
    cmake_parse_arguments(P "NO_RUNTIME" "DIR" "SOURCE;HEADERS;LINK;FLAGS" ${ARGN})
    set(objects)
    file(MAKE_DIRECTORY ${P_DIR})
    foreach(source ${P_SOURCE})
        cmake_path(GET source STEM stem)
        cmake_path(GET source EXTENSION extension)
        set(object ${P_DIR}/${name}-${stem}.o)
        set(compile ${FABRIC_NVCC} ${FABRIC_NVCC_FLAGS})
        if(extension STREQUAL ".c")
            set(compile ${CMAKE_C_COMPILER} -O2 -std=c17)
        endif()
        add_custom_command(
            OUTPUT ${object}
            COMMAND ${compile} ${P_FLAGS} -c ${source} -o ${object}
            DEPENDS ${source} ${P_HEADERS}
            COMMENT "nvcc ${name}: ${stem}" VERBATIM)
        list(APPEND objects ${object})
    endforeach()
    set(programs)
    if(P_NO_RUNTIME)
        set(kinds none)
    else()
        set(kinds static shared)
    endif()
    foreach(kind ${kinds})
        set(program ${P_DIR}/${name}-${kind})
        if(P_NO_RUNTIME)
            set(program ${P_DIR}/${name})
        endif()
        add_custom_command(
            OUTPUT ${program}
            COMMAND ${FABRIC_NVCC} -cudart ${kind} ${objects} -o ${program} ${P_LINK}
            DEPENDS ${objects}
            COMMENT "nvcc ${name} (${kind} runtime)" VERBATIM)
        list(APPEND programs ${program})
    endforeach()
    add_custom_target(program_${name} ALL DEPENDS ${programs})
endfunction()

# fab_cuda_test(PREFIX NAME SOURCE file... DIR dir [DEVICES n] [TIMEOUT s] [ANY_ORDER] [COUNTS_MEMORY] and what fab_cuda_program
#     takes) - ANY_ORDER: several blocks print; COUNTS_MEMORY: what others take of a GPU shows
# The program in its forms, each a CTest entry that runs it on softcuda (label examples), on remote GPUs
# (remote), and on a real one (needs-gpu).
function(fab_cuda_test prefix name)
    cmake_parse_arguments(T "NO_RUNTIME;ANY_ORDER;COUNTS_MEMORY" "DIR;DEVICES;TIMEOUT" "SOURCE;HEADERS;LINK;FLAGS"
                          ${ARGN})
    set(order)
    if(T_ANY_ORDER)
        set(order --any-order)
    endif()
    set(programs ${name}-static ${name}-shared)
    set(no_runtime)
    if(T_NO_RUNTIME)
        set(programs ${name})
        set(no_runtime NO_RUNTIME)
    endif()
    if(NOT T_DEVICES)
        set(T_DEVICES 1)
    endif()
    if(NOT T_TIMEOUT)
        set(T_TIMEOUT 60)
    endif()
    fab_cuda_program(${name} SOURCE ${T_SOURCE} DIR ${T_DIR} HEADERS ${T_HEADERS} LINK ${T_LINK}
                     FLAGS ${T_FLAGS} ${no_runtime})
    foreach(program ${programs})
        add_test(NAME ${prefix}_${program}
                 COMMAND ${PROJECT_BINARY_DIR}/bin/softcuda-run --devices ${T_DEVICES}
                         ${T_DIR}/${program})
        # An account of device memory of its own: what others take at the time must not show.
        set(state ${T_DIR}/state-${program})
        file(MAKE_DIRECTORY ${state})
        set_tests_properties(
            ${prefix}_${program} PROPERTIES LABELS examples TIMEOUT ${T_TIMEOUT} SKIP_RETURN_CODE 77
                                            ENVIRONMENT SOFTCUDA_STATE=${state})
        fab_remote_test(remote_${prefix}_${program} ${T_TIMEOUT} ${T_DIR}/${program}
                        "${order}" "--devices;${T_DEVICES}" ${PROJECT_BINARY_DIR}/bin/remote-run --devices
                        ${T_DEVICES})
    endforeach()
    # On GPUs: NVIDIA's driver and runtime, and ours on workers that load that driver.
    foreach(program ${programs})
        foreach(rails 0 2)
            set(way)
            set(more)
            if(rails)
                set(way rails_)
                set(more --rails ${rails})
            endif()
            add_test(NAME gpu_${way}${prefix}_${program}
                     COMMAND ${PROJECT_SOURCE_DIR}/tests/support/on-gpu -n ${T_DEVICES}
                             ${PROJECT_SOURCE_DIR}/tests/support/same-output ${order} ${T_DIR}/${program} --
                             ${PROJECT_BINARY_DIR}/bin/remote-run --driver libcuda.so.1 --devices ${T_DEVICES}
                             ${more} ${T_DIR}/${program})
            set_tests_properties(gpu_${way}${prefix}_${program} PROPERTIES LABELS needs-gpu TIMEOUT 120
                                                                           SKIP_RETURN_CODE 77)
            if(T_COUNTS_MEMORY)
                set_tests_properties(gpu_${way}${prefix}_${program} PROPERTIES RUN_SERIAL TRUE)
            endif()
        endforeach()
    endforeach()
    # Once, 16 GPUs on four hosts of a rack, over two rails.
    list(GET programs 0 program)
    math(EXPR timeout "${T_TIMEOUT} * 2")
    fab_remote_test(rack_${prefix}_${program} ${timeout} ${T_DIR}/${program} "${order}"
                    "--config;${PROJECT_SOURCE_DIR}/configs/softcuda/four-nodes.cfg"
                    ${PROJECT_SOURCE_DIR}/tests/rack/rack.sh run 5
                    ${PROJECT_BINARY_DIR}/bin/remote-run --workers 4 --devices 4 --rails 2)
endfunction()

# fab_remote_test(NAME TIMEOUT PROGRAM ORDER NATIVE_DEVICES RUNNER...)
# The program's output on remote GPUs must be what it is on as many native ones.
function(fab_remote_test name timeout program order devices)
    add_test(NAME ${name}
             COMMAND ${PROJECT_SOURCE_DIR}/tests/support/same-output ${order}
                     ${PROJECT_BINARY_DIR}/bin/softcuda-run ${devices} ${program} -- ${ARGN}
                     ${program})
    set_tests_properties(${name} PROPERTIES LABELS remote TIMEOUT ${timeout} SKIP_RETURN_CODE 77)
endfunction()
