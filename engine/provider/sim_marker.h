#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

/// The marker in a user text that tells the simulator what to answer: `[[sim:NAME key=value …]]`
/// (docs/sim.md).
namespace ccrules::provider::sim {

struct Marker {
  std::string name;                                         ///< "text", "tool", "error" …
  std::map<std::string, std::string, std::less<>> options;  ///< values without quotes; JSON values verbatim
  std::string script;  ///< of `[[sim:script …]]`: everything behind the name
};

/// Where the first marker of a text stands: from "[[sim:" to behind "]]". Brackets inside JSON strings do not
/// end it.
struct MarkerSpan {
  std::size_t begin = 0;
  std::size_t end = 0;
};
std::optional<MarkerSpan> find_marker(std::string_view text);

/// Reads the marker that find_marker() found. A 400 that says what is wrong with it.
Result<Marker> parse_marker(std::string_view marker);

/// One thing a scripted reply says or does.
struct Part {
  enum class Kind { kText, kThinking, kRedacted, kTool };
  Kind kind = Kind::kText;
  std::string text;  ///< text or thinking; of a tool its input as JSON, empty: made up from the tool's schema
  std::vector<std::string> tools;  ///< names to call, the first one that the client offers is taken
};
/// The replies of a script, each the parts of one assistant turn: `thinking:hm + tool:Bash{"command":"ls"} ;
/// text:done`.
Result<std::vector<std::vector<Part>>> parse_script(std::string_view script);

}  // namespace ccrules::provider::sim
