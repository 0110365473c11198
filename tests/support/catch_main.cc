#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

// As scripts/test sets them for the programs that tests start. By itself AddressSanitizer keeps 256 MB of freed memory and then
// gives back a tenth at once, inside whatever allocates next: 11 ms were seen of a rule, which may take limits::kRuleTime.
extern "C" const char* __asan_default_options();  // NOLINT(bugprone-reserved-identifier): the sanitizer's name
extern "C" const char* __asan_default_options() {
  return "quarantine_size_mb=16:detect_stack_use_after_return=1:strict_string_checks=1";
}
