#pragma once
#include "chat/usage.h"

namespace ccrules::dialect {

/// Takes usage that a stream tells once more, in formats whose count of the prompt includes what the cache served and stored. What
/// `later` does not say of the cache is as it was told before, and not plain input now.
void merge_repeated(chat::Usage& usage, chat::Usage later);

}  // namespace ccrules::dialect
