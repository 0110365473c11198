# CCR_PROFILE: flags for our own code and llhttp; which functions and branches ran how often decides what is inlined, how code is laid
# out and what is worth being fast. scripts/package --trained builds, trains and builds again (docs/adr/0012-trained-build.md).
if(NOT CCR_PROFILE)
  return()
endif()
if(NOT CCR_PROFILE MATCHES "^(generate|use)$")
  message(FATAL_ERROR "CCR_PROFILE is generate, use or empty (got '${CCR_PROFILE}').")
endif()
if(NOT CMAKE_C_COMPILER_ID STREQUAL "GNU" OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  message(FATAL_ERROR "CCR_PROFILE needs gcc and g++: the profiles of ${CMAKE_CXX_COMPILER_ID} are of another kind. "
    "Choose them with CMAKE_C_COMPILER and CMAKE_CXX_COMPILER, or leave CCR_PROFILE empty.")
endif()
# Names of objects in the profile begin at the build tree, so that one tree can write it and another one read it.
set(flags -fprofile-${CCR_PROFILE}=${CCR_PROFILE_FOLDER} -fprofile-prefix-path=${CMAKE_BINARY_DIR})
if(CCR_PROFILE STREQUAL "generate")
  list(APPEND flags -fprofile-update=prefer-atomic)  # the ledger and the rules' watchdog have threads of their own
  target_link_options(ccr_flags INTERFACE -fprofile-generate)
else()
  file(GLOB profile ${CCR_PROFILE_FOLDER}/*.gcda)
  if(NOT profile)
    message(FATAL_ERROR "There is no profile in ${CCR_PROFILE_FOLDER}: scripts/package --trained makes one.")
  endif()
  # What never ran stays as it was without a profile, instead of being compiled for size. Programs that are no part of the training
  # (tests, benchmarks) have no profile.
  list(APPEND flags -fprofile-partial-training -fprofile-correction -Wno-missing-profile)
endif()
# With counters in between g++ 12 calls empty optionals uninitialised; where it inlines more, it sees the value deleted that a
# variant does not hold.
target_compile_options(ccr_flags INTERFACE ${flags} -Wno-maybe-uninitialized -Wno-free-nonheap-object)
target_compile_options(llhttp PRIVATE ${flags})
