#pragma once
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "chat/request.h"
#include "core/json.h"
#include "core/result.h"

namespace ccrules::dialect::gemini {

/// Reads what a request says: its turns and the system's. For all contents of one request, in their order: a result that names no
/// call belongs to the oldest one of its function that is not answered.
class ContentsReader {
 public:
  /// Appends a message, or several: calls are the model's and results the user's, whatever turn they stand in.
  Result<void> read_turn(json::Value& value, std::vector<chat::Message>& messages);
  /// `systemInstruction`: a content too, or a text.
  Result<void> read_system(json::Value& value, std::vector<chat::Block>& system);

  /// Paths of members without a place in the neutral request ("contents[].parts[].videoMetadata"): losses in every format.
  [[nodiscard]] const std::set<std::string>& others() const { return others_; }

 private:
  using Others = std::vector<std::string>;  ///< their paths from the part

  Result<void> read_system_part(json::Value& value, std::vector<chat::Block>& system);
  Result<void> read_part(json::Value& value, std::vector<chat::Block>& blocks);
  Result<void> read_call(json::Value& value, chat::ToolCall& call, Others& others);
  Result<void> read_response(json::Value& value, chat::ToolResult& result, Others& others);
  Result<void> read_result_part(json::Value& value, std::vector<chat::Block>& blocks);
  /// Gives a result without an id that of the function's oldest call that is not answered yet.
  void take_open_call(std::string_view name, std::string& id);
  void name_other(std::string_view where, std::string_view path);

  std::set<std::string> others_;
  std::map<std::string, std::deque<std::string>, std::less<>> open_calls_;  ///< by function name: ids not answered yet
  int made_ids_ = 0;
};

}  // namespace ccrules::dialect::gemini
