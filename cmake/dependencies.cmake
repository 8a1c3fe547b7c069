# The libraries that heed's objects need, found on the system and never downloaded. A package built
# as a static library installs this file too: its consumers have to link the same ones.
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PNG REQUIRED)
find_package(JPEG REQUIRED)
find_package(fmt REQUIRED)

# A library without a CMake package on every system: heed_dep_<name>, by header and library.
function(heed_dependency name header)
  if(TARGET heed_dep_${name})
    return()
  endif()
  find_path(HEED_${name}_INCLUDE ${header} PATH_SUFFIXES openblas openblas-pthread
            HINTS $ENV{OpenBLAS_HOME}/include)
  find_library(HEED_${name}_LIBRARY NAMES ${ARGN} HINTS $ENV{OpenBLAS_HOME}/lib)
  if(NOT HEED_${name}_INCLUDE OR NOT HEED_${name}_LIBRARY)
    message(FATAL_ERROR "heed needs ${name} (${header}, lib${ARGV2}); `./dev setup` installs it")
  endif()
  mark_as_advanced(HEED_${name}_INCLUDE HEED_${name}_LIBRARY)
  add_library(heed_dep_${name} UNKNOWN IMPORTED)
  set_target_properties(heed_dep_${name} PROPERTIES IMPORTED_LOCATION "${HEED_${name}_LIBRARY}"
                        INTERFACE_INCLUDE_DIRECTORIES "${HEED_${name}_INCLUDE}")
endfunction()
heed_dependency(openblas cblas.h openblas)
heed_dependency(lapacke lapacke.h lapacke openblas)
heed_dependency(sentencepiece sentencepiece_processor.h sentencepiece)
heed_dependency(sentencepiece_train sentencepiece_trainer.h sentencepiece_train)
