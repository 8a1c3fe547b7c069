# `cmake --install`: headers, library, CMake package, pkg-config file. heed::heed has the same name
# in the tree (add_subdirectory, FetchContent) and after find_package(heed).
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/heed)

# Not backends/, whose declarations need definitions that only the library is compiled with, nor the
# header that includes one of its.
foreach(folder core autograd nn data viz train models)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/heed
    FILES_MATCHING PATTERN "*.h" PATTERN attention_problem.h EXCLUDE)
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/heed.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/heed OPTIONAL)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/heed)

install(TARGETS heed EXPORT heed-targets)
install(EXPORT heed-targets NAMESPACE heed:: DESTINATION ${package_dir})
install(TARGETS heed_xtensor EXPORT heed-xtensor-targets)
install(EXPORT heed-xtensor-targets NAMESPACE heed:: DESTINATION ${package_dir})

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/heed-config.cmake.in heed-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(heed-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/heed-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/heed-config-version.cmake ${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake
  DESTINATION ${package_dir})

if(NOT BUILD_SHARED_LIBS)
  set(HEED_PC_EXTRA
    "-lsentencepiece_train -lsentencepiece -llapacke -lopenblas -lfmt -lpng -ljpeg -lz -pthread")
endif()
# heed.pc works wherever it is moved.
file(RELATIVE_PATH HEED_PC_UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/heed.pc.in heed.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/heed.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
