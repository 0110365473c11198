#include "config/snapshot.h"

namespace ccrules::config {

const Provider* Snapshot::provider(std::string_view id) const {
  for (const Provider& row : providers) {
    if (row.id == id) return &row;
  }
  return nullptr;
}

}  // namespace ccrules::config
