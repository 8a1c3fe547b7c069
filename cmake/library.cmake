# One object library per folder, and `heed` out of all of them. Files are found by glob: adding an
# op edits no list. A folder without a source file yet is no error.
find_package(nlohmann_json REQUIRED)
find_package(xsimd REQUIRED)
find_package(xtensor REQUIRED)

# What heed is linked to; none of it is in a public header.
set(HEED_LINKS heed_dep_openblas heed_dep_lapacke
  heed_dep_sentencepiece heed_dep_sentencepiece_train fmt::fmt ZLIB::ZLIB PNG::PNG JPEG::JPEG
  Threads::Threads)

add_library(heed)
add_library(heed::heed ALIAS heed)

# Files with a local name that another file of their folder has too: not compiled together
# (HEED_UNITY).
set_source_files_properties(train/metrics.cpp
  PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)

function(heed_objects name)
  list(TRANSFORM ARGN PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE patterns)
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  if(NOT sources)
    return()
  endif()
  add_library(heed_${name} OBJECT ${sources})
  target_link_libraries(heed_${name} PRIVATE heed_flags nlohmann_json::nlohmann_json ${HEED_LINKS})
  set_target_properties(heed_${name} PROPERTIES UNITY_BUILD ${HEED_UNITY} UNITY_BUILD_BATCH_SIZE 6
    CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ${BUILD_SHARED_LIBS})
  target_sources(heed PRIVATE $<TARGET_OBJECTS:heed_${name}>)
endfunction()

heed_objects(core core/*.cpp)
heed_objects(backends backends/*.cpp backends/cpu/common/*.cpp)
include(cpu_levels)
heed_objects(autograd autograd/*.cpp autograd/ops/*.cpp)
heed_objects(nn nn/*.cpp nn/attention/*.cpp)
heed_objects(data data/*.cpp)
target_link_libraries(heed_data PRIVATE xtensor)
heed_objects(viz viz/*.cpp)
heed_objects(train train/*.cpp)
heed_objects(models models/*.cpp)

if(HEED_CUDA)
  find_package(CUDAToolkit REQUIRED)
  message(STATUS
    "heed: CUDA ${CUDAToolkit_VERSION} found, but there are no CUDA kernels to build yet")
endif()

set_target_properties(heed PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_compile_features(heed PUBLIC cxx_std_20)
target_include_directories(heed INTERFACE
  $<BUILD_INTERFACE:${HEED_INCLUDE_DIR}> $<INSTALL_INTERFACE:include>)
target_link_libraries(heed PRIVATE ${HEED_LINKS} ${CMAKE_DL_LIBS})

# For files that include <heed/core/xtensor.h>.
add_library(heed_xtensor INTERFACE)
add_library(heed::xtensor ALIAS heed_xtensor)
set_target_properties(heed_xtensor PROPERTIES EXPORT_NAME xtensor)
target_link_libraries(heed_xtensor INTERFACE heed xtensor)
