#pragma once
#include <cstdint>

namespace ccrules::tokens {

/// Keys the hashes of texts and blocks, so that nobody can prepare two that are taken for one. Random, one per process. Any
/// thread.
std::uint64_t process_seed();

}  // namespace ccrules::tokens
