# backends/cpu/*.cpp is compiled once per instruction-set level, each time into its own namespace,
# and the level is picked at run time (backends/kernel.h). Only these files see -m flags.
set(levels ${HEED_CPU_LEVELS})
if(NOT HEED_X86 OR NOT levels)
  set(levels baseline)
endif()
set(HEED_FLAGS_baseline "")
set(HEED_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(HEED_FLAGS_avx512 ${HEED_FLAGS_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl
  -mprefer-vector-width=512)

# Many short loops, vector code as written: -O3 makes them no faster and compiling takes half as
# long again; and with AddressSanitizer compiling them is what takes long, not running them.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(short_loops "$<$<CONFIG:Release>:-O2;-fvect-cost-model=dynamic>")
  if(HEED_SANITIZE)
    list(APPEND short_loops ${HEED_ASAN_CALLS})
  endif()
  set_source_files_properties(backends/cpu/elementwise_unary.cpp backends/cpu/elementwise_binary.cpp
    backends/cpu/copy.cpp PROPERTIES COMPILE_OPTIONS "${short_loops}")
endif()

set(HEED_LEVEL_TARGETS "")
foreach(level IN LISTS levels)
  if(NOT DEFINED HEED_FLAGS_${level})
    message(FATAL_ERROR "HEED_CPU_LEVELS: baseline, avx2 or avx512 expected, not '${level}'")
  endif()
  target_compile_definitions(heed_flags INTERFACE HEED_LEVEL_${level})
  heed_objects(cpu_${level} backends/cpu/*.cpp)
  if(TARGET heed_cpu_${level})
    list(APPEND HEED_LEVEL_TARGETS heed_cpu_${level})
    target_link_libraries(heed_cpu_${level} PRIVATE xsimd)
    # No unity build: the optimiser takes the time, so it would gain nothing.
    set_target_properties(heed_cpu_${level} PROPERTIES UNITY_BUILD OFF HEED_VECTOR_CODE ON)
    target_compile_definitions(heed_cpu_${level} PRIVATE HEED_ISA_NAMESPACE=${level})
    # No errno and no trap on floating point: both keep loops from becoming vector code. GCC 12
    # warns of its own intrinsics' undefined vectors, and of buffers that a vector is stored to.
    target_compile_options(heed_cpu_${level} PRIVATE ${HEED_FLAGS_${level}} -fno-math-errno
      -fno-trapping-math $<$<CONFIG:Release>:-O3> -Wno-uninitialized -Wno-maybe-uninitialized)
  endif()
endforeach()
