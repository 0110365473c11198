#include "chat/event.h"

namespace ccrules::chat {

bool is_content(const Event& event) {
  return std::holds_alternative<BlockStart>(event) || std::holds_alternative<BlockDelta>(event);
}

}  // namespace ccrules::chat
