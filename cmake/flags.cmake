# heed_flags holds how heed's own files are compiled. It is linked PRIVATE everywhere, so that no
# flag of ours reaches a consumer, and CMAKE_CXX_FLAGS is left to whoever runs cmake.
include(GNUInstallDirs)

# <build>/include/heed -> source root: the include path is the same in the tree and after install.
set(HEED_INCLUDE_DIR ${PROJECT_BINARY_DIR}/include)
file(MAKE_DIRECTORY ${HEED_INCLUDE_DIR})
file(CREATE_LINK ${PROJECT_SOURCE_DIR} ${HEED_INCLUDE_DIR}/heed SYMBOLIC)

add_library(heed_flags INTERFACE)
target_compile_features(heed_flags INTERFACE cxx_std_20)
# GCC 12's -Wrestrict misreads std::string's operator+, and what it guesses to be uninitialised
# depends on what it inlined: shown, but no error.
target_compile_options(heed_flags INTERFACE -Wall -Wextra $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  $<$<BOOL:${HEED_WERROR}>:-Werror -Wno-error=maybe-uninitialized>)
target_compile_definitions(heed_flags INTERFACE $<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>)
target_include_directories(heed_flags INTERFACE ${HEED_INCLUDE_DIR})
set(HEED_ASAN_CALLS --param=asan-instrumentation-with-call-threshold=0)
if(HEED_SANITIZE)
  set(sanitize -fsanitize=${HEED_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  # Asked at each access, these double the compile time; AddressSanitizer sees bad accesses. Its own
  # questions are calls instead of inline code, which takes less time to compile, but not in vector
  # code, where they take too long to run.
  set(gnu $<CXX_COMPILER_ID:GNU>)
  set(scalar_code $<NOT:$<BOOL:$<TARGET_PROPERTY:HEED_VECTOR_CODE>>>)
  target_compile_options(heed_flags INTERFACE ${sanitize}
    -fno-sanitize=null,alignment,vptr,pointer-overflow,object-size
    $<$<AND:${gnu},${scalar_code}>:${HEED_ASAN_CALLS}>)
  target_link_options(heed_flags INTERFACE ${sanitize})
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(HEED_X86 ON)
endif()

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_EXTENSIONS OFF)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
  endif()
  find_program(HEED_CCACHE ccache)
  if(HEED_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    # Paths relative to the source root: clones share what they compile, except under -g, where
    # ccache counts the folder in, since debug information names it.
    set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
        CCACHE_SLOPPINESS=pch_defines,time_macros ${HEED_CCACHE})
  endif()
endif()
