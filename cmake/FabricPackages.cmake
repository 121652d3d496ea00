# SPDX-License-Identifier: Apache-2.0
# Debian packages, by `cpack --config build/release/CPackConfig.cmake` (or cmake --build ... --target package):
#
#   fabricd-node      fabricd, gpu-worker, compose, libcompose: every node of a rack
#   fabricd-client    the CUDA libraries that programs on hosts meet, and what makes them meet these
#   fabricd-manager   what the manager's node has beyond that
#   fabricd-softcuda  the CUDA driver in software, softcuda-run, remote-run: to try it without GPUs
#
# A folder says fab_package(NAME) before its install() lines.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME node)

# Not LIBDIR: nobody links these, and the launchers look beside their own bin/.
set(FABRIC_LIBDIR lib/fabricd)

macro(fab_package name)
    set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME ${name})
endmacro()

set(FABRIC_PACKAGES node client manager softcuda)
set(packaging ${CMAKE_CURRENT_LIST_DIR}/../integrations/debian)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME fabricd)
set(CPACK_PACKAGE_VENDOR "The developers of the composable GPU rack")
set(CPACK_PACKAGE_CONTACT "The developers of the composable GPU rack <root@localhost>")
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_COMPONENTS_ALL ${FABRIC_PACKAGES})
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/lib)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_OUTPUT_FILE_PREFIX ${PROJECT_BINARY_DIR}/packages)

set(node_text "daemon, worker and command line of a composable GPU rack")
set(client_text "CUDA libraries for programs that use GPUs of other nodes")
set(manager_text "manager of a composable GPU rack")
set(softcuda_text "CUDA driver in software, for machines without a GPU")
# Opened at run time, so no tool sees them.
set(CPACK_DEBIAN_NODE_PACKAGE_DEPENDS libucx0)
set(CPACK_DEBIAN_CLIENT_PACKAGE_DEPENDS libucx0)
set(CPACK_COMPONENT_CLIENT_DEPENDS node)
set(CPACK_COMPONENT_MANAGER_DEPENDS node)
set(CPACK_COMPONENT_SOFTCUDA_DEPENDS client)
foreach(name ${FABRIC_PACKAGES})
    string(TOUPPER ${name} upper)
    set(CPACK_DEBIAN_${upper}_PACKAGE_NAME fabricd-${name})
    set(CPACK_COMPONENT_${upper}_DESCRIPTION "${${name}_text}")
    file(GLOB extra ${packaging}/${name}/*)
    set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA ${extra})
endforeach()

# The files that no folder of code owns.
function(fabric_package_files)
    file(GLOB pages RELATIVE ${PROJECT_SOURCE_DIR}/man ${PROJECT_SOURCE_DIR}/man/*.[1-8])
    foreach(page ${pages})
        string(REGEX MATCH "[1-8]$" section ${page})
        set(package node)
        if(page MATCHES "^(softcuda|remote-run)")
            set(package softcuda)
        elseif(page MATCHES "^fabric-sweep")
            set(package manager)
        elseif(page MATCHES "^fabric-perf")
            set(package client)
        endif()
        install(FILES man/${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${package})
    endforeach()
    install(FILES README.md CHANGELOG.md DESTINATION share/doc/fabricd-node COMPONENT node)
    file(GLOB settings CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/configs/fabricd/*.conf)
    install(FILES ${settings} DESTINATION share/doc/fabricd-node/examples COMPONENT node)
    install(FILES integrations/systemd/fabricd.service DESTINATION lib/systemd/system COMPONENT node)
    install(FILES configs/softcuda/example.cfg DESTINATION share/doc/fabricd-softcuda/examples
            COMPONENT softcuda)
    foreach(name ${FABRIC_PACKAGES})
        install(FILES LICENSE DESTINATION share/doc/fabricd-${name} RENAME copyright COMPONENT ${name})
    endforeach()
    install(FILES integrations/client/fabricd-client.conf DESTINATION /etc/ld.so.conf.d COMPONENT client)
    install(FILES integrations/client/fabricd-client.sh DESTINATION /etc/profile.d COMPONENT client)
endfunction()
