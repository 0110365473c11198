#include "cache/key.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

namespace ccrules::cache {
namespace {

/// Claude Code's first line of a system prompt: it differs from request to request and means nothing to a model.
std::string_view without_attribution(std::string_view text) {
  if (!text.starts_with("x-anthropic-billing-header:")) return text;
  const std::size_t end = text.find('\n');
  return end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
}

/// Fields one behind the other, each with its length: no text can look like another's end.
class Meaning {
 public:
  std::string take() { return std::move(out_); }

  Meaning& text(std::string_view value) {
    number(static_cast<std::int64_t>(value.size()));
    out_ += value;
    return *this;
  }
  Meaning& number(std::int64_t value) {
    std::array<char, 24> digits{};
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    out_.append(digits.data(), written.ptr);
    out_ += ';';
    return *this;
  }
  Meaning& real(double value) {
    std::array<char, 32> digits{};
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    out_.append(digits.data(), written.ptr);
    out_ += ';';
    return *this;
  }
  Meaning& flag(bool value) { return number(value ? 1 : 0); }
  Meaning& maybe(const std::optional<std::int64_t>& value) {
    flag(value.has_value());
    return value ? number(*value) : *this;
  }
  Meaning& maybe(const std::optional<double>& value) {
    flag(value.has_value());
    return value ? real(*value) : *this;
  }
  Meaning& maybe(const std::optional<bool>& value) { return number(value ? (*value ? 1 : 0) : -1); }
  /// Members that only one dialect knows.
  Meaning& extra(std::string_view json, std::string_view dialect) {
    text(json);
    return json.empty() ? *this : text(dialect);
  }

  /// Empty texts say nothing in a system prompt.
  void system(const std::vector<chat::Block>& all, std::string_view dialect) {
    for (const chat::Block& block : all) {
      const auto* said = std::get_if<chat::Text>(&block.value);
      if (said == nullptr) {
        number(static_cast<std::int64_t>(block.value.index()));
        std::visit([this, dialect](const auto& value) { add(value, dialect); }, block.value);
      } else if (const std::string_view rest = without_attribution(said->text); !rest.empty()) {
        number(0).text(rest).extra(said->extra_json, dialect);
      }
    }
    number(-1);
  }
  void blocks(const std::vector<chat::Block>& all, std::string_view dialect) {
    number(static_cast<std::int64_t>(all.size()));
    for (const chat::Block& block : all) {
      number(static_cast<std::int64_t>(block.value.index()));
      std::visit([this, dialect](const auto& value) { add(value, dialect); }, block.value);
    }
  }

 private:
  void add(const chat::Text& block, std::string_view dialect) { text(block.text).extra(block.extra_json, dialect); }
  void add(const chat::Thinking& block, std::string_view /*dialect*/) {
    text(block.text).text(block.signature).flag(block.redacted);
  }
  void add(const chat::Image& block, std::string_view dialect) {
    number(static_cast<std::int64_t>(block.kind)).text(block.media_type).text(block.data).text(block.detail);
    extra(block.extra_json, dialect);
  }
  void add(const chat::Document& block, std::string_view dialect) {
    number(static_cast<std::int64_t>(block.kind)).text(block.media_type).text(block.data).text(block.title).text(block.context);
    text(block.blocks_json).extra(block.extra_json, dialect);
  }
  void add(const chat::ToolCall& block, std::string_view dialect) {
    text(block.id).text(block.name).text(block.arguments_json).extra(block.extra_json, dialect);
  }
  void add(const chat::ToolResult& block, std::string_view dialect) {
    text(block.call_id).flag(block.is_error).flag(block.content_absent).extra(block.extra_json, dialect);
    blocks(block.content, dialect);
  }
  void add(const chat::Opaque& block, std::string_view /*dialect*/) { text(block.dialect).text(block.type).text(block.json); }

  std::string out_;
};

void add_tool(Meaning& out, const chat::Tool& tool, std::string_view dialect) {
  const bool ours = tool.type.empty() || tool.type == "custom";
  out.text(tool.name).flag(tool.has_description).text(tool.description).text(tool.schema_json);
  out.text(ours ? std::string_view() : tool.type).maybe(tool.strict).flag(tool.defer_loading);
  out.extra(tool.extra_json, dialect).extra(tool.original_json, dialect);
}

}  // namespace

std::string meaning(const chat::Request& request) {
  Meaning out;
  const std::string_view dialect = request.dialect;
  out.system(request.system, dialect);
  out.number(static_cast<std::int64_t>(request.messages.size()));
  for (const chat::Message& message : request.messages) {
    out.number(static_cast<std::int64_t>(message.role)).text(message.name).extra(message.extra_json, dialect);
    out.blocks(message.blocks, dialect);
  }
  out.number(static_cast<std::int64_t>(request.tools.size()));
  for (const chat::Tool& tool : request.tools) add_tool(out, tool, dialect);
  out.flag(request.tool_choice.has_value());
  if (request.tool_choice) {
    out.number(static_cast<std::int64_t>(request.tool_choice->kind)).text(request.tool_choice->name);
    out.maybe(request.tool_choice->parallel_tool_calls);
  }
  out.number(static_cast<std::int64_t>(request.thinking.kind)).maybe(request.thinking.budget_tokens).text(request.thinking.display);
  out.text(request.effort).maybe(request.max_tokens).maybe(request.temperature).maybe(request.top_p).maybe(request.top_k);
  out.number(static_cast<std::int64_t>(request.stop_sequences.size()));
  for (const std::string& stop : request.stop_sequences) out.text(stop);
  out.text(request.response_schema_json).text(request.response_schema_name).text(request.response_schema_extra_json);
  out.flag(request.json_object_mode).extra(request.extra_json, dialect);
  return out.take();
}

}  // namespace ccrules::cache
