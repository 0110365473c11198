#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/outline.h"
#include "core/world.h"

namespace ccrules::rules {

/// Finds a subagent's name (docs/rules.md, agents): agent files of the project and the user by prefix of a system block; else
/// the parent's spawn call seen earlier in the same session; else the hint header; else the marker `<!-- ccrules:agent NAME -->`
/// in any system block. Without an agent id only the marker counts, in the first or last 256 bytes of a block, and no file
/// is read. One per worker, bounded memory. Agent files are read again when `now_ms` moved on by two seconds.
class AgentFinder {
 public:
  AgentFinder(const Files& files, std::string home_directory);
  ~AgentFinder();
  struct Query {
    const chat::Outline* outline = nullptr;
    std::string_view session;
    std::string_view project;     ///< working directory; may be empty
    std::string_view agent_id;    ///< x-claude-code-agent-id; empty: the main loop
    std::string_view hint;        ///< x-claude-code-agent-type
    std::int64_t now_ms = 0;
  };
  /// "main" without an agent id and without a marker; empty when a subagent's name cannot be found.
  std::string find(const Query& query);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Decoded text of a raw JSON string literal (with quotes).
std::string unescape(std::string_view literal);
/// The working directory a system prompt names ("Primary working directory: /srv/web"), empty when none.
std::string working_directory(const chat::Outline& outline);

}  // namespace ccrules::rules
